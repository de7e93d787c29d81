"""What Kedge reads in a Dockerfile: its instructions with their lines, and the images that it needs."""

import pytest

from kedge.package.dockerfile import bases, instructions


def read(source: str) -> list[tuple[str, str, int]]:
    return [(one.word, one.text, one.line) for one in instructions(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("", []), ("# only\n\n  # comments\n", []),
        ("FROM a\nrun b  c \n", [("FROM", "a", 1), ("RUN", "b  c", 2)]),
        ("FROM\tdebian:12", [("FROM", "debian:12", 1)]), ("\ufeffFROM a\r\nRUN b\r\n", [("FROM", "a", 1), ("RUN", "b", 2)]),
        ("RUN", [("RUN", "", 1)]), ("\\\n", []),
        # Parts of one instruction.
        ("RUN a \\\n    && b\nUSER c", [("RUN", "a && b", 1), ("USER", "c", 3)]),
        ("RUN a \\\n\n# between\n  b", [("RUN", "a b", 1)]), ("FROM deb\\\nian", [("FROM", "debian", 1)]),
        ("RUN a \\  \n b", [("RUN", "a b", 1)]), ("RUN a \\", [("RUN", "a", 1)]),
        # The escape directive.
        ("# escape=`\nRUN a `\n b\nRUN c:\\\nRUN d", [("RUN", "a b", 2), ("RUN", "c:\\", 4), ("RUN", "d", 5)]),
        ("# syntax=x\n# Escape = `\nRUN a `\n b", [("RUN", "a b", 3)]),
        ("# words\n# escape=`\nRUN a `\nRUN b", [("RUN", "a `", 3), ("RUN", "b", 4)]),
        # Here-documents.
        ("RUN <<EOF\nFROM no\nEOF\nUSER a", [("RUN", "<<EOF", 1), ("USER", "a", 4)]),
        ("RUN <<-'END' cat\nx\n\tEND\nUSER a", [("RUN", "<<-'END' cat", 1), ("USER", "a", 4)]),
        ('COPY <<A <<"B" /\nx\nA\ny\nB\nUSER a', [("COPY", '<<A <<"B" /', 1), ("USER", "a", 6)]),
        ("RUN 3<<E\n E\nE\nUSER a", [("RUN", "3<<E", 1), ("USER", "a", 4)]),
        # What looks like one.
        ("RUN echo $((1<<N))\nN\nUSER a", [("RUN", "echo $((1<<N))", 1), ("N", "", 2), ("USER", "a", 3)]),
        ("RUN bash -c 'cat <<<hello'\nUSER a", [("RUN", "bash -c 'cat <<<hello'", 1), ("USER", "a", 2)]),
        ("RUN cat <<<E\nE", [("RUN", "cat <<<E", 1), ("E", "", 2)]),
        ('RUN ["sh", "-c", "cat <<E"]\nE', [("RUN", '["sh", "-c", "cat <<E"]', 1), ("E", "", 2)]),
        ("RUN x 'a <<E'\nE", [("RUN", "x 'a <<E'", 1), ("E", "", 2)]),
        ("RUN cat <<E\nUSER a", [("RUN", "cat <<E", 1), ("USER", "a", 2)]),
        ("LABEL a=<<E\nE", [("LABEL", "a=<<E", 1), ("E", "", 2)]),
    ],
)  # fmt: skip
def test_instructions(source: str, found: list[tuple[str, str, int]]) -> None:
    assert read(source) == found


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("FROM a", ["a"]), ("from\ta:1 as x\nFROM x\nFROM X\nfrom b", ["a:1", "b"]), ("FROM scratch", []),
        ("FROM --platform=$BUILDPLATFORM a AS b\nFROM a", ["a"]), ("FROM", []), ("RUN x", []),
        # Arguments.
        ("ARG A=1\nFROM a:$A", ["a:1"]), ("ARG A=1 B='2'\nFROM a:${A}-${B}", ["a:1-2"]),
        ('ARG A="1"\nARG B=$A.2\nFROM a:$B', ["a:1.2"]), ("ARG A\nFROM a:$A", ["a:$A"]),
        ("ARG GIVEN\nFROM a:$GIVEN", ["a:$A"]), ("FROM a:$GIVEN", ["a:$GIVEN"]), ("ARG A=it's\nFROM a", ["a"]),
        ("FROM a\nARG A=1\nFROM b:${A:-2}", ["a", "b:2"]),
        ("ARG E=\nFROM a:${E:-9}", ["a:9"]), ("ARG E=\nFROM a${E-9}", ["a"]), ("FROM a:${V-9}", ["a:9"]),
        ("ARG A=1\nFROM a${A:+:x}${V:+:y}", ["a:x"]), ("ARG E=\nFROM a${E+:x}${E:+:y}", ["a:x"]),
        ("ARG A=1\nFROM a:${A:?no}", ["a:1"]), ("FROM a:${V:?no}", ["a:${V:?no}"]), ("ARG A=1\nFROM a:${V-$A}", ["a:1"]),
        # Images that files come from.
        ("FROM a AS x\nCOPY --from=x / /\nCOPY --from=0 / /\nCOPY --chown=1 --from=b:2 /a /b", ["a", "b:2"]),
        ("FROM a\nCOPY --from=a / /\nCOPY x --from=b /", ["a"]), ("FROM a\nCOPY --from=$B / /", ["a"]),
        ("ARG V=1\nFROM a\nCOPY --from=b:$V / /", ["a", "b:1"]),
        ("FROM a AS X\nRUN --mount=type=bind,from=b,target=/b --mount=from=x,target=/x c", ["a", "b"]),
        ("FROM a\nRUN c --mount=type=bind,from=b", ["a"]), ("FROM a\nADD --from=b / /", ["a"]),
        ("FROM a\nCOPY --from=later / /\nFROM b AS later", ["a", "later", "b"]),
    ],
)  # fmt: skip
def test_images_that_it_needs(source: str, needed: list[str]) -> None:
    assert bases(instructions(source), {"GIVEN": "$A", "UNUSED": "1"}) == needed
