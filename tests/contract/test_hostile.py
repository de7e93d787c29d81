"""Reading and removing what untrusted code left: nothing followed, waited for, or believed."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.contract.hostile import (
    DEPTH_LIMIT,
    RefusedError,
    open_folder,
    parse_object,
    read_file,
    shown,
)
from kedge.contract.ownership import Takeover, remove


def _special(path: Path, kind: str) -> None:
    if kind == "symbolic link":
        path.symlink_to("/etc/shadow")
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "named pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends
    else:
        path.mkdir()


_KINDS = ["symbolic link", "dangling link", "named pipe", "socket", "folder"]
if os.geteuid() == 0:
    _KINDS.append("device")


@pytest.mark.parametrize("kind", _KINDS)
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    _special(tmp_path / "data.json", kind)
    word = kind.replace("dangling", "symbolic")
    with pytest.raises(RefusedError, match=f"^is a {word}$"):
        read_file(str(tmp_path / "data.json"), 100)
    folder = open_folder(str(tmp_path))
    with pytest.raises(RefusedError, match=f"^is a {word}$"):
        read_file("data.json", 100, folder)
    os.close(folder)


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "folder"])
def test_only_folders_are_entered(tmp_path: Path, kind: str) -> None:
    _special(tmp_path / "out", kind)
    with pytest.raises(RefusedError, match=f"^is a {kind.replace('dangling', 'symbolic')}$"):
        open_folder(str(tmp_path / "out"))


def test_what_is_missing_is_told_apart(tmp_path: Path) -> None:
    for read in (
        lambda: read_file(str(tmp_path / "a"), 1),
        lambda: open_folder(str(tmp_path / "a")),
    ):
        with pytest.raises(RefusedError, match=r"^is missing$") as told:
            read()
        assert told.value.missing


def test_a_file_above_the_limit_is_not_read_even_if_it_occupies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(RefusedError, match="has 1099511627776 bytes, where 64 are the limit"):
        read_file(str(path), 64)
    path.write_bytes(b"x" * 64)
    assert read_file(str(path), 64) == b"x" * 64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON: .* line 1, column 2"),
        (b"[]", "is a list, not a JSON object"),
        (b"null", "is null, not"),
        (b'"x"', "is a text, not"),
        (b"3", "is a number, not"),
        (b"true", "is a truth value, not"),
        (b'{"a": 1, "a": 2}', "has the key `a` twice"),
        (b'{"x": {"a": 1, "b": 2, "a": 1}}', "has the key `a` twice"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": [-Infinity]}', "holds -Infinity"),
        (b'{"a": 1e999}', "holds the number 1e999"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 7"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"a": "\\uD83D"}', "half a character"),
        (b'{"a": ' + b"9" * 5000 + b"}", "more digits"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested more than"),
        (b'{"a": ' + b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b"}", "nested more than"),
    ],
)
def test_what_is_no_clean_json_object_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        parse_object(data)


def test_clean_json_is_read_in_full() -> None:
    deep = b'{"a": ' + b"[" * (DEPTH_LIMIT - 1) + b"]" * (DEPTH_LIMIT - 1) + b"}"
    assert "a" in parse_object(deep)
    assert parse_object(b'{"a": "\\ud83d\\ude00", "b": [1, 2.5, null, {"c": "\\\\ud800"}]}') == {
        "a": "😀",
        "b": [1, 2.5, None, {"c": "\\ud800"}],
    }


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,0123eE-+.\\ud8 nulNa', max_size=40).map(str.encode))
def test_any_bytes_are_read_as_an_object_or_refused(data: bytes) -> None:
    try:
        value = parse_object(data)
    except RefusedError as refused:
        assert str(refused)
    else:
        assert (
            parse_object(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value
        )


@given(st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name))
def test_any_name_can_be_shown(name: bytes) -> None:
    text = shown(os.fsdecode(name))
    assert text.isprintable()
    assert len(text.encode()) < 2000


def _tree(root: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in folders + files
    }


def test_a_tree_is_taken_over_without_what_leads_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub" / "closed").mkdir(parents=True)
    (tree / "sub" / "closed" / "file").write_text("x")
    (tree / "set-user-id").write_text("x")
    for index, kind in enumerate(_KINDS):
        if kind != "folder":
            _special(tree / "sub" / f"special-{index}", kind)
    os.symlink("/etc", tree / "etc")
    (tree / "set-user-id").chmod(0o6777)
    (tree / "sub" / "closed" / "file").chmod(0)
    (tree / "sub" / "closed").chmod(0)
    (tree / "sub").chmod(0o1777)
    if os.geteuid() == 0:
        for folder, folders, files in os.walk(tree):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(folder, name), 54321, 54321, follow_symlinks=False)
    takeover = Takeover(54321)
    assert _adopted(takeover, tmp_path) == {"tree/sub/closed/file", "tree/set-user-id"}
    assert _tree(tree) == {"sub", "sub/closed", "sub/closed/file", "set-user-id"}
    assert takeover.left_out.count == len(_KINDS)  # one kind is a folder, but there is a link more
    assert "symbolic link" in str(takeover.left_out)
    for name in [".", *_tree(tree)]:
        info = os.lstat(tree / name)
        assert (info.st_uid, info.st_gid) == (os.geteuid(), os.getegid())
        assert info.st_mode & 0o7022 == 0
        assert info.st_mode & 0o600 == 0o600
    assert os.path.exists("/etc/passwd")


def test_a_hard_link_to_somebody_elses_file_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the caller's")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "tree").mkdir()
    os.link(tmp_path / "secret", tmp_path / "tree" / "stolen")
    (tmp_path / "tree" / "own").write_text("x")
    takeover = Takeover(54321)
    assert _adopted(takeover, tmp_path) == {"tree/own"}
    assert str(takeover.left_out) == "`tree/stolen` (a hard link to somebody else's file)"
    assert (tmp_path / "secret").read_text() == "the caller's"


def test_hard_links_among_results_are_all_taken(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "one").write_text("x")
    os.link(tmp_path / "tree" / "one", tmp_path / "tree" / "two")
    writer = 54321 if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path / "tree" / "one", writer, -1)
    assert _adopted(Takeover(writer), tmp_path) == {"tree/one", "tree/two"}


def _adopted(takeover: Takeover, parent: Path) -> set[str]:
    folder = open_folder(str(parent))
    try:
        return {adopted.path for adopted in takeover.adopt(folder, "tree")}
    finally:
        os.close(folder)


def _deep(root: Path, levels: int) -> None:
    """Folders in each other beyond what a path can name."""
    descriptor = os.open(root, os.O_RDONLY)
    for level in range(levels):
        os.mkdir("a" * 100, dir_fd=descriptor)
        if level % 50 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        below = os.open("a" * 100, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def test_what_lies_too_deep_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    _deep(tmp_path / "tree", 500)
    takeover = Takeover(os.geteuid())
    assert _adopted(takeover, tmp_path) == {"tree/file"}
    assert "too deep" in str(takeover.left_out)


def test_a_tree_of_any_depth_and_modes_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    root.mkdir()
    _deep(root, 3_000)
    (root / "wide").mkdir()
    for index in range(300):
        (root / "wide" / f"folder {index}\n").mkdir()
        (root / "wide" / f"file {index}").touch()
    (root / "closed").mkdir()
    (root / "closed" / "in").mkdir()
    (root / "closed" / "in" / "file").touch()
    (root / "closed" / "in").chmod(0)
    (root / "closed").chmod(0)
    for index, kind in enumerate(_KINDS):
        _special(root / f"special-{index}", kind)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    os.symlink(tmp_path / "outside", root / "link")
    remove(str(root))
    assert _tree(tmp_path) == {"outside", "outside/file"}
    remove(str(root))
    os.symlink(tmp_path / "outside", root)
    remove(str(root))
    assert _tree(tmp_path) == {"outside", "outside/file"}
