"""`kedge conform`: Kedge's own executors pass, what is wrong is said, what could not be tried too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
REFERENCE = PACKAGES / "conform-python"

CHECKS = ["starts", "inputs", "outputs", "failure", "sigterm", "writes", "user", "progress"]


@pytest.fixture
def package(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a package with one function `f` of this source."""

    def makes(source: str) -> Path:
        folder = tmp_path / "package"
        folder.mkdir()
        (folder / "m.py").write_text(source)
        (folder / "kedge.yml").write_text(
            'name: p\nruntime: {kind: python, version: "3.12"}\n'
            'functions: {f: {handler: "m:f", resources: {cpu: 1, memory_mb: 256, grace: 1}}}\n'
        )
        return folder

    return makes


def results(checks: list[dict[str, Any]]) -> dict[str, str]:
    """The result of each check."""
    return {one["check"]: one["result"] for one in checks}


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_nothing_is_wrong_with_kedge_s_own_executors(kedge: Any, executor: str) -> None:
    words = ("conform", REFERENCE, "heat", "--executor", executor, "--long", "pause=5", "--json")
    checks = kedge(*words).json
    assert results(checks) == dict.fromkeys(CHECKS, "passed"), checks


def test_a_table_has_one_line_a_check_and_hints_stand_below(
    kedge: Any, package: Callable[[str], Path]
) -> None:
    ended = kedge("conform", package("def f() -> int:\n    return 1\n"), "--executor", "sandbox")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["passed", "starts", "m:f", "was", "started", "by", "sandbox"]
    assert any(line.startswith("not tried  failure ") for line in lines)
    assert len(lines) == len(CHECKS)
    assert "hint: failure: give inputs that it fails on with --failing" in ended.err
    assert "0 failed" in ended.err


def test_what_fails_makes_the_exit_code_and_names_what_is_wrong(
    kedge: Any, package: Callable[[str], Path]
) -> None:
    source = (
        "import signal, time\n"
        "def f(n: int = 1, pause: float = 0.5) -> int:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    open('out/progress.jsonl', 'a').write('begun\\n')\n"
        "    open('out/notes.txt', 'w').write('x')\n"
        "    time.sleep(pause)\n"
        "    return n\n"
    )
    words = ("--failing", "n=-1", "--long", "pause=30", "--json")
    checks = {one["check"]: one for one in kedge("conform", package(source), *words, code=1).json}
    failed = [name for name, check in checks.items() if check["result"] == "failed"]
    assert failed == ["outputs", "failure", "sigterm", "progress"]
    assert "`out/notes.txt`" in checks["outputs"]["why"]
    assert "it succeeded" in checks["failure"]["why"]
    assert "1 s after SIGTERM" in checks["sigterm"]["why"]
    assert "line 1 of `out/progress.jsonl`" in checks["progress"]["why"]


def test_inputs_come_from_a_file_or_are_asked_for(
    kedge: Any, package: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = package("def f(n: int, m: int) -> int:\n    return 1 // n\n")
    ended = kedge("conform", folder, code=2)
    assert "no inputs are known that `f` takes" in ended.err and "n=… m=…" in ended.err
    assert kedge.runs_of(folder) == []
    given = tmp_path / "inputs.json"
    given.write_text(json.dumps({"n": 1}))
    words = ("--inputs", given, "m=2", "--failing", "n=0", "--json")
    assert results(kedge("conform", folder, *words).json)["failure"] == "passed"
    ended = kedge("conform", folder, "n=1", "m=2", "--long", "pause", code=2)
    assert "`pause` is not a value" in ended.err


def test_a_function_that_fails_on_its_inputs_is_not_judged_further(
    kedge: Any, package: Callable[[str], Path]
) -> None:
    folder = package("def f() -> int:\n    raise ValueError('never')\n")
    found = results(kedge("conform", folder, "--json", code=1).json)
    assert [name for name, result in found.items() if result == "failed"] == ["inputs"]
    assert found["outputs"] == found["sigterm"] == "not tried"
