"""A table of cases: the inputs of many runs, a row each, as CSV or JSON Lines.

The table is read twice and never held: once to say everything that is wrong with it before anything
starts, once while its rows are run.
"""

import csv
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

from kedge.cli.values import INPUTS_LIMIT, with_pairs
from kedge.data import Data
from kedge.errors import InputError, KedgeError, Problem, UsageError, Where, nearest
from kedge.ports import Ports, check_inputs, kind_of, mask, set_path

JSON_LINES: Final = (".jsonl", ".ndjson")
_TABS: Final = (".tsv", ".tab")
# Problems of a table that are told one by one: more are most likely the same again.
_TOLD: Final = 20
_COUNTED: Final = 1000  # problems after which nobody needs to know how many more there are


class Case(Data):
    """One row.

    Args:
        number: from 1, empty lines not counted.
        line: where it ends in the file, from 1.
        cells: what stands in the table, by column; texts in CSV, JSON values in JSON Lines.
        inputs: the values that it gives the function, by port, checked.
        key: names these values; secrets do not take part.
    """

    number: int
    line: int
    cells: Mapping[str, Any]
    inputs: Mapping[str, Any]
    key: bytes


class Contents(Data):
    """What a table holds: its columns, in order, and the key of each row."""

    columns: tuple[str, ...]
    keys: tuple[bytes, ...]


class _Row(Data):
    number: int
    line: int
    cells: dict[str, Any]
    problem: str | None = None


@final
class CaseTable:
    """The table in the file `path`, for a function's input ports.

    Args:
        path: a `.csv`, `.tsv` or `.jsonl` file; paths in it count from its folder.
        ports: the function's inputs; a column is named for one, or `bolt.d` for a field of one.
        pairs: values for all rows, `name`, `text`, as on the command line.

    Raises:
        UsageError: the file is not there, or is none that can be read twice.
        InputError: `pairs` that are no values of their ports.
    """

    def __init__(self, path: str, ports: Ports, pairs: Sequence[tuple[str, str]]) -> None:
        self.path = path
        self.ports = ports
        self._named = [name for name, _ in pairs]
        self._constants = with_pairs({}, pairs, ports)
        self._folder = os.path.dirname(os.path.abspath(path))
        self._is_json = path.lower().endswith(JSON_LINES)
        csv.field_size_limit(INPUTS_LIMIT)
        try:
            regular = stat.S_ISREG(os.stat(path).st_mode)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not regular:
            raise UsageError(
                f"`{path}` is not a file, and a table is read twice",
                hint="write the cases into a .csv or .jsonl file first",
            )

    def check(self) -> Contents:
        """Read every row, once.

        Raises:
            InputError: everything that is wrong with columns and cells, with the rows' numbers.
        """
        found = _Problems()
        columns: dict[str, None] = {}
        settled = self._check_columns(columns, found)
        keys: list[bytes] = []
        for row in self._rows():
            columns |= dict.fromkeys(row.cells)
            case, problems = self._case(row)
            keys.append(case.key)
            for problem in problems:
                path = problem.where.path if problem.where else None
                if path is None or _root(path) not in settled:
                    place = Where(self.path, row.line, path=path)
                    found.add(Problem(f"row {row.number}: {problem.message}", place, problem.hint))
            if found.count > _COUNTED:
                break
        if found.count:
            raise InputError.of(found.told(), f"`{self.path}`")
        return Contents(tuple(columns), tuple(keys))

    def cases(self, contents: Contents) -> Iterator[Case]:
        """The rows again, as `check` found them.

        Raises:
            InputError: the file was changed since.
        """
        number = 0
        for row in self._rows():
            case, problems = self._case(row)
            number = row.number
            if problems or number > len(contents.keys) or case.key != contents.keys[number - 1]:
                raise self._changed(row)
            yield case
        if number < len(contents.keys):
            raise self._changed(None)

    def _changed(self, row: _Row | None) -> InputError:
        return InputError(
            f"`{self.path}` changed while its rows were run",
            where=Where(self.path, row.line) if row else Where(self.path),
            hint="give the same command again: what has succeeded is kept",
        )

    def _check_columns(self, columns: dict[str, None], found: "_Problems") -> set[str]:
        """Check a CSV file's header; the ports about which everything is said thereby."""
        if self._is_json:
            return set()
        header = next(self._csv_lines(), (1, []))[1]
        columns |= dict.fromkeys(header)
        place = Where(self.path, 1)
        settled: set[str] = set()
        if len(header) == 1 and (mark := next((one for one in ";\t" if one in header[0]), None)):
            message = f"the columns are separated by {'semicolons' if mark == ';' else 'tabs'}"
            hint = "write it with commas, or name a file with tabs .tsv"
            found.add(Problem(message, place, hint))
            return {*header, *self.ports.properties}
        for position, name in enumerate(header, start=1):
            if not name:
                found.add(
                    Problem(f"column {position} has no name", place, "name an input above it")
                )
            elif header.index(name) < position - 1:
                found.add(Problem(f"the column `{name}` stands there twice", place, "remove one"))
            elif name in self._named:
                hint = "give it once, in the table or after the function"
                found.add(Problem(f"`{name}` is a column and is given besides", place, hint))
            elif self.ports.schema_of(_root(name)) is None:
                close = nearest(_root(name), list(self.ports.properties))
                inputs = ", ".join(self.ports.properties) or "none"
                hint = f"did you mean `{close}`?" if close else f"the inputs are: {inputs}"
                found.add(Problem(f"the column `{name}` is no input of the function", place, hint))
                settled.add(_root(name))
        given = {_root(name) for name in (*header, *self._named)}
        for name in self.ports.properties:
            if name in self.ports.required and name not in given:
                hint = f"add a column `{name}`, or give {name}=VALUE for all rows"
                found.add(Problem(f"no column gives the input `{name}`", place, hint))
                settled.add(name)
        return settled

    def _case(self, row: _Row) -> tuple[Case, list[Problem]]:
        problems = [Problem(row.problem)] if row.problem else []
        values = dict(self._constants)
        for column, cell in row.cells.items():
            try:
                values = self._with_cell(values, column, cell)
            except KedgeError as error:
                problems += error.problems
        wrong = {_root(one.where.path) for one in problems if one.where and one.where.path}
        inputs, more = check_inputs(self.ports, values)
        problems += [
            one
            for one in more
            if not (one.where and one.where.path and _root(one.where.path) in wrong)
        ]
        return Case(row.number, row.line, row.cells, inputs, _key(self.ports, inputs)), problems

    def _with_cell(self, values: dict[str, Any], column: str, cell: Any) -> dict[str, Any]:
        schema = self.ports.schema_of(_root(column))
        is_file = schema is not None and "." not in column and kind_of(schema) != "value"
        if not self._is_json:
            if cell == "":
                return values
            values = set_path(values, column, cell, self.ports)
        elif "." in column:
            values = _placed(values, column.split("."), cell)
        else:
            values = values | {column: cell}
        if is_file:
            values[column] = self._from_folder(values[column])
        return values

    def _from_folder(self, value: Any) -> Any:
        """A path, or several, of a table as seen from anywhere."""
        if isinstance(value, list):
            return [self._from_folder(one) for one in value]
        return os.path.join(self._folder, value) if isinstance(value, str) and value else value

    def _rows(self) -> Iterator[_Row]:
        return self._json_rows() if self._is_json else self._csv_rows()

    def _csv_rows(self) -> Iterator[_Row]:
        lines = self._csv_lines()
        _, header = next(lines, (1, []))
        number = 0
        for line, cells in lines:
            if not cells:
                continue
            number += 1
            problem = None
            if len(cells) != len(header):
                problem = f"it has {len(cells)} cells, and there are {len(header)} columns"
            yield _Row(number, line, dict(zip(header, cells, strict=False)), problem)

    def _csv_lines(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of each line, the header's first, and the line where they end."""
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=mark_of(self.path), strict=True)
                try:
                    for cells in reader:
                        yield reader.line_num, cells
                except csv.Error as error:
                    raise InputError(
                        f"the table cannot be read: {error}",
                        where=Where(self.path, reader.line_num),
                        hint='a cell with quotes is written "in quotes, with two "" for one"',
                    ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.path, error) from error

    def _json_rows(self) -> Iterator[_Row]:
        from kedge.contract.hostile import RefusedError, parse_object

        number = 0
        try:
            with open(self.path, "rb") as file:
                for line, data in enumerate(iter(lambda: file.readline(INPUTS_LIMIT), b""), 1):
                    if not data.strip():
                        continue
                    number += 1
                    try:
                        cells: dict[str, Any] = parse_object(data)
                    except RefusedError as error:
                        yield _Row(number, line, {}, f"the line {error}")
                        continue
                    twice = [f"`{name}`" for name in cells if name in self._named]
                    again = f"{', '.join(twice)} is given besides" if twice else None
                    yield _Row(number, line, cells, again)
        except OSError as error:
            raise _unreadable(self.path, error) from error


