"""Manifests in YAML, TOML and scripts, case files and requirements: the samples, damaged."""

import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml
from judging import as_record, judge_problems, judge_text, refused, require
from material import TEXTS, changed, damaged, damaged_bytes, name, scalar, text, value
from run_cases import folder
from type_cases import WORDS, expression, schema, struct

from kedge.environment import requirements, specifications
from kedge.errors import KedgeError, ManifestError, PackageError, TaskError
from kedge.package import manifest, testcases
from kedge.package.document import Document
from kedge.package.machine import Machine
from kedge.package.resources import effective
from kedge.package.toml_source import read_toml
from kedge.package.yaml_source import read_yaml
from kedge.ports import check_inputs, format_type

_REPOSITORY: Final = Path(__file__).parents[2]
_MACHINE: Final = Machine(4, 16_000)
_KEYS: Final = (
    "name", "version", "description", "package", "runtime", "functions", "quality", "resources", "kind",
    "python", "image", "dockerfile", "context", "requirements", "system", "base_image", "commands", "handler", "entrypoint", "inputs",
    "outputs", "inputs_schema", "outputs_schema", "network", "env", "testcases", "retries", "cache", "tier",
    "cpu", "memory_mb", "timeout", "gpu", "grace", "pids", "disk_mb", "visibility", "license", "tags", "secret",
    "type", "default", "minimum", "maximum", "examples", "required", "user", "writable", "platform", "max", "on",
    "validation_testcases", "host_paths", "build_timeout", "backoff", "author", "x-anchor",
)  # fmt: skip
_YAML: Final = (
    *_KEYS, *TEXTS, *WORDS, "\n", "\n  ", "\n    ", "\n- ", ": ", "&a ", "*a", "<<: *a\n", "!!int ", "!!binary ",
    "!!python/object:os.system ", "!x ", "---\n", "...\n", "? ", "|\n", ">-\n", "%TAG ! x\n", "\ufeff", "\r\n",
    "\r", "\t", "{a: &a [*a]}", "[" * 70, "{a: " * 70, "- " * 70, '"\\ud800"', '"\\x00"', "'", '"', "a" * 5000,
    "1" * 500, "0x" + "f" * 500, "1e" + "9" * 60, "? [a]\n: b", "<<: [*a, *a]", "=", "1:30", "2024-01-01", "# x",
)  # fmt: skip
_TOML: Final = (
    *_KEYS, *TEXTS, "\n", "\n[", "[[", "]]", "]\n", " = ", "[tool.kedge]\n", "[tool.kedge.functions.a]\n", "'''", '"""',
    "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "0b1", "inf", "nan", "+1", "1_0", "{a.b = 1}", "a.b.c", '"a.b"',
    "\\u0041", "\\UFFFFFFFF", "[" * 90, "{a=" * 90, "1" * 5000, "#", "\r", "\x00", "\ufeff", "[[tool]]", "1e999",
)  # fmt: skip
_SCRIPT: Final = (
    *TEXTS[:30], "# /// script\n", "# ///\n", "# ", "#\n", "# dependencies = []\n", "# requires-python = '>=3.9'\n",
    "def f(x: int) -> int:\n    return x\n", "async def g(): ...\n", "    ", "(" * 120, "class A:\n  def m(self): ...\n",
    "# [tool.kedge]\n", "# [tool.kedge.functions.f]\n", "lambda: ", "\\", "x = " + "-" * 300 + "1\n", "\x0c", "def list(): ...\n",
    "0777", "1" * 5000, "'\\d'", "f'{", "\ufeff", "\r", "# -*- coding: latin-1 -*-\n", "with open('x'): pass\n", "]",
)  # fmt: skip
_REQUIREMENTS: Final = (
    "numpy>=2", "scipy==1.*", "six==1.17.0 --hash=sha256:" + "0" * 64, "a[b,c]~=1.0; python_version<'3.9'", "-r other.txt",
    "-c x", "-e .", "--index-url https://x", "a @ https://x/a-1-py3-none-any.whl", "git+https://x/y", "./a", "a.whl",
    "# note", "\\\n", "--hash=md5:0", "${X}", "===", "!=", "~=", ";", "and", "(((", "@", "[", "]", ",", "'", " ", "\n",
    "a" * 3000, "a-" * 900, "a==" + "1." * 900, "a>=1," * 300, "1" * 900, "--only-binary", "-i", "a;" + "(" * 900, "\x00",
    "../" * 9, "/etc/passwd", "-rrequirements.txt", "-r requirements.txt", "https://x/y?z", "a>=1 --x",
)  # fmt: skip


