"""Ignore patterns of a build mean what Docker's pattern code makes of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import PackageError
from kedge.package.dockerignore import leaves_out, parse

NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def ours(lines: list[str], path: str) -> bool:
    return leaves_out(parse("\n".join(lines)), path)


@pytest.mark.parametrize(
    ("lines", "path", "left_out"),
    [
        (["a"], "a", True), (["a"], "a/b", True), (["a"], "b/a", False), (["a"], "ab", False), ([], "a", False),
        (["", "  ", "# a", "."], "a", False), (["# a"], "# a", False), ([" # a"], "# a", True), (["\ufeffa"], "a", True),
        (["/a/"], "a/b", True), (["./a"], "a", True), (["a/../b"], "b", True), (["a//b"], "a/b", True),
        ([" a\r"], "a", True), (["/"], "a", False), (["a\x0bb"], "b", False),
        # A path above the context.
        (["../a"], "a", False), (["a/../../b"], "b", False), (["/../a"], "a", True), (["!.."], "a", False),
        # Wildcards of a name.
        (["*.log"], "x.log", True), (["*.log"], "a/x.log", False), (["*/*.log"], "a/x.log", True), (["*"], "a/b", True),
        (["a?c"], "abc", True), (["a?c"], "a/c", False), (["?"], "é", True), (["*a*b"], "xaaxab", True),
        (["*a*b"], "xa/b", False), (["*ab*ab"], "abab", True), (["*a**b"], "xaya/b", True), (["*a?*"], "baa", True),
        (["[a-c]x"], "bx", True), (["[^a-c]x"], "bx", False), (["[!a]"], "!", True), (["[\\]a]"], "]", True),
        (["[[]"], "[", True), (["a.c"], "abc", False), (["\\*"], "*", True), (["\\*"], "a", False), (["a\\b"], "ab", True),
        # `**` is any folders, wherever it stands; in front of plain text it looks at the end alone.
        (["**/a"], "a", True), (["**/a"], "x/y/a/b", True), (["**/a"], "xa", False), (["a/**"], "a/x/y", True),
        (["a/**"], "a", False), (["a/**/b"], "a/b", True), (["a/**/b"], "a/x/y/b", True), (["a/**/b"], "ab", False),
        (["**"], "a/b", True), (["**/*.md"], "a.md", True), (["**/*.md"], "x/a.md", True), (["a**"], "abc", True),
        (["a**b"], "ab", True), (["a**b"], "axxb", False), (["a**b"], "a/b", True), (["a**b"], "ax/b", True),
        (["**.log"], "x.log", True), (["**.log"], "a/x.log", True), (["**.log"], "x.logs", False),
        (["**.lo?"], "x.log", False), (["**.lo?"], "a/.log", True), (["d/**.log"], "d/x.log", False),
        (["d/**.log"], "d/a/.log", True), (["***"], "a/b", True), (["**/**/a"], "x/a", True),
        # What is taken back.
        (["*.log", "!keep.log"], "keep.log", False), (["!keep.log", "*.log"], "keep.log", True),
        (["d", "!d/keep"], "d/keep", False), (["d", "!d/keep"], "d/other", True), (["*", "! a"], "a/b", False),
        (["*", "!d", "d/x"], "d/x", True), (["*", "!d", "d/x"], "d/y", False), (["\\!a"], "!a", True),
        (["**/*.md", "!d"], "d/a.md", True), (["**/*.md", "!d/*"], "d/a.md", False),
    ],
)  # fmt: skip
def test_known_patterns(lines: list[str], path: str, left_out: bool) -> None:
    assert ours(lines, path) is left_out


@pytest.mark.parametrize("line", ["[a", "a\\", "[b-a]", "[]", "!x[", "*a[*"])
def test_what_is_no_pattern_is_named_with_its_line(line: str) -> None:
    with pytest.raises(PackageError) as caught:
        parse(f"fine\n{line}\n")
    assert caught.value.where is not None and caught.value.where.line == 2


@given(PATHS, st.lists(NAMES, max_size=3))
def test_a_path_names_itself_and_what_is_below(path: str, more: list[str]) -> None:
    below = "/".join([path, *more])
    assert ours([path], below) and ours(["**/" + path], f"x/{below}")
    assert not ours([path, "!" + path], below)


@given(st.text("ab*?/.!\\[]^-", max_size=12), PATHS)
def test_whatever_the_line_the_answer_is_one(line: str, path: str) -> None:
    try:
        patterns = parse(line)
    except PackageError:
        return
    assert leaves_out(patterns, path) in (True, False)


def test_many_stars_take_no_time() -> None:
    begun = time.monotonic()
    assert not ours(["*a" * 30 + "b"], "a" * 250)
    assert time.monotonic() - begun < 2