class _Problems:
    """The first problems that were met, and how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Problem] = []

    def add(self, problem: Problem) -> None:
        self.count += 1
        if len(self._first) < _TOLD:
            self._first.append(problem)

    def told(self) -> list[Problem]:
        more = self.count - len(self._first)
        if not more:
            return self._first
        number = f"more than {_COUNTED}" if self.count > _COUNTED else f"{more}"
        return [*self._first, Problem(f"and {number} more", hint="correct these first")]


def _placed(values: dict[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    """`values` with one more at the end of a path; `values` itself stays as it is."""
    name, *rest = names
    if not rest:
        return values | {name: value}
    inner = values.get(name, {})
    if not isinstance(inner, dict):
        path = ".".join(names)
        raise InputError(
            f"`{name}` already has a value without fields, so `{path}` cannot be set",
            where=Where(path=name),
            hint=f"give `{name}` or its fields, not both",
        )
    return values | {name: _placed(inner, rest, value)}


def _key(ports: Ports, inputs: Mapping[str, Any]) -> bytes:
    """Names the inputs of a run as the record has them."""
    text = json.dumps(mask(ports, inputs), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).digest()[:16]


def mark_of(path: str) -> str:
    """What stands between the cells of a table with this name."""
    return "\t" if path.lower().endswith(_TABS) else ","


def recorded_key(inputs: Mapping[str, Any]) -> bytes:
    """The key of a case whose run was recorded with these inputs."""
    return _key(Ports(), inputs)


def _root(path: str) -> str:
    """The port of a path such as `bolt.d` or `loads[2]`."""
    return path.split(".")[0].split("[")[0]


def _unreadable(path: str, error: OSError | UnicodeDecodeError) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        return UsageError(
            f"`{path}` is not UTF-8 text: byte {error.start} cannot be read",
            hint="save the table as CSV in UTF-8",
        )
    return UsageError(
        f"the table `{path}` cannot be read: {error.strerror}",
        hint="name a .csv file with a header, or a .jsonl file with one object a line",
    )
