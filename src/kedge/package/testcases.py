"""A package's test cases: JSON files that the manifest names, and `tests/test_*.json`."""

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data
from kedge.errors import ManifestError, Problem, Where, nearest
from kedge.package.compare import compare, is_approx
from kedge.package.declaration import LoadedPackage
from kedge.package.document import described
from kedge.package.reading import read_text, shown
from kedge.ports import Ports, kind_of

MAX_BYTES: Final = 64 << 20  # of one case file: a table of references is data, and may be large
FOLDER: Final = "tests"
_FOUND: Final = re.compile(r"test_.*\.json")
_CASES: Final = "test_cases"
_CASE_KEYS: Final = (
    "name", "description", "inputs", "request", "expected", "expected_outputs", "tolerance", "raises",
)  # fmt: skip
_FILE_KEYS: Final = (_CASES, "handler", "function", "name", "description", "tolerance")


class TestCase(Data):
    """One case: inputs of a function and what it should give.

    Args:
        function: the function's name in the manifest.
        name: of the case, `case 3` when it has none.
        inputs: as written; `staged` makes File values host paths.
        expected: outputs, possibly only some of them; None when it should raise, {} for a smoke test.
        raises: name of the exception that it should raise, None for none.
        tolerance: greatest absolute difference of numbers, None for equal up to rounding.
        description: text for people.
        file: path of the case file.
        where: the case in it.
    """

    __test__ = False  # to pytest, a class by this name looks like tests

    function: str
    name: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any] | None
    raises: str | None = None
    tolerance: float | None = None
    description: str = ""
    file: str = ""
    where: Where | None = None

    def staged(self, inputs: Ports) -> dict[str, Any]:
        """The inputs with the values of File and Folder ports as absolute host paths."""
        folder = os.path.dirname(os.path.abspath(self.file))
        return {
            name: _on_host(value, folder)
            if kind_of(inputs.properties.get(name, {})) in ("file", "files", "folder")
            else value
            for name, value in self.inputs.items()
        }

    def differences(self, outputs: Mapping[str, Any]) -> list[str]:
        """Where `outputs` are not what the case expects; see `compare`."""
        return compare(self.expected or {}, outputs, self.tolerance)


def load_cases(package: LoadedPackage, function: str | None = None) -> list[TestCase]:
    """The test cases of a package, those that the manifest names first.

    Args:
        package: the package.
        function: only this one's, all when None.

    Raises:
        ManifestError: all problems in all case files that were read.
    """
    folder = package.root if os.path.isdir(package.root) else os.path.dirname(package.root)
    problems: list[Problem] = []
    cases: list[TestCase] = []
    named: set[str] = set()
    for name, declaration in package.functions.items():
        if declaration.testcases is None:
            continue
        path = os.path.join(folder, declaration.testcases)
        named.add(os.path.realpath(path))
        if not os.path.isfile(path):
            message = f"`testcases` of `{name}` names {described(declaration.testcases)}, which is not there"
            hint = "correct the path; it starts at the package's root"
            problems.append(Problem(message, declaration.where, hint))
        elif function in (None, name):
            cases += _CaseFile(path, problems).cases([name])
    if os.path.isdir(package.root):
        for path in _found(folder):
            if os.path.realpath(path) not in named:
                cases += [
                    case
                    for case in _CaseFile(path, problems).matched(package)
                    if function in (None, case.function)
                ]
    if problems:
        raise ManifestError.of(problems, "the test cases")
    return cases


def _found(folder: str) -> list[str]:
    try:
        entries = sorted(os.listdir(os.path.join(folder, FOLDER)))
    except OSError:
        return []
    return [os.path.join(folder, FOLDER, name) for name in entries if _FOUND.fullmatch(name)]


