"""The examples do what they are there to show: files in and out, units as text, long runs that stop.

tests/test_sample_packages.py runs the test cases of `bolt-sizing` and `truss`; those that need a container
engine are run by tests/containers/test_container_examples.py.
"""

import ast
import contextlib
import csv
import importlib
import json
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVING = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "support" / "serving.py")))
CHECKED_ELSEWHERE = {"bolt-sizing", "truss", "heat", "readings"}
PACKAGES = sorted({file.parent.name for file in EXAMPLES.glob("*/kedge.yml")} - CHECKED_ELSEWHERE)

ASTM = EXAMPLES / "fatigue" / "tests" / "astm-e1049.csv"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("package", PACKAGES)
def test_an_examples_test_cases_pass(kedge: Any, package: str) -> None:
    kedge("test", EXAMPLES / package)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_example_has_no_problems_and_shows_its_ports(kedge: Any, package: str) -> None:
    assert "no problems" in kedge("check", EXAMPLES / package).out
    for name, function in kedge("inspect", EXAMPLES / package, "--json").json["functions"].items():
        assert function["description"], name


def shown_commands() -> list[tuple[str, str]]:
    """The first command in the docstring of each module of the examples that shows one."""
    shown = []
    for module in sorted(EXAMPLES.glob("*/*.py")):
        text = ast.get_docstring(ast.parse(module.read_text()), clean=False) or ""
        command = re.search(r"^    (kedge run (?:.*\\\n)*.*)$", text, re.MULTILINE)
        if command:
            shown.append((module.parent.name, command[1].replace("\\\n", "")))
    return shown


@pytest.mark.parametrize(("package", "command"), shown_commands())
def test_the_command_in_a_docstring_works_as_it_stands(
    kedge: Any, tmp_path: Path, package: str, command: str
) -> None:
    shutil.copytree(EXAMPLES / package, tmp_path / package)
    kedge(*shlex.split(command)[1:], cwd=tmp_path)
    if "--out" in command:
        assert any((tmp_path / "results").iterdir())


# ---- fatigue: a file in, files and a picture out --------------------------------------------------------


@pytest.fixture
def assessed(kedge: Any, tmp_path: Path) -> Path:
    """The folder with what the example leaves of the history that ASTM E1049 counts, in 10 MPa."""
    given = [f"history={ASTM}", "partial_factor=1", "detail_category=71"]
    kedge("run", EXAMPLES / "fatigue", *given, "--out", tmp_path / "out")
    return tmp_path / "out"


def test_every_cycle_is_in_the_table_as_the_standard_counts_it(assessed: Path) -> None:
    # ASTM E1049-85, figure 6: ranges A-B, B-C, E-F, C-D, D-G, G-H, H-I, in the order they are counted
    rows = list(csv.DictReader((assessed / "cycles.csv").read_text().splitlines()))
    assert [(float(row["range [MPa]"]), float(row["cycles"])) for row in rows] == [
        (30, 0.5), (40, 0.5), (40, 1), (80, 0.5), (90, 0.5), (80, 0.5), (60, 0.5),
    ]  # fmt: skip
    assert float(rows[2]["mean [MPa]"]) == 10


def test_the_report_says_how_often_the_detail_bears_the_history(assessed: Path) -> None:
    report = (assessed / "report.md").read_text()
    assert (
        "bears the history 6.85e+05 times" in report
    )  # 1 / the sum of the standard's five classes
    assert "Fatigue limit 52.3 MPa, cut-off 28.7 MPa" in report  # EN 1993-1-9: 0.737, 0.549 * 0.737
    assert "| 40 | 1.5 | 7.84e-08 |" in report


def test_the_picture_is_an_artifact_with_the_curve_and_the_spectrum(assessed: Path) -> None:
    picture = ElementTree.parse(assessed / "artifacts" / "spectrum.svg").getroot()
    left, top, width, height = map(float, picture.attrib["viewBox"].split())
    strength, stairs = [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in picture.iter(f"{SVG}polyline")
    ]
    assert len(stairs) == 2 * 5  # a step for each class
    assert strength[-1][1] == strength[-2][1]  # below the cut-off nothing damages
    for x, y in strength + stairs:
        assert left <= x <= left + width and top <= y <= top + height
    assert stairs == sorted(stairs)


