"""Text for terminals and tables: shown, never obeyed. Nothing here writes."""

import re
from typing import Final

# What acts on a terminal instead of being shown: control characters (C1 too, where CSI is one character),
# what turns the direction of writing round, line separators, halves of characters. Lines and tabs stay.
ACTING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text of anybody's that a terminal shows and does not obey; lines stay lines.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """Text as `printable` shows it, with what would start a line escaped as well."""
    return printable(text).replace("\n", "\\n")


def indented(text: str) -> str:
    """Text whose further lines cannot be taken for lines of Kedge's own."""
    return text.replace("\n", "\n  ")


def table(rows: list[list[str]], header: list[str] | None = None) -> str:
    """Columns aligned with two spaces between them, the last one ragged and of as many lines as it has.

    >>> print(table([["a", "1"], ["long", "2"]]))
    a     1
    long  2
    """
    given = ([header] if header else []) + rows
    if not given:
        return ""
    every = [[*(one_line(cell) for cell in row[:-1]), printable(row[-1])] for row in given]
    widths = [max(_width(row[column]) for row in every) for column in range(len(every[0]) - 1)]
    margin = " " * sum(width + 2 for width in widths)
    lines = []
    for row in every:
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)
        ]
        last = row[-1].replace("\n", f"\n{margin}")
        lines.append("  ".join((*cells, last)).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    import unicodedata

    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
