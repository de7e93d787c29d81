"""`kedge primer init`: which files are written into a repository, and what is left to be done there."""

import json
import os
import re
from dataclasses import dataclass, field

from kedge.errors import PrimerError, Problem, Where
from kedge.primer.repository import configuration, proto_file
from kedge.primer.repository.entry import Entry, batch_file, shell_script, text_of
from kedge.primer.repository.seal import opened, sealed

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TAKEN = {"made", "lock", "uv", "states"}  # by the proto file, beside the environments
_EMPTY_LOCK = (
    "# Nothing is installed yet. Every line needs a hash: `uv pip compile --generate-hashes`.\n"
)


@dataclass
class Plan:
    """What is to be written: texts by path, which of them can be executed; and what is left to do."""

    root: str
    files: dict[str, str] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What was asked for; what is None is guessed or left out.

    Args:
        main: `package.module:function`, called by the entry script `name`.
        boot: a module with states, reached by the entry script `prime`, or `name` if there is no main.
        name: of the entry script.
        environment: which of `primer.json`.
        lock: the lock file.
    """

    main: str | None = None
    boot: str | None = None
    name: str | None = None
    environment: str | None = None
    lock: str | None = None


def planned(root: str, asked: Request, by: str) -> Plan:
    """What `kedge primer init` would write.

    Args:
        root: the repository's folder; it need not be there.
        asked: by the caller.
        by: who writes: a program and its version.

    Raises:
        PrimerError: for everything that stands in the way, with what to do about it.
    """
    if asked.main is None and asked.boot is None:
        asked = _from_scripts(root, asked)
    scripts = _scripts(asked)
    _check(scripts, asked.environment)
    known = configuration.written(root)
    environment = asked.environment or _environment(known, next(iter(scripts)))
    plan = Plan(root)
    plan.files[proto_file.PATH] = sealed(proto_file.brought(), "#", by)
    if configuration.fetches_uv(root):
        plan.files[proto_file.UV] = sealed(proto_file.uv_lock(), "#", by)
    for name, (helper, target) in scripts.items():
        entry = Entry("boot" if helper == "boot" else "start", target, environment)
        plan.files[name] = shell_script(entry)
        if entry.helper == "start":  # States are reached on POSIX systems alone.
            plan.files[f"{name}.cmd"] = batch_file(entry)
        plan.executable.add(name)
    problems = [*_in_the_way(plan), *_differing(root, known, environment, asked.lock)]
    if problems:
        raise PrimerError.of(problems, f"`{root}`; nothing was written")
    module = next(iter(scripts.values()))[1].partition(":")[0]
    if known is None:
        document = configuration.guessed(root, environment, asked.lock, module)
        plan.files[configuration.PATH] = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        known = document["environments"]
        given, instead_of = configuration.python(root)
        if instead_of:
            plan.left.append(f"write in primer.json which Python fits: {given} for {instead_of}")
    own = known[environment]
    _leave(plan, own, [target.partition(":")[0] for _, target in scripts.values()])
    if asked.boot and not re.search(
        r'^kedge\b|^name = "kedge"',
        text_of(os.path.join(root, own.get("lock", ""))) or "",
        re.MULTILINE,
    ):
        plan.left.append("lock kedge too: the states import it")
    return plan


def write(plan: Plan) -> list[str]:
    """Write what is not there yet, and return its paths."""
    new = [path for path in plan.files if not os.path.lexists(os.path.join(plan.root, path))]
    try:
        for path in new:
            target = os.path.join(plan.root, path)
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            with open(target, "x", encoding="utf-8", newline="") as file:
                file.write(plan.files[path])
            if path in plan.executable:
                os.chmod(target, 0o755)
    except OSError as error:
        raise PrimerError(
            f"`{error.filename}` cannot be written: {error.strerror}",
            where=Where(plan.root),
            hint="name a folder that you can write to",
        ) from error
    return new


def _from_scripts(root: str, asked: Request) -> Request:
    """What was asked for, with the main that `[project.scripts]` of `pyproject.toml` names."""
    scripts = configuration.project(root).get("scripts")
    found = {str(name): str(main) for name, main in scripts.items()} if scripts else {}
    name = asked.name or (next(iter(found)) if len(found) == 1 else None)
    if name in found:
        return Request(found[name], None, name, asked.environment, asked.lock)
    raise PrimerError(
        "it has to be said what the entry script shall run",
        where=Where(root),
        hint=f"`--name {next(iter(found))}` is one of pyproject.toml's scripts"
        if found
        else "`--main package.module:function`, or `--boot package.states`",
    )


def _scripts(asked: Request) -> dict[str, tuple[str, str]]:
    """The entry scripts by name: helper and target."""
    scripts = {}
    if asked.main:
        scripts[asked.name or "app"] = ("start", asked.main)
    if asked.boot:
        scripts["prime" if asked.main else asked.name or "prime"] = ("boot", asked.boot)
    return scripts


def _check(scripts: dict[str, tuple[str, str]], environment: str | None) -> None:
    """Raise for words that cannot stand in an entry script."""
    problems = []
    for name, (helper, target) in scripts.items():
        module, colon, function = target.partition(":")
        parts = [*module.split("."), *([function] if helper == "start" else [])]
        if not all(part.isidentifier() for part in parts) or (colon and helper == "boot"):
            form = "package.module:function" if helper == "start" else "package.module"
            option = "--main" if helper == "start" else "--boot"
            problems.append(
                Problem(f"`{target}` is not of the form {form}", hint=f"{option} {form}")
            )
        if not _NAME.fullmatch(name) or name == "primer" or name.endswith(".cmd"):
            hint = "letters, digits, `.`, `_` and `-`; `primer` is the proto file's folder"
            problems.append(Problem(f"`{name}` cannot be the name of an entry script", hint=hint))
    if environment is not None:
        problems += _wrong_environment(environment)
    if problems:
        raise PrimerError.of(problems, "what was asked for")


def _wrong_environment(name: str) -> list[Problem]:
    if _NAME.fullmatch(name) and name not in _TAKEN:
        return []
    hint = f"letters, digits, `.`, `_` and `-`; not `{'`, `'.join(sorted(_TAKEN))}`"
    return [Problem(f"`{name}` cannot be the name of an environment", hint=hint)]


def _environment(known: dict[str, object] | None, name: str) -> str:
    """The environment, where none was named."""
    if known is None:
        return f"{name}-environment" if name in _TAKEN else name
    if len(known) == 1 or name in known:
        return name if name in known else next(iter(known))
    raise PrimerError(
        f"`{configuration.PATH}` has several environments: `{'`, `'.join(known)}`",
        hint="name the one: `--environment NAME`",
    )


def _in_the_way(plan: Plan) -> list[Problem]:
    """What is there and differs from what would be written."""
    problems = []
    for path, text in plan.files.items():
        target = os.path.normpath(os.path.join(plan.root, path))
        if not os.path.lexists(target) or opened(text_of(target) or "") == opened(text):
            continue
        hint = "name another script, `--name NAME`, or remove it"
        if path == proto_file.PATH:
            hint = f"`kedge primer update {plan.root}` refreshes it"
        problems.append(Problem(f"`{path}` is there, and differs", Where(target), hint))
    folder = os.path.join(plan.root, "primer")
    if os.path.lexists(folder) and not os.path.isdir(folder):
        problems.append(Problem("`primer` is there, and is no folder", Where(folder), "rename it"))
    return problems


def _differing(
    root: str, known: dict[str, object] | None, environment: str, lock: str | None
) -> list[Problem]:
    """What was asked for and the `primer.json` that is there does not have."""
    if known is None:
        return []
    place = Where(os.path.join(root, configuration.PATH))
    own = known.get(environment)
    if not isinstance(own, dict):
        said = f"`{configuration.PATH}` is there, and has no environment `{environment}`"
        hint = f'add `"{environment}": {{"lock": …}}`, or name one of `{"`, `".join(known)}`'
        return [Problem(said, place, hint)]
    if lock is not None and own.get("lock") != lock:
        said = f"`{configuration.PATH}` is there, and the lock of `{environment}` is another"
        return [Problem(said, place, f'write `"lock": {json.dumps(lock)}` there')]
    return []


def _leave(plan: Plan, own: dict[str, object], modules: list[str]) -> None:
    """Note what is left to do; a project that needs nothing gets a lock that says so."""
    root = plan.root
    lock, given = str(own.get("lock")), own.get("paths")
    paths = [str(path) for path in given] if isinstance(given, list) else []
    for module in modules:
        if configuration.module_file(root, paths, module) is None:
            place = "/".join([*paths[:1], *module.split(".")])
            plan.left.append(f"write {place}.py")
    if not os.path.exists(os.path.join(root, lock)):
        source = next(
            (
                name
                for name in ("pyproject.toml", "requirements.in", "requirements.txt")
                if os.path.exists(os.path.join(root, name))
            ),
            None,
        )
        if lock == "uv.lock":
            plan.left.append("make the lock: uv lock")
        elif source is None and lock == configuration.LOCK:
            plan.files[lock] = _EMPTY_LOCK
        else:
            compiling = "uv pip compile --universal --generate-hashes --no-emit-index-url"
            plan.left.append(f"make the lock: {compiling} {source or 'requirements.in'} -o {lock}")
    ignored = text_of(os.path.join(root, ".gitignore")) or ""
    if "primer.local.json" not in ignored:
        plan.left.append("add to .gitignore: /primer.local.json")