def test_a_long_history_is_streamed_and_its_progress_seen(kedge: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    cycles = 250_000
    path.write_text("stress [MPa]\n" + "0\n100\n" * cycles + "0\n")
    long, short = [
        kedge("run", EXAMPLES / "fatigue", f"history={history}", "--json")
        for history in (path, ASTM)
    ]
    assert long.json["spectrum"][-1]["cycles"] == cycles
    assert re.search(r"progress: \d{1,2}/100 \d+ readings", long.err)
    assert f"progress: 100/100 {2 * cycles + 1} readings" in long.err

    needed, least = [
        kedge("show", ended.json["_run"]["id"], "--json").json["measured"]["peak_memory_mb"]
        for ended in (long, short)
    ]
    assert needed < least + 8  # half a million numbers in a list are 16 MB


def test_a_bad_reading_is_told_with_its_line(kedge: Any, tmp_path: Path) -> None:
    history = tmp_path / "gap.csv"
    history.write_text("time [s],stress [MPa]\n0,12\n1,nan\n")
    ended = kedge("run", EXAMPLES / "fatigue", f"history={history}", code=1)
    assert "line 3: the stress is nan; remove such readings or fill them in" in ended.err
    assert ended.err.count("Traceback") == 1


BAD_HISTORIES = {
    "empty": (b"", "the history is empty"),
    "blank first line": (b"\n0\n", "the history is empty"),
    "no readings": (b"stress [MPa]\n\n", "no readings"),
    "missing column": (b"time [s],load [N]\n0,1\n", "`time [s]`, `load [N]`"),
    "semicolons": (b"time [s];stress [MPa]\n0;1\n", "`time [s];stress [MPa]`"),
    "two columns": (b"stress [MPa],stress [psi]\n0,1\n", "more than one column"),
    "no unit": (b"stress\n0\n", "`stress` names no unit"),
    "unknown unit": (
        b"stress [bar]\n0\n",
        "`stress [bar]` names no unit of stress; write one of Pa",
    ),
    "short line": (b"time [s],stress [MPa]\n0,1\n1\n", "line 3 ends before"),
    "a word": (b"stress [MPa]\n1\n\noverload\n", "line 4: `overload` is not a number"),
    "a decimal comma": (b'stress [MPa]\n"1,5"\n', "line 2: `1,5` is not a number"),
    "infinite": (b"stress [MPa]\n1\n-inf\n", "line 3: the stress is -inf"),
    "pascals called megapascals": (b"stress [MPa]\n2e8\n", "line 2: no material bears 2e+08"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", "no column is headed"),
    "UTF-16": ("stress [MPa]\n1\n".encode("utf-16"), "no column is headed"),
    "an endless field": (b"stress [MPa]\n" + b"1" * 200_000, "line 2 is not CSV"),
}


@pytest.mark.parametrize(("content", "words"), BAD_HISTORIES.values(), ids=BAD_HISTORIES)
def test_a_file_that_is_no_history_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with imported("fatigue", "history") as history, pytest.raises(ValueError) as refused:
        list(history.readings(path))
    assert words in str(refused.value)


@given(st.lists(st.integers(-50, 50)))
def test_rainflow_cycles_account_for_every_rise_and_fall(values: list[int]) -> None:
    with imported("fatigue", "rainflow") as rainflow:
        counted = list(rainflow.cycles(rainflow.turning_points(values)))
    ways = sum(abs(after - before) for before, after in pairwise(values))
    assert sum(2 * cycle.count * cycle.range for cycle in counted) == ways
    assert max((cycle.range for cycle in counted), default=0) == max(values, default=0) - min(
        values, default=0
    )


@contextlib.contextmanager
def imported(package: str, module: str) -> Iterator[ModuleType]:
    """A module of an example, which imports its neighbours as it does in a run."""
    before = set(sys.modules)
    sys.path.insert(0, str(EXAMPLES / package))
    try:
        yield importlib.import_module(module)
    finally:
        sys.path.remove(str(EXAMPLES / package))
        for name in set(sys.modules) - before:
            if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


# ---- pipe: units as text ------------------------------------------------------------------------------

WALL = ["run", EXAMPLES / "pipe", "wall"]


def test_the_same_pipe_in_other_units_is_the_same_pipe(kedge: Any) -> None:
    ours = [*WALL, "pressure=40", "outside_diameter=254", "design_stress=150", "axial_force=2.5"]
    theirs = [*WALL, "pressure=4 MPa", "outside_diameter=10 inch", "design_stress=150e6 Pa",
              "axial_force=2500 N"]  # fmt: skip
    first, second = kedge(*ours, "--json").json, kedge(*theirs, "--json").json
    assert first["thickness"] == pytest.approx(second["thickness"], rel=1e-12)
    assert first["axial_stress"] == pytest.approx(second["axial_stress"], rel=1e-12)


def test_every_wrong_dimension_is_refused_before_anything_starts(kedge_alone: Any) -> None:
    wrong = ["flow=3 kN", "diameter=12 kg", "length=10", "pressure=2 m", "fluid.density=1 bar",
             "fluid.viscosity=1 cP"]  # fmt: skip
    ended = kedge_alone("run", EXAMPLES / "pipe", "drop", *wrong, "--json", code=2)
    problems = {one["where"]: one["message"] for one in ended.json["error"]["problems"]}
    assert set(problems) == {"flow", "diameter", "pressure", "fluid.density"}
    assert problems["diameter"] == "`12 kg` is a mass; `diameter` is a length in mm"
    assert kedge_alone("runs", "--json").json == []


def test_choices_and_structs_are_held_to_their_types(kedge: Any) -> None:
    pipe = ["flow=12", "diameter=50", "length=100", "pressure=6"]
    wrong = ["material=wood", 'fluid={"density": 1000}']
    ended = kedge("run", EXAMPLES / "pipe", "drop", *pipe, *wrong, "--json", code=2)
    said = json.dumps(ended.json["error"])
    assert "cast iron" in said and "fluid.viscosity" in said


# ---- quench: a long run -------------------------------------------------------------------------------

SLAB = [EXAMPLES / "quench", "thickness=100 mm", "cells=60"]


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_a_stopped_run_goes_on_from_its_checkpoint_to_the_same_bits(
    kedge: Any, executor: str
) -> None:
    record = kedge.interrupt(*SLAB, "duration=300 h", "--executor", executor, at=b"200/")
    assert list(record["artifacts"]) == ["checkpoint.json"]
    checkpoint = Path(record["artifacts"]["checkpoint.json"]["uri"].removeprefix("file://"))
    done = json.loads(checkpoint.read_text())["step"]
    assert done >= 200

    time_step = (100 / 60) ** 2 / 6 / 12  # of the slab, in s; see FOURIER in the example
    whole = ["run", *SLAB, f"duration={(done + 500) * time_step!r} s", "--json"]
    at_once, resumed = kedge(*whole).json, kedge(*whole, f"checkpoint={checkpoint}").json
    assert at_once["steps"] == done + 500
    assert 20 < resumed["mean"] <= resumed["centre"] < 850
    for output in ("centre", "mean", "time", "steps"):
        assert resumed[output] == at_once[output]
    assert resumed["profile"]["sha256"] == at_once["profile"]["sha256"]


def test_a_time_limit_leaves_the_checkpoint_too(kedge: Any, tmp_path: Path) -> None:
    kedge("run", *SLAB, "duration=300 h", "--timeout", "0.5", "--out", tmp_path / "out", code=124)
    saved = json.loads((tmp_path / "out" / "artifacts" / "checkpoint.json").read_text())
    assert saved["step"] > 0
    assert len(saved["temperatures"]) == 61


def test_a_checkpoint_of_another_slab_is_refused_by_what_differs(kedge: Any) -> None:
    other = f"checkpoint={EXAMPLES}/quench/tests/checkpoint.json"
    ended = kedge("run", *SLAB, "duration=1 min", other, code=1)
    assert "the checkpoint is that of another slab: cells 100 in place of 60" in ended.err


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"slab": 1, "step": 1, "temperatures": []}', "[" * 100_000,
                '{"slab": {"cells": 4}, "step": 1, "temperatures": [1]}'],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text(content)
    with (
        imported("quench", "checkpoint") as checkpoint,
        pytest.raises(ValueError, match="the checkpoint is"),
    ):
        checkpoint.load(path, {"cells": 4})


