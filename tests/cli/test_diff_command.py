"""`kedge diff`: what two records and the files they name differ in, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.errors import FunctionError
from kedge.run import record

LIMITS = {"cpu": 1.0, "memory_mb": 512, "timeout": None}


def run(**facts: Any) -> str:
    """The id of a run that succeeded with these facts."""
    known = {"package": "bolts", "function": "size", "resources": LIMITS}
    return record.finish(record.create(**known), None, **facts).id


def differences(call: Callable[..., Any], *runs: str) -> dict[str, Any]:
    said = call("diff", *runs, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert [document["first"], document["second"]] == list(runs)
    return {f"{one['part']} {one['name']}": one for one in document["differences"]}


def test_equal_runs_differ_in_nothing(call: Callable[..., Any]) -> None:
    facts = {"inputs": {"x": [1, {"a": 2.5}], "n": None}, "outputs": {"y": "text"}}
    one, other = run(**facts), run(**facts)
    assert differences(call, one, other) == {}
    said = call("diff", one, other)
    assert (said.code, said.out) == (0, "")
    assert "do not differ" in said.err


def test_numbers_have_their_absolute_and_relative_difference(call: Callable[..., Any]) -> None:
    one = run(inputs={"load": 200, "same": 1}, outputs={"stress": 100.0, "zero": 0})
    other = run(inputs={"load": 300, "same": 1}, outputs={"stress": 75.0, "zero": 2})
    found = differences(call, one, other)
    assert set(found) == {"inputs load", "outputs stress", "outputs zero"}
    assert found["inputs load"] == {
        "part": "inputs", "name": "load", "first": 200, "second": 300, "absolute": 100, "relative": 0.5,
    }  # fmt: skip
    assert (found["outputs stress"]["absolute"], found["outputs stress"]["relative"]) == (
        -25,
        -0.25,
    )
    assert (found["outputs zero"]["absolute"], found["outputs zero"]["relative"]) == (2, None)
    lines = call("diff", one, other).out.splitlines()
    assert lines[0].split() == [one, other, "change"]
    assert lines[1].split(maxsplit=4) == ["input", "load", "200", "300", "+100 (+50 %)"]


def test_values_are_compared_place_by_place_and_by_kind(call: Callable[..., Any]) -> None:
    one = run(outputs={"bolt": {"d": 12, "l": 40}, "x": [1, 2], "t": True, "gone": 1, "n": None})
    other = run(outputs={"bolt": {"d": 12, "l": 45}, "x": [1, 3], "t": 1, "more": "m", "n": "null"})
    found = differences(call, one, other)
    assert set(found) == {
        *("outputs bolt.l", "outputs x[1]", "outputs t", "outputs gone", "outputs more"),
        "outputs n",
    }
    assert found["outputs gone"]["second"] is None
    assert found["outputs more"]["first"] is None
    table = call("diff", one, other).out
    assert "added" in table
    assert "removed" in table


def test_numbers_beyond_floats_and_long_lists_do_not_break_it(call: Callable[..., Any]) -> None:
    one = run(outputs={"big": 10**400, "long": [0] * 200})
    other = run(outputs={"big": 1.5, "long": [1] * 200})
    found = differences(call, one, other)
    assert found["outputs big"]["absolute"] is None
    assert len([name for name in found if name.startswith("outputs long[")]) == 50
    assert "outputs long: 150 more places" in found
    assert call("diff", one, other).code == 0


def test_files_are_compared_by_content_not_by_place(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    def entry(name: str, content: bytes) -> dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(content)
        info = path.stat()
        return {"port": "mesh", "path": str(path), "size": info.st_size, "mtime_ns": info.st_mtime_ns}  # fmt: skip

    same, moved = entry("a", b"mesh 1"), entry("b", b"mesh 1")
    other, longer = entry("c", b"mesh 2"), entry("d", b"mesh 10")
    runs = [
        run(inputs={"mesh": one["path"]}, input_files=(one,), output_files={"out": one})
        for one in (same, moved, other, longer)
    ]
    assert differences(call, runs[0], runs[1]) == {}
    found = differences(call, runs[0], runs[2])
    assert set(found) == {"input_files mesh", "output_files out"}
    assert (
        found["output_files out"]["first"]["sha256"]
        != found["output_files out"]["second"]["sha256"]
    )
    assert differences(call, runs[0], runs[3])["input_files mesh"]["second"]["size"] == 7
    (tmp_path / "c").write_bytes(b"mesh 3")  # as long as before, and not what the run saw
    import os

    os.utime(tmp_path / "c", ns=(1, 1))
    said = call("diff", runs[0], runs[2])
    assert "not known: whether the content of `mesh` differs" in said.err


def test_packages_files_versions_and_failures_are_compared(
    kedge: Any, tmp_path: Path, shared_home: Path
) -> None:
    package = tmp_path / "p"
    package.mkdir()
    manifest = 'name: p\nruntime: {kind: python, version: "3.12", requirements: false}\nfunctions:\n  f: {handler: "main:f"}\n'
    (package / "kedge.yml").write_text(manifest)
    (package / "main.py").write_text("def f(x: int) -> int:\n    return x + 1\n")
    (package / "old.txt").write_text("old")
    one = kedge("run", package, "f", "x=1", "--json").json["_run"]["id"]
    (package / "old.txt").unlink()
    (package / "new.txt").write_text("new")
    (package / "main.py").write_text("def f(x: int) -> int:\n    raise ValueError('no')\n")
    kedge("run", package, "f", "x=1", code=1)
    other = kedge.runs_of(package)[0]["id"]
    found = {
        f"{entry['part']} {entry['name']}": entry
        for entry in kedge("diff", one, other, "--json").json["differences"]
    }
    assert {name for name in found if name.startswith("files ")} == {
        *("files main.py", "files old.txt", "files new.txt")
    }
    assert found["failure type"]["second"] == "ValueError"
    assert found["facts status"]["second"] == "failed"
    assert found["files old.txt"]["second"] is None
    text = kedge("diff", one, other).out
    assert "file main.py" in text


def environment(home: Path, digest: str, *packages: str) -> str:
    folder = home / "environments" / digest
    folder.mkdir(parents=True)
    (folder / "kedge.json").write_text(json.dumps({"packages": packages}))
    return digest


def test_versions_of_packages_are_compared_as_far_as_known(
    call: Callable[..., Any], kedge_home: Path
) -> None:
    old = environment(
        kedge_home, "a" * 64, "numpy==1.26.4", "six==1.16.0", "x[y]==2 ; python_version > '3'"
    )
    new = environment(kedge_home, "b" * 64, "numpy==2.1.0", "six==1.16.0", "x[y]==2", "attrs==24.1")
    one, other, gone = (run(environment=digest) for digest in (old, new, "c" * 64))
    found = differences(call, one, other)
    assert set(found) == {"facts environment", "packages numpy", "packages attrs"}
    assert (found["packages numpy"]["first"], found["packages numpy"]["second"]) == (
        "1.26.4",
        "2.1.0",
    )
    said = call("diff", one, gone)
    assert "not known: which packages differ" in said.err
    assert said.code == 0


def test_measures_have_a_ratio_and_what_differs_by_failure_is_said(
    call: Callable[..., Any],
) -> None:
    one = run(measured={"wall_s": 2.0, "cpu_s": None, "peak_memory_mb": 10.0})
    failed = record.create(package="bolts", function="size", resources=LIMITS | {"cpu": 2.0})
    record.finish(failed, FunctionError("it broke", type="ValueError"), measured={"wall_s": 5.0, "peak_memory_mb": 10.0})  # fmt: skip
    table = call("diff", one, failed.id).out
    assert "measured wall_s" in table
    assert "×2.5" in table
    assert "resource cpu" in table
    assert "failure kind" in table
    assert "peak_memory_mb" not in table


@pytest.mark.parametrize("words", [("nope", "last"), ("last", "nope"), ("last",)])
def test_what_is_no_run_is_refused(call: Callable[..., Any], words: tuple[str, ...]) -> None:
    run()
    said = call("diff", *words)
    assert said.code == 2
    assert "hint: " in said.err
