"""The examples in images, and the guide that shows them, on each engine."""

import json
import math
import os
import re
import runpy
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "guides" / "containers.md"
HEAT, READINGS = EXAMPLES / "heat", EXAMPLES / "readings"
FORMS = EXAMPLES / "two-forms"


@pytest.fixture(scope="module")
def home(home_of_all: Any) -> Path:
    """A Kedge home for all workers, so that each image is built once."""
    place: Path = home_of_all("examples")
    return place


@pytest.fixture
def kedge(kedge_alone: Any, engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line on that home; programs of images run on the engine."""
    monkeypatch.setenv("KEDGE_HOME", str(home))
    return kedge_alone


def tags(engine: Engine, home: Path, package: str = "") -> list[str]:
    """The images that a Kedge home has built, of one package or of all."""
    filtered = ("--filter", f"label=kedge.home={home}")
    done = subprocess.run(
        [engine.path, "images", "--format", "{{.Repository}}:{{.Tag}}", *filtered],
        capture_output=True,
        text=True,
        check=True,
    )
    named = [one for one in done.stdout.split() if "<none>" not in one]
    return [one for one in named if f"kedge/{package}" in one]


@pytest.mark.parametrize("package", [HEAT, READINGS, FORMS / "image"], ids=lambda path: path.name)
def test_an_examples_test_cases_pass(kedge: Any, engine: Engine, package: Path) -> None:
    assert "no problems" in kedge("check", package).out
    for name, function in kedge("inspect", package, "--json").json["functions"].items():
        assert function["description"], name
    kedge("test", package, "--executor", engine.kind)


def artifact(record: dict[str, Any], name: str) -> str:
    """What an artifact holds."""
    return Path(record["artifacts"][name]["uri"].removeprefix("file://")).read_text()


# ---- heat: a solver in C ------------------------------------------------------------------------------


def test_a_field_is_what_fourier_says_at_every_node(
    kedge: Any, engine: Engine, tmp_path: Path
) -> None:
    given = [f"mesh={HEAT}/tests/strip.msh", "conductivity=50", "temperatures.left=100 degC",
             "temperatures.right=273.15", "--out", tmp_path]  # fmt: skip
    ended = kedge("run", HEAT, "steady", *given, "--executor", engine.kind)
    assert re.search(r"^progress: \d+/100 iteration 0, residual ", ended.err, re.MULTILINE)
    points, temperatures = field(tmp_path / "field.vtk")
    assert len(points) == 63
    for (x, _, _), kelvin in zip(points, temperatures, strict=True):
        assert kelvin == pytest.approx(373.15 - 100 * x, rel=1e-9)
    rows = (tmp_path / "artifacts" / "convergence.csv").read_text().splitlines()
    assert rows[0] == "iteration,residual"
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(len(rows) - 1))
    assert float(rows[-1].split(",")[1]) <= 1e-10


LOADED = """
import kedge, sys
path, engine = sys.argv[1:]
with kedge.load(path) as package:
    mesh = package.mesh.options(executor=engine)
    shape = {"width": "10 cm", "height": "4 cm", "rows": 8}
    print([mesh(**shape, columns=columns)["nodes"] for columns in (20, 21)])
    print([found["nodes"] for found in mesh.map([shape | {"columns": one} for one in (2, 3, 4)])])
    run = mesh.submit(**shape, columns=20)
    print(run.result(timeout=300)["mesh"].name, run.record()["executor"] == engine)
    steady = package.steady.options(executor=engine)
    try:
        steady(mesh=__file__, conductivity=50, temperatures={"left": 300})
    except kedge.FunctionError as error:
        print(error)
"""


def test_programs_of_images_are_functions_of_python(
    kedge: Any, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "study.msh").write_text(LOADED)  # which is no mesh
    ended = kedge("python", tmp_path / "study.msh", HEAT, engine.kind)
    assert ended.out.splitlines()[:3] == ["[189, 198]", "[27, 36, 45]", "mesh.msh True"]
    assert "line 1 of the mesh" in ended.out.splitlines()[3]


def field(path: Path) -> tuple[list[tuple[float, ...]], list[float]]:
    """The points and the temperatures of a legacy VTK file."""
    text = path.read_text()
    assert text.startswith("# vtk DataFile Version 3.0\n")
    points = re.search(r"^POINTS (\d+) double\n([^A-Z]*)", text, re.MULTILINE)
    values = re.search(r"^LOOKUP_TABLE default\n(.*)", text, re.MULTILINE | re.DOTALL)
    assert points and values
    numbers = [float(word) for word in points[2].split()]
    found = list(zip(*[iter(numbers)] * 3, strict=True))
    assert len(found) == int(points[1])
    return found, [float(word) for word in values[1].split()]


def test_a_solver_that_is_stopped_leaves_its_field(
    kedge: Any, engine: Engine, tmp_path: Path
) -> None:
    shape = ["width=1", "height=1", "columns=60", "rows=60", "--out", tmp_path]
    kedge("run", HEAT, "mesh", *shape, "--executor", engine.kind)
    given = [f"mesh={tmp_path}/mesh.msh", "conductivity=50", "density=7800", "heat_capacity=500",
             "initial=1000", "temperatures.left=300", "duration=1 day", "steps=100000"]  # fmt: skip
    record = kedge.interrupt(HEAT, "transient", *given, "--executor", engine.kind)
    assert record["failure"]["type"] == "Stopped"
    assert set(record["artifacts"]) == {"history.csv", "partial.vtk"}
    history = artifact(record, "history.csv").splitlines()
    assert history[0] == "time [s],coldest [K],hottest [K],mean [K]"
    assert 1000 <= len(history) < 100_000
    means = [float(row.split(",")[3]) for row in history[1:]]
    assert all(before > after for before, after in pairwise(means))
    place = tmp_path / "partial.vtk"
    place.write_text(artifact(record, "partial.vtk"))
    temperatures = field(place)[1]
    assert len(temperatures) == 61**2
    assert all(math.isfinite(kelvin) for kelvin in temperatures)
    assert min(temperatures) == 300
    assert "Stopped: stopped at " in kedge("logs", record["id"]).err


MESH = (HEAT / "tests" / "torn.msh").read_text().replace("2 4 3", "2 1 3")

BAD_MESHES = {
    "empty": ("", "no triangle was there"),
    "another format": ("solid plate\n" + MESH, "line 1 of the mesh: the file does not begin"),
    "version 4": (MESH.replace("2.2 0 8", "4.1 0 8"), "line 2 of the mesh: `4.1 0 8` is not"),
    "binary": (MESH.replace("2.2 0 8", "2.2 1 8"), "line 2 of the mesh: `2.2 1 8` is not"),
    "a name without quotes": (MESH.replace('"left"', "left"), "line 6"),
    "no number": (MESH.replace("2 1 0 0\n", "2 one 0 0\n"), "line 11 of the mesh: `2 one 0 0`"),
    "not finite": (MESH.replace("2 1 0 0\n", "2 nan 0 0\n"), "line 11 of the mesh: `2 nan 0 0`"),
    "not plane": (MESH.replace("2 1 0 0\n", "2 1 0 0.5\n"), "node 2 has z = 0.5"),
    "twice the same": (MESH.replace("2 1 0 0\n", "1 1 0 0\n"), "there are two nodes 1"),
    "too many nodes said": (MESH.replace("Nodes\n3", "Nodes\n4", 1), "line 13 of the mesh: `$End"),
    "too many to be true": (MESH.replace("Nodes\n3", "Nodes\n3e99", 1), "line 9"),
    "a quadrangle": (MESH.replace("2 2 2 2 2 1 2 3", "2 3 2 2 2 1 2 3 3"), "is of type 3"),
    "no area": (MESH.replace("3 0 1 0\n", "3 2 0 0\n"), "line 17 of the mesh: triangle 2 has no"),
    "cut off": (MESH[: MESH.index("3 2 2 2 2")], "the file ends within $Elements"),
    "a short element": (MESH.replace("2 2 2 2 2 1 2 3", "2 2 2 2 2 1"), "line 17 of the mesh: the"),
}  # fmt: skip


def test_a_bad_mesh_is_told_with_its_line(kedge: Any, engine: Engine, tmp_path: Path) -> None:
    rows = []
    for number, (text, _) in enumerate(BAD_MESHES.values()):
        path = tmp_path / f"mesh{number}.msh"
        path.write_text(text)
        rows.append(json.dumps({"mesh": str(path)}))
    table, results = tmp_path / "meshes.jsonl", tmp_path / "results.jsonl"
    table.write_text("\n".join(rows) + "\n")
    given = ["conductivity=1", "temperatures.left=300", "--inputs", table, "--out", results]
    kedge("map", HEAT, "steady", *given, "-q", "--executor", engine.kind, code=1)
    said = [json.loads(line)["_error"] for line in results.read_text().splitlines()]
    for (name, (_, words)), error in zip(BAD_MESHES.items(), said, strict=True):
        assert "MeshError" in error and words in error, (name, error)


def test_what_the_image_is_not_made_of_is_no_reason_to_build(
    kedge: Any, engine: Engine, home: Path, tmp_path: Path
) -> None:
    package = tmp_path / "heat"
    shutil.copytree(HEAT, package)
    square = ["width=1", "height=1", "columns=1", "rows=1", "--executor", engine.kind, "--json"]
    assert kedge("run", package, "mesh", *square).json["nodes"] == 4
    manifest = package / "kedge.yml"
    manifest.write_text(manifest.read_text().replace("tier: nano", "tier: micro"))
    shutil.rmtree(package / "tests")
    manifest.write_text(re.sub(r"    testcases: .*\n", "", manifest.read_text()))
    again = kedge("run", package, "mesh", *square)
    assert "building" not in again.err
    given = [f"mesh={HEAT}/tests/square.msh", "conductivity=1", "temperatures.top=1"]
    other = kedge("run", package, "steady", *given, "--executor", engine.kind)
    assert "building" not in other.err
    assert len(tags(engine, home, "heat:")) == 1


# ---- readings: shell and jq ---------------------------------------------------------------------------


def test_an_output_that_may_be_absent_is_there_when_there_is_something_to_say(
    kedge: Any, engine: Engine
) -> None:
    given = [f"readings={READINGS}/tests/oil.jsonl", "channel=oil", "--executor", engine.kind]
    beyond = kedge("run", READINGS, "summary", *given, "limit=80", "--json").json["beyond"]
    (reading,) = Path(beyond["path"]).read_text().splitlines()
    assert json.loads(reading)["value"] == 82.75
    for limit in ([], ["limit=1e3"]):
        outputs = kedge("run", READINGS, "summary", *given, *limit, "--json").json
        assert outputs["count"] == 3 and "beyond" not in outputs


def test_a_script_that_is_stopped_keeps_what_is_whole(
    kedge: Any, engine: Engine, tmp_path: Path
) -> None:
    days = tmp_path / "days"
    days.mkdir()
    for number in range(2000):
        shutil.copy(READINGS / "tests" / "oil.jsonl", days / f"{number:04}.jsonl")
    words = [READINGS, "merge", f"days={days}", "--executor", engine.kind]
    record = kedge.interrupt(*words)
    assert record["failure"]["type"] == "Stopped"
    rows = artifact(record, "table-so-far.csv").splitlines()
    assert rows[0] == '"time","channel","value"'
    assert (len(rows) - 1) % 5 == 0 and rows[-1] == '"2026-03-02T08:20:00Z","oil",82.75'


# ---- two forms: the same function in all three kinds --------------------------------------------------


def test_three_kinds_answer_and_fail_alike(
    kedge: Any, engine: Engine, home: Path, tmp_path: Path
) -> None:
    python, image = FORMS / "python", FORMS / "image"
    assert (python / "column.py").read_bytes() == (image / "column.py").read_bytes()
    assert (python / "column.py").read_bytes() == (image / "column.py").read_bytes()
    ports = [
        (form / "kedge.yml").read_text().partition("description:")[2] for form in FORMS.iterdir()
    ]
    assert len(ports) == 2 and ports[0] == ports[1]

    pulled = tmp_path / "pulled"
    pulled.mkdir()
    name = f"localhost/kedge-test/column:{os.getpid()}"
    kind = f"{{kind: image, image: '{name}'}}"
    (pulled / "kedge.yml").write_text(
        re.sub(
            r"(?<=^runtime: ).*|^    testcases: .*\n",
            lambda found: "" if "testcases" in found[0] else kind,
            (image / "kedge.yml").read_text(),
            flags=re.MULTILINE,
        )
    )
    asked = [
        (["length=2 m", "diameter=40"], 0),
        (["length=300", "diameter=4 cm", "ends=fixed-free", "yield_stress=355"], 0),
        (["length=0", "diameter=40"], 1),
        (["length=2 kg", "diameter=40", "ends=loose"], 2),
    ]
    on_engine = ["--executor", engine.kind]
    expected = [told(kedge("run", python, *words, "--json", code=code)) for words, code in asked]
    assert expected[0]["formula"] == "Euler" and expected[1]["formula"] == "Johnson"
    assert (expected[2]["kind"], expected[2]["type"]) == ("function_error", "ValueError")
    assert expected[3]["code"] == "input"
    for package in (image, pulled):
        if package is pulled:
            (built,) = tags(engine, home, "column:")
            subprocess.run([engine.path, "tag", built, name], check=True)
        try:
            for (words, code), answer in zip(asked, expected, strict=True):
                ended = kedge("run", package, *words, "--json", *on_engine, code=code)
                assert told(ended) == answer
        finally:
            subprocess.run([engine.path, "rmi", name], capture_output=True)


def told(ended: Any) -> dict[str, Any]:
    """What a caller can rely on: the outputs, or what kind of failure it was and why."""
    document: dict[str, Any] = ended.json
    error = document.get("error")
    if error is None:
        return {name: value for name, value in document.items() if name != "_run"}
    return {key: error.get(key) for key in ("code", "kind", "type", "message", "problems")}


# ---- the guide ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documentation() -> dict[str, Any]:
    """How documents are read: tests/test_documentation.py."""
    return runpy.run_path(str(ROOT / "tests" / "test_documentation.py"))


def test_the_guides_recipes_are_the_examples_own_lines(documentation: dict[str, Any]) -> None:
    shown = [block for block in documentation["blocks"](GUIDE) if block.language == "sh"]
    assert len(shown) > 10
    for block in shown:
        text = (ROOT / block.words.removeprefix("from=")).read_text()
        assert f"\n{block.text}" in text, f"line {block.line}"


def test_the_documents_show_what_happens(
    kedge: Any,
    engine: Engine,
    documentation: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    program = programs / "kedge"
    program.write_text(f'#!/bin/sh\nexec {" ".join(kedge.words)} "$@"\n')
    program.chmod(0o755)
    shutil.copytree(EXAMPLES, work / "examples")
    (work / "kedge").symlink_to(program)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KEDGE_EXECUTOR", engine.kind)
    # So that what is built is not told among the errors of a command that is to fail.
    kedge("run", HEAT, "mesh", "width=1", "height=1", "columns=1", "rows=1")
    kedge("run", READINGS, "channels", f"readings={READINGS}/tests/oil.jsonl")
    kedge("run", FORMS / "image", "length=1", "diameter=1")
    shown = [
        (document, block)
        for document in (README, GUIDE)
        for block in documentation["blocks"](document)
        if block.words == "engine"
    ]
    assert [document for document, _ in shown].count(README) == 1
    assert len(shown) > 4
    for document, block in shown:
        for command in documentation["commands"](block.text):
            ended = documentation["run"](["bash", "-c", command.line], work, os.environ)
            came = ended.stdout + (ended.stderr if ended.returncode else "")
            assert documentation["matches"](command.shown, came), (
                f"{document.name}:{block.line}: $ {command.line}\nshown:\n{command.shown}\ncame:\n{came}\n"
                f"standard error:\n{ended.stderr}"
            )
