"""What a run leaves behind: progress as it grows, error files, folders of outputs."""

import json
import os
import shutil
import tempfile
from functools import cache
from random import Random
from typing import Any

from judging import as_record, judge_problems, judge_text, require
from material import damaged_bytes, json_text, name, text, value
from value_cases import ports, values_for

from kedge.contract import failure
from kedge.contract.collect import collect
from kedge.contract.hostile import RefusedError, parse_object
from kedge.contract.progress import LINE_LIMIT, Reader
from kedge.contract.workspace import Workspace


@cache
def folder() -> str:
    """A folder in memory where there is one, removed by `cleared` when the cases are done."""
    memory = "/dev/shm"
    return tempfile.mkdtemp(prefix="kedge-fuzz-", dir=memory if os.path.isdir(memory) else None)


def cleared() -> None:
    """Remove what the cases wrote."""
    if folder.cache_info().currsize:
        shutil.rmtree(folder(), ignore_errors=True)
        folder.cache_clear()


def progress_case(random: Random) -> None:
    """Lines of progress, cut anywhere: every whole event is seen, in order, and nothing else."""
    lines = [_line(random) for _ in range(random.randrange(1, 8))]
    data = b"\n".join(lines) + random.choice((b"", b"\n"))
    if random.random() < 0.3:
        data = damaged_bytes(random, data)
    path = os.path.join(folder(), "progress.jsonl")
    with open(path, "wb", buffering=0) as file:
        reader = Reader(path, iter(range(1000, 1_000_000, 2)).__next__)
        found: list[Any] = []
        at = 0
        while at < len(data):
            size = random.choice((1, 7, 40, 400, 100_000))
            file.write(data[at : at + size])
            at += size
            found += reader.poll()
        found += reader.finish()
    wanted: list[Any] = []
    skipped = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            if len(line) > LINE_LIMIT:
                raise RefusedError("is too long")
            wanted.append(parse_object(line))
        except RefusedError:
            skipped += 1
    require(found == wanted, f"{data[:300]!r} gives {found!r:.300}")
    require(reader.skipped == skipped, f"{reader.skipped} lines skipped in place of {skipped}")
    require(not reader.thinned, "few events were thinned")
    as_record(found)


def _line(random: Random) -> bytes:
    chance = random.random()
    if chance < 0.4:
        event = {"step": random.randrange(9), "total": 9, "message": text(random)}
        return json.dumps(event, ensure_ascii=chance < 0.2).encode()
    if chance < 0.45:
        return (
            b'{"a": "' + b"x" * random.choice((LINE_LIMIT - 9, LINE_LIMIT, 3 * LINE_LIMIT)) + b'"}'
        )
    if chance < 0.5:
        return random.choice(
            (b"", b" ", b"{", b"[]", b"null", b"\x00" * 20, b'{"a":' * 200, b"\r", b"NaN")
        )
    try:
        return json_text(random, value(random, hostile=True)).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"[[{"


def failure_case(random: Random) -> None:
    """An error file as hostile code may write it: texts, or nothing."""
    out = os.path.join(folder(), "failed", "out")
    os.makedirs(out, exist_ok=True)
    keys = ("error", "type", "traceback", "ts", "hint", "problems", name(random))
    written: Any = {
        key: text(random, surrogates=True) if random.random() < 0.6 else value(random, hostile=True)
        for key in keys
        if random.random() < 0.7
    }
    if random.random() < 0.5:
        entry = {key: value(random, 2, hostile=True) for key in ("message", "path", "hint")}
        written["problems"] = [entry, value(random)]
    try:
        data = json_text(random, written).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        data = b'{"error": [[['
    if random.random() < 0.2:
        data = damaged_bytes(random, data)
    with open(os.path.join(out, random.choice(failure.FILES)), "wb") as file:
        file.write(data)
    found = failure.read(Workspace(os.path.dirname(out), None))
    if found is not None:
        as_record(found)
        require(isinstance(found["error"], str) and found["error"], "an error without text")
        for key in ("type", "traceback", "ts", "hint"):
            require(found[key] is None or isinstance(found[key], str), f"`{key}` is no text")


_NAMES = (b"a", b"b.pdf", b"load_n.csv", b"bolt.tar.gz", b"\xff\xfe.pdf", b"a.npy", b".hidden", b"list.json",
          b"data.json", b"files", b"artifacts", "é\u202e.pdf".encode(), b"\x1b[31m.txt", b"a" * 250, b"_error.json",
          b"progress.jsonl", b"--", b"a\nb")  # fmt: skip


def folder_case(random: Random) -> None:
    """A whole `out` as hostile code may leave it, collected."""
    run = os.path.join(folder(), "run")
    shutil.rmtree(run, ignore_errors=True)
    out = os.path.join(run, "work", "out")
    os.makedirs(out)
    if random.random() < 0.9:
        os.makedirs(os.path.join(out, "files"))
    declared = ports(random)
    try:
        data = json_text(random, values_for(random, declared)).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError):
        data = b"{}"
    with open(os.path.join(out, "data.json"), "wb") as file:
        file.write(data)
    for _ in range(random.randrange(6)):
        below = random.choice((b"", b"files", b"files", b"artifacts", b"files/a", b"deep/er"))
        _left(random, os.path.join(os.fsencode(out), below), random.choice(_NAMES))
    found = collect(Workspace(os.path.join(run, "work"), None), declared, os.path.join(run, "kept"))
    judge_problems(found.problems)
    for warning in found.warnings:
        judge_text(warning)
    as_record(found.data)
    for kept in found.files.values():
        for path in [kept] if isinstance(kept, str) else kept:
            require(path.startswith(run) and not os.path.islink(path), f"{path!r} was kept")


def _left(random: Random, below: bytes, entry: bytes) -> None:
    path = os.path.join(below, entry)
    try:
        os.makedirs(below, exist_ok=True)
        match random.randrange(7):
            case 0:
                os.symlink(random.choice((b"/etc/shadow", b"nowhere", b"..", b"/")), path)
            case 1:
                os.mkfifo(path)
            case 2:
                os.makedirs(os.path.join(path, b"x"))
            case 3:
                with open(path, "xb") as file:
                    file.truncate(1 << 33)
            case _:
                with open(path, "xb") as file:
                    file.write(random.randbytes(20))
    except OSError:  # of a name that is taken already, or below something that is no folder
        return
