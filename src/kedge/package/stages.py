"""The checks that span fields or need the package's files, one function a stage.

Each takes what the stages before it proved and gives all of its problems.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from kedge.errors import Problem, Where, nearest
from kedge.package import names
from kedge.package.document import Document, Path, described, dotted
from kedge.package.models import BodyBlock, FunctionBlock, PackageBlock
from kedge.package.resources import contradicts, half_over_tier
from kedge.ports import Ports, check_port_name, declared_ports, schema_ports
from kedge.ports.wording import MOST_PROBLEMS

_HANDLER: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_CONTAINERS: Final = ("dockerfile", "image")
_PORT_KEYS: Final = frozenset(
    {"type", "description", "required", "default", "minimum", "maximum", "examples"}
)
_DIRECTIONS: Final[tuple[tuple[str, Literal["in", "out"]], ...]] = (
    ("inputs", "in"),
    ("outputs", "out"),
)
_MODULES_LOOKED_AT: Final = 5_000  # for a nearest name in a message: enough, and bounded


def function_names(document: Document, functions: Mapping[str, Any]) -> list[Problem]:
    """Names of functions: their form, and no two that are the same attribute in Python."""
    problems: list[Problem] = []
    attributes: dict[str, str] = {}
    for name in functions:
        where = document.where(("functions", name), key=True)
        if len(problems) > MOST_PROBLEMS:
            break
        if refusal := names.function_name(name):
            expected, hint = refusal
            message = f"`{dotted((name,))}` cannot be a function's name, expected {expected}"
            problems.append(Problem(message, where, hint))
        other = attributes.setdefault(names.attribute(name), name)
        if other != name:
            message = f"`{name}` and `{other}` are the same name where `-` reads `_`"
            problems.append(Problem(message, where, "rename one of the two"))
    return problems


def handler_xor_entrypoint(document: Document, body: BodyBlock) -> list[Problem]:
    """Every function has a handler or an entrypoint that is not empty, and not both."""
    kind = body.runtime.get("kind")
    problems: list[Problem] = []
    for name, function in body.functions.items():
        path: Path = ("functions", name)
        wanted = "`entrypoint`" if kind in _CONTAINERS else "`handler`"
        example = 'entrypoint: ["/opt/run.sh"]' if kind in _CONTAINERS else "handler: bolts:size"
        if function.handler is not None and function.entrypoint is not None:
            message = f"`{name}` has both `handler` and `entrypoint`"
            hint = f"keep {wanted}: runtime.kind is {kind}"
            problems.append(Problem(message, document.where(path, key=True), hint))
        elif function.handler is None and function.entrypoint is None:
            message = f"`{name}` has neither `handler` nor `entrypoint`"
            problems.append(Problem(message, document.where(path, key=True), f"add {example}"))
        elif function.entrypoint is not None and not (
            function.entrypoint and function.entrypoint[0]
        ):
            message = f"`entrypoint` of `{name}` is {described(function.entrypoint)}"
            hint = f"name the program and its arguments: {example}"
            problems.append(Problem(message, document.where((*path, "entrypoint")), hint))
    return problems


def fit_to_kind(document: Document, body: BodyBlock) -> list[Problem]:
    """Every function fits `runtime.kind`: the right field, a handler's form, declared ports."""
    kind = str(body.runtime.get("kind"))
    problems: list[Problem] = []
    for name, function in body.functions.items():
        path: Path = ("functions", name)
        if kind in _CONTAINERS:
            problems += _fit_to_container(document, path, function, kind)
        else:
            problems += _fit_to_python(document, path, function, kind)
        for direction in ("inputs", "outputs"):
            schema = f"{direction}_schema"
            if getattr(function, direction) is not None and getattr(function, schema) is not None:
                message = f"`{name}` has both `{direction}` and `{schema}`"
                where = document.where((*path, schema), key=True)
                problems.append(Problem(message, where, "keep one: both declare the same ports"))
    return problems


