"""The benchmark runs and prints what it should. Nothing here judges how long anything takes."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
REFERENCE = ROOT / "docs" / "reference" / "benchmarks.md"
TIMEOUT = 600  # a first start makes Kedge's own environment; nothing here takes a minute otherwise
QUICK_ROUNDS = 2
QUICK_TASKS = (2, 10)
PEERS = ("Dask", "Luigi", "Prefect")  # of tasks


@pytest.fixture
def parts() -> Iterator[SimpleNamespace]:
    """The benchmark's modules that compute and print, imported as its script imports them."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        names = ("figure", "report", "rounds", "run")
        modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
                del sys.modules[name]


def benchmark(
    temporary: Path, *words: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Call it with a folder for all that it makes."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), *words],
        env={**os.environ, "TMPDIR": str(temporary), **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def measured(temporary: Path, *names: str, **variables: str) -> dict[str, Any]:
    """What a quick call for these figures gives, by name."""
    document = json.loads(benchmark(temporary, "--quick", "--json", *names, **variables).stdout)
    assert document["left_out"] == {}
    return {figure["name"]: figure for figure in document["figures"]}


def nothing_cached(temporary: Path) -> dict[str, str]:
    """Variables with which uv has nothing to install."""
    return {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(temporary / "cache")}


def test_a_table_names_the_machine_each_figure_its_peers_and_its_goal(tmp_path: Path) -> None:
    out = benchmark(tmp_path, "--quick", "help", "sandbox").stdout
    assert re.search(r"^Kedge \d+\.\d+\.\d+.*, Python 3\.\d+\.\d+", out, re.MULTILINE)
    assert f"Linux {os.uname().release}" in out
    assert re.search(r"^help +\./kedge --help +[\d.]+ ms +[\d.]+–[\d.]+ +2$", out, re.MULTILINE)
    assert re.search(r"^ +python -I -c pass +[\d.]+ ms .* [\d.]+×$", out, re.MULTILINE)
    assert re.search(r"goal ≤ 6×: (met|MISSED), [\d.]+×", out)
    assert "the same in bubblewrap with comparable mounts" in out


def test_json_has_every_sample_of_kedge_and_its_peers(tmp_path: Path) -> None:
    names = ("run", "agent", "primer", "import", "package")
    found = measured(tmp_path, *names)
    assert list(found) == [*names]
    for figure in found.values():
        assert figure["peers"]
        for side in (figure["ours"], *figure["peers"]):
            assert len(side["seconds"]) == QUICK_ROUNDS
            assert all(seconds > 0 for seconds in side["seconds"])
    assert found["run"]["goal"]["kind"] == "times"
    assert found["package"]["goal"] is None
    assert all(check["holds"] for check in found["primer"]["checks"])


def test_a_large_file_is_given_without_copying_it(tmp_path: Path) -> None:
    figure = measured(tmp_path, "file")["file"]
    assert "0.1 GB" in figure["ours"]["what"]
    assert [check["holds"] for check in figure["checks"]] == [True]


def test_cancelling_and_progress_are_measured_on_real_runs(tmp_path: Path) -> None:
    found = measured(tmp_path, "cancel", "progress")
    assert {"cancel", "progress"} <= found.keys()
    assert all(len(figure["ours"]["seconds"]) == QUICK_ROUNDS for figure in found.values())


def test_warm_calls_are_measured_beside_what_they_replace(tmp_path: Path) -> None:
    found = measured(tmp_path, "warm", "warm-throughput")
    for name in ("warm", "warm pauses"):
        peers = [peer["what"] for peer in found[name]["peers"]]
        assert "python -I -c 'pass'" in peers
        assert all(len(peer["seconds"]) == QUICK_ROUNDS for peer in found[name]["peers"])
        assert found[name]["goal"]["limit"] == 0.005
    assert {f"warm-throughput {callers}" for callers in (1, 2, 8)} <= found.keys()


def test_nothing_grows_with_the_number_of_warm_calls(tmp_path: Path) -> None:
    figure = measured(tmp_path, "warm-many")["warm-many"]
    assert len(figure["checks"]) == 7
    assert [check["text"] for check in figure["checks"] if not check["holds"]] == []


def test_decorated_functions_are_measured_beside_what_they_replace(tmp_path: Path) -> None:
    names = ("function", "function-array", "function-map", "function-first")
    found = measured(tmp_path, *names)
    assert found["function"]["peers"][-1]["what"] == "python -I -c pass"
    assert len(found["function"]["ours"]["seconds"]) == QUICK_ROUNDS
    for side in ("argument", "result"):
        array = found[f"function-array {side}"]
        assert array["ours"]["what"].endswith(("1 MB that it reads", "1 MB, which is read"))
        assert array["goal"]["limit"] == 3
    assert found["function-map"]["ours"]["what"] == "an item of .map, of 40"
    assert found["function-first"]["goal"]["limit"] == 2


def test_tasks_are_measured_for_every_number_of_them(tmp_path: Path) -> None:
    found = measured(tmp_path, "tasks", "shell-tasks", **nothing_cached(tmp_path))
    for name in ("tasks", "shell-tasks process", "shell-tasks sandbox"):
        for count in QUICK_TASKS:
            for figure in (found[f"{name} {count}"], found[f"{name} gathered {count}"]):
                assert len(figure["ours"]["seconds"]) == QUICK_ROUNDS
    assert found["tasks 10"]["goal"]["limit"] == 0.0002
    shell = found["shell-tasks process 10"]
    assert shell["peers"][0]["what"] == "subprocess.run of it"
    assert (shell["goal"]["kind"], shell["goal"]["limit"]) == ("above", 0.004)
    assert [check["text"].split(":")[0] for check in shell["checks"]] == ["flat"]
    notes = found["tasks 2"]["notes"]
    assert [note.split(":")[0] for note in notes] == [f"without {peer}" for peer in PEERS]


@pytest.mark.slow
def test_what_tasks_stand_beside_is_measured_or_its_absence_told(tmp_path: Path) -> None:
    found = measured(tmp_path, "tasks", "shell-tasks")
    lacking = {"tasks gathered 2": {"Luigi"}}  # it gives nothing back from several processes
    for name in ("tasks 2", "tasks gathered 2", "shell-tasks process 2"):
        beside = [peer["what"].split()[0] for peer in found[name]["peers"]]
        told = " ".join(found[name]["notes"])
        for peer in set(PEERS) - lacking.get(name, set()):
            assert (peer in beside) is not (f"without {peer}: " in told)


def test_the_primer_is_measured_in_a_small_project_beside_what_it_replaces(tmp_path: Path) -> None:
    protoprimers = {"primer-app": 1, "primer-boot": 2}  # one for each way to build its project
    found = measured(tmp_path, *protoprimers)
    assert list(found) == [*protoprimers]
    for name, figure in found.items():
        for side in (figure["ours"], *figure["peers"]):
            assert len(side["seconds"]) == QUICK_ROUNDS
        beside = [peer for peer in figure["peers"] if peer["what"].startswith("protoprimer ")]
        lacking = [note for note in figure["notes"] if note.startswith("without protoprimer: ")]
        assert len(beside) + len(lacking) == protoprimers[name]
    assert found["primer-app"]["peers"][1]["what"] == "uv run --script of the same"
    assert found["primer-app"]["goal"]["limit"] == 0.025
    assert list(tmp_path.iterdir()) == []


def test_a_first_start_is_measured_or_left_out_where_pip_cannot_have_the_same(
    tmp_path: Path,
) -> None:
    document = json.loads(benchmark(tmp_path, "--quick", "--json", "primer-first").stdout)
    if document["left_out"]:
        assert document["left_out"]["primer-first"].startswith("it needs ")
        return
    [figure] = document["figures"]
    assert [len(peer["seconds"]) for peer in figure["peers"]] == [QUICK_ROUNDS] * 2
    [check] = figure["checks"]
    assert check["text"].endswith("times as fast as venv and pip (goal: at least 3)")


def test_memory_is_told_in_its_own_unit(parts: SimpleNamespace) -> None:
    side = parts.figure.Side("a fork", (2.5, 3.5), "MiB")
    figure = parts.figure.Figure("x", side)
    assert next(parts.report.rows(figure))[1:4] == ("a fork", "3.00 MiB", "2.75–3.25")
    assert parts.report.data(figure)["ours"]["MiB"] == [2.5, 3.5]


def test_nothing_is_left_behind_and_no_home_is_touched(tmp_path: Path, kedge_home: Path) -> None:
    benchmark(tmp_path, "--quick", "package")
    assert not kedge_home.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_measured_here_is_left_out_with_its_reason(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    out = benchmark(made, "--quick", "environment", "package", **nothing_cached(tmp_path)).stdout
    assert "left out: environment: it needs" in out
    assert "looked at again" in out  # the others are measured all the same


def test_an_unknown_figure_is_refused_with_those_there_are(tmp_path: Path) -> None:
    said = benchmark(tmp_path, "helb", code=2).stderr
    assert "there is no figure `helb`; choose from help, run, agent, primer" in said


def test_a_missed_goal_is_printed_as_missed(parts: SimpleNamespace) -> None:
    side, goal = parts.figure.Side, parts.figure.Goal
    missed = parts.figure.Figure(
        "x", side("we", (0.07,)), (side("they", (0.01,)),), goal("times", 6)
    )
    assert list(parts.report.remarks(missed)) == ["goal ≤ 6×: MISSED, 7×"]
    assert parts.report.data(missed)["goal"]["met"] is False


@pytest.mark.parametrize(
    ("kind", "limit", "value", "met"),
    [
        ("times", 2.0, 2.0, True),
        ("times", 1.9, 2.0, False),
        ("above", 0.02, 0.02, True),
        ("above", 0.01, 0.02, False),
        ("in all", 0.04, 0.04, True),
        ("in all", 0.03, 0.04, False),
    ],
)
def test_goals_are_about_medians(
    parts: SimpleNamespace, kind: str, limit: float, value: float, met: bool
) -> None:
    ours = parts.figure.Side("we", (0.9, 0.04, 0.01))
    peer = parts.figure.Side("they", (0.02, 0.8, 0.01))
    figure = parts.figure.Figure("x", ours, (peer,), parts.figure.Goal(kind, limit))
    assert (figure.value, figure.met) == (pytest.approx(value), met)


def test_rounds_alternate_and_the_first_ones_are_thrown_away(parts: SimpleNamespace) -> None:
    done: list[str] = []

    def sample(name: str) -> float:
        done.append(name)
        return float(len(done))

    taken = parts.rounds.alternate(2, lambda: sample("a"), lambda: sample("b"), warm=1)
    assert done == ["a", "b"] * 3
    assert taken == [(3.0, 5.0), (4.0, 6.0)]


def test_the_reference_names_every_figure(parts: SimpleNamespace) -> None:
    named = re.findall(r"^\| `(\w[\w-]*)` \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert named == list(parts.run.FIGURES)