def _on_host(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        return os.path.normpath(os.path.join(folder, value))
    if isinstance(value, list):
        return [_on_host(item, folder) for item in value]
    return value


class _CaseFile:
    """One file being read; what is wrong goes to the list of problems that all files share."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.file = shown(path)
        self.problems = problems
        self.data: Any = None
        self._lines: list[tuple[int, int]] = []
        try:
            text = read_text(path, self.file, limit=MAX_BYTES)
            self.data = json.loads(
                text, object_pairs_hook=self._object, parse_constant=self._constant
            )
            self._lines = _case_places(text)
        except ManifestError as error:
            problems += error.problems
        except json.JSONDecodeError as error:
            where = Where(self.file, error.lineno, error.colno)
            reason = error.msg[:1].lower() + error.msg[1:]
            problems.append(
                Problem(f"{self.file} is not JSON: {reason}", where, "correct the syntax")
            )
        except (ValueError, RecursionError):
            message = f"{self.file} nests too deep or holds a number of thousands of digits"
            problems.append(Problem(message, Where(self.file), "make it simpler"))

    def matched(self, package: LoadedPackage) -> list[TestCase]:
        """The cases for the functions that the file's own `handler` or `function` names."""
        if self.data is None:
            return []
        data = self.data if isinstance(self.data, dict) else {}
        for key in ("handler", "function"):
            if key in data:
                wanted = data[key]
                names = [
                    name
                    for name, declaration in package.functions.items()
                    if wanted in (name, declaration.handler)
                ]
                if names:
                    return self.cases(names)
                known = sorted(
                    {*package.functions}
                    | {f.handler for f in package.functions.values() if f.handler}
                )
                close = nearest(wanted, tuple(known)) if isinstance(wanted, str) else None
                self._note(
                    f"`{key}` is {described(wanted)}, which no function of the package has",
                    f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}",
                    key,
                )
                return []
        self._note(
            f"{self.file} does not say which function it is for",
            'add "function": its name, or name the file under `testcases` in the manifest',
        )
        return []

    def cases(self, functions: list[str]) -> list[TestCase]:
        """The file's cases, once for each of `functions`."""
        if self.data is None:
            return []
        raw, tolerance = self.data, None
        if isinstance(raw, dict):
            for key in raw:
                if key not in _FILE_KEYS:
                    self._unknown(key, _FILE_KEYS, "")
            tolerance = self._tolerance(raw.get("tolerance"), "tolerance")
            if _CASES not in raw:
                self._note(
                    f"{self.file} has no `{_CASES}`", f'an object has them under "{_CASES}": [...]'
                )
                return []
            raw = raw[_CASES]
        if not isinstance(raw, list):
            self._note(
                f"the test cases are {described(raw)}, expected a list",
                '[{"name": "...", "inputs": {...}, "expected": {...}}]',
            )
            return []
        read = [self._case(item, number, tolerance) for number, item in enumerate(raw)]
        return [
            case for function in functions for make in read if make and (case := make(function))
        ]

    def _case(self, item: Any, number: int, tolerance: float | None) -> Any:
        at = f"[{number}]"
        if not isinstance(item, dict):
            self._note(f"case {number + 1} is {described(item)}, expected an object", "{}", at)
            return None
        before = len(self.problems)
        for key in item:
            if key not in _CASE_KEYS:
                self._unknown(key, _CASE_KEYS, at)
        inputs = self._one_of(item, "inputs", "request", at)
        expected = self._one_of(item, "expected", "expected_outputs", at)
        raises = self._typed(item, "raises", at)
        name = self._typed(item, "name", at) or f"case {number + 1}"
        description = self._typed(item, "description", at) or ""
        own = self._tolerance(item.get("tolerance"), f"{at}.tolerance")
        if raises is not None and expected:
            hint = "keep one: a function that raises gives no outputs"
            self._note("`raises` and `expected` stand in one case", hint, at)
        self._check_approx(expected, f"{at}.expected")
        if len(self.problems) > before:
            return None
        line, column = self._lines[number] if number < len(self._lines) else (None, None)
        where = Where(self.file, line, column, at)
        return lambda function: TestCase(
            function=function,
            name=name,
            inputs=inputs or {},
            expected=None if raises is not None else expected or {},
            raises=raises,
            tolerance=own if own is not None else tolerance,
            description=description,
            file=self.path,
            where=where,
        )

    def _one_of(self, item: dict[str, Any], key: str, other: str, at: str) -> Any:
        if key in item and other in item:
            self._note(
                f"`{key}` and `{other}` stand in one case", "keep one: they mean the same", at
            )
            return None
        name = key if key in item else other
        value = item.get(name)
        if value is not None and not isinstance(value, dict):
            self._note(
                f"`{name}` is {described(value)}, expected an object by port",
                '{"x": 1}',
                f"{at}.{name}",
            )
            return None
        return value

    def _typed(self, item: dict[str, Any], key: str, at: str) -> str | None:
        value = item.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self._note(
            f"`{key}` is {described(value)}, expected a text", "put it in quotes", f"{at}.{key}"
        )
        return None

    def _tolerance(self, value: Any, at: str) -> float | None:
        if value is None:
            return None
        numeric = value.get("numeric") if isinstance(value, dict) else None
        if isinstance(value, dict) and set(value) <= {"numeric"} and _is_tolerance(numeric):
            return None if numeric is None else float(numeric)
        self._note(
            f"`tolerance` is {described(value)}, expected an object with `numeric`, a number from 0",
            '"tolerance": {"numeric": 0.01}',
            at,
        )
        return None

    def _check_approx(self, expected: Any, at: str) -> None:
        if isinstance(expected, dict) and "approx" in expected and is_approx(expected):
            numbers = [expected["approx"]]
            tolerances = [expected.get("rel_tol"), expected.get("abs_tol")]
            if not all(map(_is_finite, numbers)) or not all(map(_is_tolerance, tolerances)):
                self._note(
                    "`approx`, `rel_tol` and `abs_tol` are numbers, the tolerances from 0",
                    '{"approx": 132.7, "rel_tol": 1e-3}',
                    at,
                )
            return
        inner = expected.items() if isinstance(expected, dict) else ()
        for key, value in inner:
            self._check_approx(value, f"{at}.{key}")
        for index, value in enumerate(expected if isinstance(expected, list) else ()):
            self._check_approx(value, f"{at}[{index}]")

    def _unknown(self, key: str, known: tuple[str, ...], at: str) -> None:
        close = nearest(key, known)
        hint = f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}"
        self._note(f"{described(key)} is not a key of a test case", hint, at)

    def _note(self, message: str, hint: str, at: str = "") -> None:
        number = re.match(r"\[(\d+)\]", at)
        index = int(number[1]) if number else len(self._lines)
        line, column = self._lines[index] if index < len(self._lines) else (None, None)
        self.problems.append(Problem(message, Where(self.file, line, column, at or None), hint))

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                self._note(f"{described(key)} is given twice in one object", "keep one of the two")
            found[key] = value
        return found

    def _constant(self, text: str) -> None:
        self._note(f"`{text}` is not a JSON number", "JSON has no NaN and no Infinity")


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_tolerance(value: Any) -> bool:
    return value is None or (_is_finite(value) and value >= 0)