@cache
def samples() -> tuple[str, ...]:
    """The text of every YAML manifest of the repository's samples, right and wrong ones."""
    files = [
        *_REPOSITORY.glob("tests/packages/**/*.y*ml"),
        *_REPOSITORY.glob("examples/**/*.y*ml"),
    ]
    return tuple(file.read_text() for file in sorted(files))


@cache
def documents() -> tuple[Any, ...]:
    """The data of those that can be read."""
    found = [yaml.safe_load(one) for one in samples() if _readable(one)]
    return tuple(one for one in found if isinstance(one, dict))


def _readable(source: str) -> bool:
    try:
        read_yaml(source, "kedge.yml")
    except ManifestError:
        return False
    return True


@cache
def tables() -> tuple[str, ...]:
    """The text of every pyproject.toml of the samples, and the YAML ones as TOML where they can be."""
    files = sorted(_REPOSITORY.glob("tests/packages/**/pyproject.toml"))
    return tuple(file.read_text() for file in files) + tuple(map(_as_toml, documents()[:12]))


def _as_toml(data: dict[str, Any]) -> str:
    lines = ["[tool.kedge]"]
    lines += [f"{json.dumps(key)} = {_inline(one)}" for key, one in data.items() if one is not None]
    return "\n".join(lines) + "\n"


def _inline(data: Any) -> str:
    if isinstance(data, dict):
        inside = (
            f"{json.dumps(str(key))} = {_inline(one)}"
            for key, one in data.items()
            if one is not None
        )
        return "{" + ", ".join(inside) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(map(_inline, data)) + "]"
    return json.dumps(data)


@cache
def scripts() -> tuple[str, ...]:
    """The text of the sample scripts."""
    files = [*_REPOSITORY.glob("tests/packages/scripts/*.py"), *_REPOSITORY.glob("examples/*.py")]
    return tuple(file.read_text() for file in sorted(files))


@cache
def package() -> str:
    """A folder with the files that most manifests name, and room for one manifest."""
    root = os.path.join(folder(), "package")
    os.makedirs(root)
    for file in (_REPOSITORY / "examples" / "bolt-sizing").glob("*.py"):
        shutil.copy(file, root)
    for module in ("main", "a", "tool"):
        Path(root, f"{module}.py").write_text("")
    Path(root, "requirements.txt").write_text("")
    Path(root, "Dockerfile").write_text("FROM scratch\n")
    return root


def _part(random: Random) -> Any:
    """What a manifest may hold in one place."""
    match random.randrange(8):
        case 0:
            return expression(random, 2)
        case 1:
            return struct(random)
        case 2:
            return {name(random): {"type": expression(random, 1), name(random): scalar(random)}}
        case 3:
            return schema(random, 2)
        case 4:
            return random.choice(_KEYS)
        case _:
            return value(random, 2, hostile=True)