def _fit_to_container(
    document: Document, path: Path, function: FunctionBlock, kind: str
) -> Iterator[Problem]:
    if function.handler is not None:
        yield Problem(
            f"`handler` does not fit runtime.kind {kind}, found {described(function.handler)}",
            document.where((*path, "handler")),
            'give the program to start instead: entrypoint: ["/opt/run.sh"]',
        )
    for direction in ("inputs", "outputs"):
        if (
            getattr(function, direction) is None
            and getattr(function, f"{direction}_schema") is None
        ):
            yield Problem(
                f"`{path[-1]}` declares no `{direction}`: runtime.kind {kind} has no signature to "
                "read them from",
                document.where(path, key=True),
                f"declare them; for a function without any: {direction}: {{}}",
            )


def _fit_to_python(
    document: Document, path: Path, function: FunctionBlock, kind: str
) -> Iterator[Problem]:
    if function.entrypoint is not None:
        yield Problem(
            f"`entrypoint` does not fit runtime.kind {kind}",
            document.where((*path, "entrypoint")),
            "name a function instead: handler: bolts:size",
        )
    handler = function.handler
    if handler is None or _HANDLER.fullmatch(handler):
        return
    where = document.where((*path, "handler"))
    module, colon, attribute = handler.partition(":")
    message = f"`handler` is {described(handler)}, expected module:function"
    if not colon:
        hint = "write the module, a colon and the function's name: bolts:size"
        if "/" in handler or handler.endswith(".py"):
            dotted_module = handler.removesuffix(".py").strip("./").replace("/", ".")
            hint = f"write the module with dots: {dotted_module}:{path[-1]}"
        yield Problem(message, where, hint)
    elif "." in attribute and _HANDLER.fullmatch(f"{module}:{attribute.replace('.', '_')}"):
        yield Problem(
            f"`handler` is {described(handler)}, expected a function at module level",
            where,
            f"wrap it: a function in {module} that calls {attribute}, and name that function here",
        )
    elif "/" in module or module.endswith(".py"):
        dotted_module = module.removesuffix(".py").strip("./").replace("/", ".")
        yield Problem(message, where, f"write the module with dots: {dotted_module}:{attribute}")
    else:
        yield Problem(message, where, "both are Python names, the module's may have dots: a.b:size")


def resource_rules(
    document: Document, head: PackageBlock, at: Path, body: BodyBlock
) -> list[Problem]:
    """No tier beside sizes, and no half of the sizes over a package's tier. `at` is the head's path."""
    problems: list[Problem] = []
    package = head.resources.model_dump(exclude_none=True) if head.resources else {}
    blocks = [((*at, "resources"), package)]
    for name, function in body.functions.items():
        own = function.resources.model_dump(exclude_none=True) if function.resources else {}
        blocks.append((("functions", name, "resources"), own))
    for path, block in blocks:
        if message := contradicts(block):
            hint = "keep either `tier` or `cpu` and `memory_mb`; `timeout` goes with both"
            problems.append(Problem(message, document.where(path), hint))
    for path, block in blocks[1:]:
        if not contradicts(block) and (message := half_over_tier(package, block)):
            hint = "give both `cpu` and `memory_mb`, or another `tier`"
            problems.append(Problem(message, document.where(path), hint))
    return problems


type FunctionPorts = dict[str, tuple[Ports | None, Ports | None]]


def port_types(document: Document, body: BodyBlock) -> tuple[FunctionPorts, list[Problem]]:
    """The declared ports of every function, None where a direction is not declared."""
    problems: list[Problem] = []
    found: FunctionPorts = {}
    for name, function in body.functions.items():
        sides: list[Ports | None] = []
        for block, direction in _DIRECTIONS:
            declared = getattr(function, block)
            schema = getattr(function, f"{block}_schema")
            path: Path = ("functions", name, block if declared is not None else f"{block}_schema")
            if declared is None and schema is None:
                sides.append(None)
                continue
            ports, wrong = (
                declared_ports(declared, direction)
                if declared is not None
                else schema_ports(schema, direction)
            )
            sides.append(ports)
            if len(problems) <= MOST_PROBLEMS:
                problems += [_at_port(document, path, problem) for problem in wrong]
        found[name] = (sides[0], sides[1])
    return found, problems


def _at_port(document: Document, base: Path, problem: Problem) -> Problem:
    """A port's problem with its place in the file, from the dotted path that it names."""
    rest = (problem.where.path or "") if problem.where else ""
    path = base
    while rest:
        step = _step(document, path, rest)
        if step is None:
            break
        path, rest = step
    named = dotted(path) + (("" if rest.startswith("[") else ".") + rest if rest else "")
    where = document.where(path, key=not rest and _is_about_name(document, base, path))
    return Problem(
        problem.message, Where(where.file, where.line, where.column, named), problem.hint
    )