_SPACE: Final = re.compile(r"[ \t\r\n]*")


def _case_places(text: str) -> list[tuple[int, int]]:
    """Line and column of each case in a text that is known to be JSON; empty for any other shape."""
    decoder = json.JSONDecoder()

    def skip(at: int) -> int:
        found = _SPACE.match(text, at)
        return found.end() if found else at

    at = skip(0)
    while text[at : at + 1] == "{":  # the object form: find the list under its key
        at = skip(at + 1)
        while text[at : at + 1] == '"':
            key, at = decoder.raw_decode(text, at)
            at = skip(skip(at) + 1)  # the colon
            if key == _CASES:
                break
            _, at = decoder.raw_decode(text, at)
            at = skip(skip(at) + 1)  # the comma
        else:
            return []
        break
    places: list[tuple[int, int]] = []
    if text[at : at + 1] != "[":
        return places
    line, counted, line_start = 1, 0, 0
    at = skip(at + 1)
    while text[at : at + 1] not in ("]", ""):
        line += text.count("\n", counted, at)
        line_start = text.rfind("\n", 0, at) + 1
        counted = at
        places.append((line, at - line_start + 1))
        _, at = decoder.raw_decode(text, at)
        at = skip(at)
        if text[at : at + 1] == ",":
            at = skip(at + 1)
    return places
