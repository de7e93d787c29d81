"""`kedge secret`: set, listed, removed, given to runs, and found nowhere else."""

import os
import pty
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

MANIFEST = """
name: licensed
runtime: {kind: python, version: "3.12", requirements: false}
functions:
  measure:
    handler: main:measure
    env: {TOKEN: {secret: LICENSE}}
  fails:
    handler: main:fails
    env: {TOKEN: {secret: LICENSE}}
"""
CODE = """
import os
def measure() -> dict:
    return {"length": len(os.environ["TOKEN"])}
def fails() -> None:
    raise RuntimeError("no")
"""
VALUE = "hunter2-" + "q7" * 10


def package(folder: Path) -> Path:
    folder.mkdir()
    (folder / "kedge.yml").write_text(MANIFEST)
    (folder / "main.py").write_text(CODE)
    return folder


def files_with(text: str, folder: Path) -> list[str]:
    found = []
    for inside, _, names in os.walk(folder):
        for name in names:
            path = Path(inside, name)
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(str(path.relative_to(folder)))
    return found


def test_a_secret_reaches_the_code_and_is_in_no_file_but_its_own(
    kedge_alone: Any, kedge_home: Path, tmp_path: Path
) -> None:
    kedge, source = kedge_alone, package(tmp_path / "licensed")
    missing = kedge("run", source, "measure", code=2)
    assert "kedge secret set LICENSE" in missing.err
    said = kedge("secret", "set", "LICENSE", input=f"{VALUE}\n".encode())
    assert VALUE not in said.out + said.err
    told = kedge("run", source, "measure", "--json", "-v")
    assert told.json["length"] == len(VALUE)
    failed = kedge("run", source, "fails", "--json", code=1)
    later = (["show", "last"], ["show", "last", "--json"], ["logs", "last"], ["runs"])
    every = [told, failed, *(kedge(*words) for words in later)]
    every += [kedge("inspect", source, "--json"), kedge("secret", "list")]
    assert not [one for one in every if VALUE in one.out + one.err]
    assert files_with("measure", kedge_home)  # the search finds what is there
    assert files_with(VALUE, kedge_home) == ["secrets/secrets.json"]
    kedge("secret", "rm", "LICENSE")
    assert files_with(VALUE, kedge_home) == []
    kedge("run", source, "measure", code=2)


def test_names_are_listed_never_values(kedge_alone: Any, tmp_path: Path) -> None:
    kedge = kedge_alone
    assert kedge("secret", "list").out == ""
    assert kedge("secret", "list", "--json").json == []
    (tmp_path / "value").write_text("from a file\r\n")
    kedge("secret", "set", "B", "--from-file", tmp_path / "value")
    kedge("secret", "set", "A", input=b"")
    assert kedge("secret", "list", "--json").json == [
        {"name": "A", "in": "a file"},
        {"name": "B", "in": "a file"},
    ]
    assert [line.split()[0] for line in kedge("secret", "list").out.splitlines()] == [
        "secret", "A", "B",
    ]  # fmt: skip


def test_what_cannot_be_a_secret_is_refused(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for words, told in (
        (("set", "9", "--from-file", "/dev/null"), "no name for a secret"),
        (("set", "A", "--from-file", tmp_path / "absent"), "cannot be read"),
        (("set", "A", "--from-file", tmp_path / "binary"), "not UTF-8"),
        (("set", "A", "--from-file", "/dev/zero"), "NUL"),
        (("rm", "A"), "no secret `A`"),
        (("rm",), "missing argument"),
        (("set", "A", "the-value"), "unexpected"),
    ):
        said = call("secret", *words)
        assert said.code == 2
        assert told in said.err
        assert "hint: " in said.err


def test_a_terminal_is_asked_without_showing_what_is_typed(kedge_alone: Any) -> None:
    leader, follower = pty.openpty()
    asking = subprocess.Popen(
        [*kedge_alone.words, "secret", "set", "KEY"],
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(follower)
    said = b""
    while b"value of KEY" not in said:
        assert select.select([leader], [], [], 60)[0]
        said += os.read(leader, 1024)
    os.write(leader, b"typed-value\n")
    while asking.poll() is None or select.select([leader], [], [], 0)[0]:
        try:
            said += os.read(leader, 1024)
        except OSError:  # the other end is closed
            break
    assert asking.wait(60) == 0
    os.close(leader)
    assert b"typed-value" not in said
    assert kedge_alone("secret", "list", "--json").json[0]["name"] == "KEY"
