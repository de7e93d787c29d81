"""The table of results: a row for each case, as CSV or JSON Lines, readable at any moment.

Rows are appended as they come, each by one write; the table is put into the order of the cases at the end,
by a new file that takes the place of the old one. Only where a row lies in the file is held in memory.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, final

from kedge.cli.result import value_text
from kedge.cli.table_cases import JSON_LINES, mark_of
from kedge.errors import StoreError, UsageError

STATUS: Final = ("_status", "_run", "_wall_s", "_error")  # what stands behind inputs and outputs
_UNFINISHED: Final = ".unfinished"  # behind the name of a table that is being put in order

Row = Mapping[str, Any]


def earlier_runs(path: str) -> Iterator[str]:
    """The runs that succeeded by a table of results; none when there is no table. A torn end is survived.

    Raises:
        UsageError: the file is something else, which must not be overwritten.
    """
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise UsageError(
            f"the results cannot be written to `{path}`",
            hint="name a file in a folder that is there",
        )
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            if path.lower().endswith(JSON_LINES):
                yield from _runs_in_json(path, file)
            else:
                yield from _runs_in_csv(path, file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(path, error) from error


@final
class ResultTable:
    """A table of results in the file `path`, which `begin` makes anew.

    Args:
        path: a `.csv` or `.jsonl` file; a symbolic link is followed.
        inputs: the input columns.
        outputs: the output columns as far as they are known; `add` adds those that a row brings.

    Raises, in every method:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._path = os.path.realpath(path)
        self._is_json = path.lower().endswith(JSON_LINES)
        self._mark = mark_of(path)
        self._columns = [*inputs, *outputs, *STATUS]
        self._places: dict[int, tuple[int, int]] = {}
        self._file: int | None = None
        self._end = 0

    def begin(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Write the table with these rows, by the numbers of their cases; they bring no new columns."""
        self._replace((number, self._line(row)) for number, row in rows)

    def add(self, number: int, row: Row) -> None:
        """Append the row of one more case."""
        if new := self._new_columns(row):
            self._widen(new)
        line = self._line(row)
        assert self._file is not None
        try:
            _write(self._file, line)
        except OSError as error:
            os.ftruncate(self._file, self._end)  # no half of a row stays
            raise _refused(self._path, error) from error
        self._places[number] = (self._end, len(line))
        self._end += len(line)

    def finish(self) -> None:
        """Put the rows into the order of the cases."""
        places = list(self._places.items())
        if places != sorted(places):
            self._replace((number, self._text(*place)) for number, place in sorted(places))
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _new_columns(self, row: Row) -> list[str]:
        return [] if self._is_json else [name for name in row if name not in self._columns]

    def _widen(self, new: list[str]) -> None:
        """Add columns, to the rows that are there as well."""
        before = tuple(self._columns)
        self._columns[-len(STATUS) : -len(STATUS)] = new
        self._replace(
            (
                number,
                self._line(
                    dict(
                        zip(
                            before,
                            next(csv.reader(_lines(text), delimiter=self._mark)),
                            strict=True,
                        )
                    )
                ),
            )
            for number, text in [(one, self._text(*place)) for one, place in self._places.items()]
        )

    def _line(self, row: Row) -> bytes:
        if self._is_json:
            return json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        return self._csv_line([_cell(row.get(name)) for name in self._columns])

    def _csv_line(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._mark, lineterminator="\n").writerow(cells)
        return text.getvalue().encode(errors="backslashreplace")

    def _text(self, start: int, length: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file, length, start)

    def _replace(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Put a new file with these lines into the place of the old one, and go on with it."""
        path = self._path + _UNFINISHED
        places: dict[int, tuple[int, int]] = {}
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            file = os.open(path, flags, 0o666)
            try:
                end = 0
                if not self._is_json:
                    end += _write(file, self._csv_line(self._columns))
                for number, line in lines:
                    places[number] = (end, len(line))
                    end += _write(file, line)
                os.fsync(file)
                os.replace(path, self._path)
            except BaseException:
                os.close(file)
                os.unlink(path)
                raise
        except OSError as error:
            raise _refused(self._path, error) from error
        self.close()
        self._file, self._places, self._end = file, places, end


def _cell(value: Any) -> str:
    return "" if value is None else value_text(value)


def _lines(text: bytes) -> io.StringIO:
    return io.StringIO(text.decode(), newline="")


def _write(file: int, data: bytes) -> int:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    return len(data)


def _runs_in_csv(path: str, file: io.TextIOWrapper) -> Iterator[str]:
    reader = csv.DictReader(file, delimiter=mark_of(path))
    header = reader.fieldnames
    if header is None:
        return
    if not set(STATUS) <= set(header):
        raise _foreign(path)
    try:
        for row in reader:
            if row["_status"] == "succeeded" and row["_run"]:
                yield row["_run"]
    except csv.Error:
        return  # the rest cannot be read, and is run again


def _runs_in_json(path: str, file: io.TextIOWrapper) -> Iterator[str]:
    for line in file:
        try:
            row = json.loads(line)
        except ValueError:
            if line.startswith("{") and not line.endswith("\n"):
                return  # torn
            raise _foreign(path) from None
        if not isinstance(row, dict) or not set(STATUS) <= set(row):
            raise _foreign(path)
        if row["_status"] == "succeeded" and isinstance(row["_run"], str):
            yield row["_run"]


def _foreign(path: str) -> UsageError:
    return UsageError(
        f"`{path}` is there, and is no table of results that `kedge map` wrote",
        hint="name another file, or remove it",
    )


def _refused(path: str, error: OSError) -> StoreError:
    return StoreError(
        f"the results cannot be written to `{path}`: {error.strerror}",
        hint="make room or name another file; what has succeeded is not run again",
    )
