"""Ignore patterns mean what git says they mean: git itself is asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.package.gitignore import leaves_out, parse


def ours(lines: list[str], path: str) -> bool:
    """Whether the file at `path` is left out, folders first, as the walk asks it."""
    patterns = [pattern for line in lines if (pattern := parse(line)) is not None]
    parts = path.split("/")
    for depth in range(1, len(parts)):
        if leaves_out(patterns, "/".join(parts[:depth]), is_folder=True):
            return True
    return bool(leaves_out(patterns, path, is_folder=False))


@pytest.mark.parametrize(
    ("lines", "path", "left_out"),
    [
        (["*.log"], "a/b.log", True), (["*.log", "!b.log"], "a/b.log", False),
        (["/b.log"], "a/b.log", False), (["a/*.log"], "a/b.log", True), (["a/*.log"], "x/a/b.log", False),
        (["a/"], "a/b", True), (["a/"], "a", False), (["**/b"], "x/y/b", True), (["a/**"], "a/x/y", True),
        (["a/**/b"], "a/b", True), (["a/**/b"], "a/x/y/b", True), (["a/**/b"], "ab", False),
        (["a**b"], "axxb", True), (["a**b"], "ax/xb", False), (["# a", "\\#b"], "#b", True),
        (["\\!c"], "!c", True), (["d "], "d", True), (["d\\ "], "d ", True), (["[a-c]x"], "bx", True),
        (["[!a-c]x"], "bx", False), (["[]-]"], "-", True), (["[[:digit:]]"], "7", True), (["[a"], "[a", False),
        (["?"], "é", True), (["x\\"], "x\\", False), (["", "  "], "x", False), (["/"], "x", False),
        (["*", "!keep"], "keep", False), (["dir", "!dir/keep"], "dir/keep", True), (["a\r"], "a", True),
    ],
)  # fmt: skip
def test_known_patterns(lines: list[str], path: str, left_out: bool) -> None:
    assert ours(lines, path) is left_out


@pytest.mark.parametrize(
    "pattern", ["*a" * 40 + "b", "a/" + "**/a/" * 40 + "b", "**/*a*a*a*/" * 20 + "b"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    # A backtracking matcher would not come back from any of these.
    found = parse(pattern)
    assert found is not None
    for path in ("a" * 250, "a/" * 1000 + "c", "aaaaaaaa/" * 200 + "c"):
        assert not found.matches(path, is_folder=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    git = shutil.which("git")
    assert git, "git is the reference for these tests"
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run([git, "init", "-q", str(folder)], check=True)
    return folder


piece = st.sampled_from(
    ["a", "b", "ab", "*", "**", "?", "/", "/", "[a-b]", "[!a]", "[^b]", "[", "]", "\\a", "\\*", ".", "-", " ",
     "[[:alpha:]]", "[]a]", "[a\\]b]", "!", "#", "[b-a]", "[a-", "[[:nope:]]"]
)  # fmt: skip
pattern = st.lists(piece, min_size=1, max_size=6).map("".join)
name = st.text(st.sampled_from("ab.*-]["), min_size=1, max_size=3).filter(
    lambda n: n not in (".", "..")
)
file = st.lists(name, min_size=1, max_size=4).map("/".join)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(pattern, min_size=1, max_size=3), paths=st.lists(file, min_size=1, max_size=6)
)
def test_any_pattern_means_what_git_says(
    repository: Path, lines: list[str], paths: list[str]
) -> None:
    (repository / ".git/info/exclude").write_text("\n".join(lines) + "\n")
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "-v", "-n", "--stdin"],
        cwd=repository,
        input="\0".join(paths) + "\0",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )
    assert answer.stderr == ""
    fields = answer.stdout.split("\0")
    theirs = {
        fields[at + 3]: fields[at + 2] != "" and not fields[at + 2].startswith("!")
        for at in range(0, len(fields) - 3, 4)
    }
    assert {path: ours(lines, path) for path in paths} == theirs