def _is_about_name(document: Document, base: Path, path: Path) -> bool:
    """Whether a problem at `path` is one of the key there rather than of its value."""
    top = base if base[-1] in ("inputs", "outputs") else (*base, "properties")
    name = path[-1]
    if len(path) == len(top) + 2 and top == base:
        return name not in _PORT_KEYS
    if len(path) != len(top) + 1 or path[:-1] != top or not isinstance(name, str):
        return False
    value: Any = document.data
    for part in top:
        value = value[part]
    same = [other for other in value if names.attribute(other) == names.attribute(name)]
    return check_port_name(name) is not None or len(same) > 1 or isinstance(value[name], dict)


def _step(document: Document, path: Path, rest: str) -> tuple[Path, str] | None:
    """One step down `rest`, along the longest key that is there: keys may hold dots themselves."""
    if index := re.match(r"\[(\d{1,9})\]\.?", rest):
        inner = (*path, int(index[1]))
        return (inner, rest[index.end() :]) if inner in document.values else None
    ends = [match.start() for match in re.finditer(r"[.\[]|$", rest)]
    for end in reversed(ends):
        inner = (*path, rest[:end])
        if end and inner in document.values:
            return inner, rest[end:].removeprefix(".")
    return None


def modules_exist(document: Document, body: BodyBlock, root: str) -> list[Problem]:
    """Every handler's module is a file or folder of the package."""
    problems: list[Problem] = []
    known: list[str] | None = None
    for name, function in body.functions.items():
        module = (function.handler or "").partition(":")[0]
        if not module or _module_there(root, module):
            continue
        if len(problems) > MOST_PROBLEMS:
            break
        known = modules(root) if known is None else known
        close = nearest(module, known)
        hint = f"did you mean `{close}:{(function.handler or '').partition(':')[2]}`?"
        if not close:
            listed = ", ".join(known[:8]) or "none"
            hint = f"modules of this package: {listed}"
        problems.append(
            Problem(
                f"`handler` names the module `{module}`, which the package does not have",
                document.where(("functions", name, "handler")),
                hint,
            )
        )
    return problems


def _module_there(root: str, module: str) -> bool:
    base = os.path.join(root, *module.split("."))
    if os.path.isfile(f"{base}.py") or os.path.isdir(base):
        return True
    folder, name = os.path.split(base)
    try:
        entries = os.listdir(folder)
    except OSError:
        return False
    return any(
        entry.startswith(f"{name}.") and entry.endswith((".so", ".pyc")) for entry in entries
    )


def modules(root: str) -> list[str]:
    """Dotted names of the Python modules below `root`, for hints."""
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name.isidentifier() and name not in ("__pycache__", "node_modules")
        )
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else inside.replace(os.sep, ".") + "."
        for name in sorted(files):
            stem = name.removesuffix(".py")
            if stem != name and stem.isidentifier():
                found.append(prefix.removesuffix(".") if stem == "__init__" else prefix + stem)
            if len(found) >= _MODULES_LOOKED_AT:
                return found
    return [name for name in found if name]


def files_of_runtime(document: Document, body: BodyBlock, root: str) -> list[Problem]:
    """Files that the runtime block names are there."""
    runtime = body.runtime
    wanted: list[tuple[str, str, bool]] = []
    if runtime.get("kind") == "dockerfile":
        wanted.append(("dockerfile", str(runtime["dockerfile"]), False))
        wanted.append(("context", str(runtime.get("context") or "."), True))
    requirements = runtime.get("requirements")
    if runtime.get("kind") == "python" and (requirements is True or isinstance(requirements, str)):
        name = requirements if isinstance(requirements, str) else "requirements.txt"
        wanted.append(("requirements", name, False))
    problems: list[Problem] = []
    for key, name, folder in wanted:
        path = os.path.join(root, name)
        if not (os.path.isdir(path) if folder else os.path.isfile(path)):
            noun = "folder" if folder else "file"
            problems.append(
                Problem(
                    f"`{key}` names the {noun} {described(name)}, which the package does not have",
                    document.where(("runtime", key)),
                    f"add the {noun}, or correct the path; it starts at the package's root",
                )
            )
    return problems