# ---- functions: decorated ones, in programs that Python runs ------------------------------------------

FUNCTIONS = EXAMPLES / "functions"


@pytest.fixture
def python(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an example as its docstring says; what it prints."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))

    def run(name: str) -> str:
        words = [sys.executable, FUNCTIONS / name]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


@pytest.mark.slow
def test_drawn_and_exact_probabilities_agree(python: Any) -> None:
    out = python("monte_carlo.py")
    assert out.count("\n|") == 5  # a head, a line and four parts
    drawn, exact = map(float, re.findall(r"(?:drawn|exact) ([\d.]+)", out))
    assert exact == pytest.approx(0.001616, abs=1e-6)
    assert drawn == pytest.approx(exact, abs=4 * (exact / 1e6) ** 0.5)


def test_a_function_imports_and_reads_what_it_ships(python: Any) -> None:
    first, *_, last = python("profiles.py").splitlines()
    assert first == "20 kN m: IPE 140, 12.9 kg/m, 73% used"
    assert last == "320 kN m: IPE 360, 57.1 kg/m, 100% used"


def test_one_call_of_many_fails_alone(python: Any) -> None:
    lines = python("sweep.py").splitlines()
    assert lines[0] == "30 degrees: thrown into the net, at 30 degrees"
    distances = [float(line.split()[-2]) for line in lines[1:]]
    assert len(distances) == 4
    assert max(distances) == distances[2] < 28.0**2 / 9.81  # 44 degrees; less than without drag


@pytest.mark.slow
def test_a_service_is_reached_at_its_port_until_it_is_interrupted(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    monkeypatch.setenv("KEDGE_EXECUTOR", "sandbox")  # tests/containers have the others
    port = SERVING.free_port()
    words = [sys.executable, FUNCTIONS / "service.py", str(port)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as service:
        try:
            assert service.stderr is not None
            for line in service.stderr:
                if "serving at" in line:
                    break
            asked = f"http://127.0.0.1:{port}/stress?force=12&diameter="
            with urllib.request.urlopen(asked + "16") as answer:
                assert json.load(answer) == {"stress_mpa": 59.683}
            with pytest.raises(urllib.error.HTTPError, match="422") as refused:
                urllib.request.urlopen(asked + "0")
            refused.value.close()
            service.send_signal(signal.SIGINT)
            assert service.wait(SERVING.PATIENCE_S) == 0
            assert SERVING.is_free(port)
        finally:
            service.kill()