def _data(random: Random) -> Any:
    data: Any = random.choice(documents())
    for _ in range(random.randrange(1, 4)):
        data = changed(random, data, _part)
    if isinstance(data, dict) and random.random() < 0.5:
        functions = data.get("functions")
        if isinstance(functions, dict) and functions:
            chosen = random.choice(list(functions))
            if isinstance(functions[chosen], dict):
                side = random.choice(("inputs", "outputs", "inputs_schema", "outputs_schema"))
                wanted = schema(random, 2) if "schema" in side else _ports(random)
                block = {
                    key: one for key, one in functions[chosen].items() if str(key)[:6] != side[:6]
                }
                data = data | {"functions": functions | {chosen: block | {side: wanted}}}
    return data


def _ports(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(random.randrange(1, 4)):
        port: Any = expression(random, 2)
        if random.random() < 0.6:
            port = {"type": port}
            for key in ("description", "required", "default", "minimum", "maximum", "examples"):
                if random.random() < 0.3:
                    port[key] = [scalar(random)] if key == "examples" else scalar(random)
        found[name(random)] = port
    return found


def manifest_case(random: Random) -> None:
    """A manifest: data in memory, or text in one of the three spellings, loaded as far as it goes."""
    chance = random.random()
    if chance < 0.35:
        document = Document("kedge.yml", _data(random))
        if not _is_data(document.data):
            return
        _checked(random, document)
    elif chance < 0.75:
        source = damaged(random, random.choice(samples()), _YAML)
        if chance < 0.4:
            source = source.replace("\n", random.choice(("\r\n", "\r", "\n\t", "\x85", "\u2028")))
        if chance > 0.74:
            _loaded(random, "kedge.yml", source)
            return
        document_read, _ = refused(ManifestError, read_yaml, source, "kedge.yml")
        if document_read is not None:
            _checked(random, document_read)
    elif chance < 0.751:
        _loaded(random, "kedge.yml", _laughs(random))
    elif chance < 0.9:
        source = damaged(random, random.choice(tables()), _TOML)
        document_read, _ = refused(ManifestError, read_toml, source, "pyproject.toml")
        if document_read is not None:
            _checked(random, manifest.tool_table(document_read))
    elif chance < 0.96:
        _loaded(random, "script.py", damaged(random, random.choice(scripts()), _SCRIPT))
    else:
        file = random.choice(("kedge.yml", "pyproject.toml", "script.py"))
        sources = {"kedge.yml": samples, "pyproject.toml": tables, "script.py": scripts}[file]()
        _loaded(random, file, damaged_bytes(random, random.choice(sources).encode()))


def _is_data(data: Any, depth: int = 0) -> bool:
    """Whether data is what a reader can give: no deeper than it goes, and text that is Unicode."""
    if depth > 60:
        return False
    if isinstance(data, dict):
        return all(
            isinstance(key, str) and _is_data(key) and _is_data(one, depth + 1)
            for key, one in data.items()
        )
    if isinstance(data, list):
        return all(_is_data(one, depth + 1) for one in data)
    return not isinstance(data, str) or not re.search("[\ud800-\udfff]", data)


def _laughs(random: Random) -> str:
    """YAML that is small and becomes large, or is searched for long."""
    match random.randrange(12):
        case 0:
            levels = random.choice((3, 9, 30))
            rows = [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]" for at in range(1, levels)]
            return "\n".join(["a0: &a0 x", *rows])
        case 1:
            rows = [
                f"x{at}: &b{at} {{<<: [*b{at - 1}, *b{at - 1}], k{at}: 1}}" for at in range(1, 40)
            ]
            return "\n".join(["x: &b0 {k: 1}", *rows])
        case 2:
            return "a: " + random.choice("[{") * random.choice((60, 70, 5000, 100_000))
        case 3:
            return "\n".join(
                f"{'k' * (at % 50)}{at}: {at}" for at in range(random.choice((100, 8000)))
            )
        case 4:
            return (
                "name: "
                + random.choice(("a", "\\", "*", "'", "\t", "é", "# ", "- ", "? ")) * 200_000
            )
        case 5:
            port = f"{{a: {expression(random, 2)}}}"
            rows = [f"      p{at}: *t" for at in range(900)]
            return "\n".join([f"x-t: &t {port}", "name: a", 'runtime: {kind: python, version: "3.12"}',
                              "functions:", "  f:", "    handler: main:f", "    inputs:", *rows])  # fmt: skip
        case 6:
            port = random.choice(("Flaot", "Length[", "list", "{type: Integer, default: x}", "1"))
            return _HEAD + "    handler: main:f\n    inputs:\n" + _rows(4000, f"      p%d: {port}")
        case 7:
            return _HEAD + "    handler: main:f\n" + _rows(4000, "    handlr%d: 1")
        case 8:
            block = random.choice(("{handler: man:f}", "{handlr: 1}", "{handler: main}", "1", "{}"))
            return _HEAD + "    handler: main:f\n" + _rows(4000, f"  f%d: {block}")
        case 9:
            key = random.choice("abc-é ") * 400_000
            return _HEAD + f'    handler: main:f\n    "{key}": 1\n  "{key}": 2\n"{key}": 3\n'
        case 10:
            fields = random.choice(("type: strin", "minimum: x", "properties: 1", "x-unit: mmm"))
            return (
                _HEAD
                + "    handler: main:f\n    inputs_schema:\n      properties:\n"
                + _rows(4000, f"        p%d: {{{fields}}}")
            )
        case _:
            return "\n".join(" " * at + "a:" for at in range(random.choice((60, 70, 1000))))


_HEAD: Final = 'name: a\nruntime: {kind: python, version: "3.12"}\nfunctions:\n  f:\n'


def _rows(count: int, row: str) -> str:
    return "\n".join(row % number for number in range(count))


def _loaded(random: Random, file: str, source: str | bytes) -> None:
    """A manifest as a file of a package."""
    root = package()
    path = os.path.join(root, file)
    data = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    Path(path).write_bytes(data)
    try:
        found, _ = refused(PackageError, manifest.load, path if file == "script.py" else root)
    finally:
        os.unlink(path)
    if found is not None:
        _usable(random, found)


def _checked(random: Random, document: Document) -> None:
    root = package()
    found, _ = refused(
        PackageError, manifest.check, document, root, os.path.join(root, "kedge.yml")
    )
    if found is not None:
        _usable(random, found)


def _usable(random: Random, found: manifest.LoadedPackage) -> None:
    """A manifest that is taken can be written down, and its ports and limits used."""
    judge_problems(found.warnings)
    as_record(
        [
            found.name,
            found.version,
            found.description,
            found.runtime,
            found.resources,
            found.quality,
        ]
    )
    for function in found.functions.values():
        as_record(
            [
                function.name,
                function.description,
                function.entrypoint,
                function.env,
                function.retries,
            ]
        )
        refused(TaskError, effective, found.resources, function.resources, None, _MACHINE)
        for side in (function.inputs, function.outputs):
            if side is None:
                continue
            as_record(side.to_schema())
            for port in side.properties.values():
                require(format_type(port), "a type that prints as nothing")
            judge_problems(check_inputs(side, {name(random): scalar(random)})[1])
    needed = found.runtime.get("requirements")
    if found.runtime["kind"] == "python":
        refused(
            KedgeError,
            requirements.declared,
            found.root if os.path.isdir(found.root) else package(),
            needed,
            "3.12",
        )


_CASES: Final = json.dumps(
    [
        {"name": "one", "inputs": {"a": 1}, "expected": {"b": {"approx": 2.5, "rel_tol": 1e-3}}},
        {
            "request": {"a": [1, 2]},
            "expected_outputs": {"b": [1.5, {"c": None}]},
            "tolerance": {"numeric": 0.1},
        },
        {"description": "fails", "inputs": {}, "raises": "ValueError"},
    ]
)
_CASE_WORDS: Final = (
    *TEXTS, "name", "inputs", "request", "expected", "tolerance", "numeric", "approx", "rel_tol", "raises", "test_cases",
    "handler", "function", "NaN", "1e999", '{"a": 1, "a": 2}', "[" * 2000, '{"test_cases": ', "null", "-1", "9" * 5000,
    "{}", "[]", '"', ",", "true",
)  # fmt: skip


@cache
def _tested() -> manifest.LoadedPackage:
    root = os.path.join(folder(), "tested")
    os.makedirs(os.path.join(root, "tests"))
    Path(root, "a.py").write_text("")
    Path(root, "kedge.yml").write_text(
        'name: a\nruntime: {kind: python, version: "3.12"}\n'
        "functions: {f: {handler: a:f, testcases: tests/cases.json, inputs: {a: File, b: 'list[Float]'}}}\n"
    )
    return manifest.load(root)


def testcase_case(random: Random) -> None:
    """A file of test cases: its cases, compared with anything; or every problem in it."""
    loaded = _tested()
    data = json.loads(_CASES)
    chance = random.random()
    if chance < 0.5:
        for _ in range(random.randrange(1, 4)):
            data = changed(random, data, _part)
        if random.random() < 0.3:
            data = {
                "test_cases": data,
                name(random): scalar(random),
                "handler": random.choice(("a:f", "f", "x", 1)),
            }
        try:
            source = json.dumps(data)
        except (ValueError, RecursionError):
            source = "[" * 100_000
    else:
        source = damaged(random, _CASES, _CASE_WORDS)
    written = source.encode("utf-8", "surrogatepass")
    if chance > 0.9:
        written = damaged_bytes(random, written)
    named = random.random() < 0.5
    path = os.path.join(loaded.root, "tests", "cases.json" if named else "test_found.json")
    Path(path).write_bytes(written)
    try:
        cases, _ = refused(ManifestError, testcases.load_cases, loaded)
    finally:
        os.unlink(path)
    for case in cases or []:
        inputs = loaded.functions["f"].inputs
        assert inputs is not None
        case.staged(inputs)
        for difference in case.differences({"b": value(random), "c": value(random, hostile=True)}):
            judge_text(difference)
        judge_text(case.name)


def requirement_case(random: Random) -> None:
    """Requirements as a list or a file of the package: taken in one form, or refused."""
    lines = [
        damaged(random, random.choice(_REQUIREMENTS[:12]), (*_REQUIREMENTS, *TEXTS), 2)
        if random.random() < 0.7
        else random.choice((*_REQUIREMENTS, text(random)))
        for _ in range(random.randrange(1, 4))
    ]
    for line in lines:
        problem = specifications.problem_with(line)
        if problem is not None:
            require(problem[0].strip() and problem[1].strip(), "a refusal without words")
            judge_text(problem[0])
        specifications.name_of(line)
        specifications.hashes_of(line)
        specifications.without_hashes(line)
    root = package()
    field: Any = random.choice(
        (True, None, lines, lines, [scalar(random)], "other.txt", text(random), lines[0])
    )
    written = {}
    if field in (True, "other.txt"):
        written["requirements.txt" if field is True else "other.txt"] = "\n".join(lines)
    elif field is None:
        written["pyproject.toml"] = _project(random, lines)
    for file, content in written.items():
        data = content.encode("utf-8", "surrogatepass")
        Path(root, file).write_bytes(damaged_bytes(random, data) if random.random() < 0.1 else data)
    try:
        found, _ = refused(ManifestError, requirements.declared, root, field, "3.12")
    finally:
        for file in written:
            os.unlink(os.path.join(root, file))
        Path(root, "requirements.txt").write_text("")
    if found is not None:
        require(found.digest, "a declaration without a digest")
        as_record(found.strings)


def _project(random: Random, lines: list[str]) -> str:
    source = f'[project]\nname = "a"\ndynamic = ["version"]\ndependencies = {json.dumps(lines)}\n'
    return damaged(random, source, _TOML) if random.random() < 0.5 else source
