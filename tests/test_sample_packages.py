"""The sample packages and the examples, run as a user runs them: by the command line, in full."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "tests" / "packages"
EXAMPLES = ROOT / "examples"

# The first run of a package makes its environment; with numpy and scipy on a slow machine.
COMMAND_TIMEOUT = 600

type Answer = tuple[int, Any, str]


@pytest.fixture
def kedge(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls `kedge ARGUMENTS --json`: exit code, the JSON document, standard error."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))

    def call(*arguments: object) -> Answer:
        ended = subprocess.run(
            [sys.executable, "-m", "kedge", *map(str, arguments), "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        assert "src/kedge" not in ended.stderr, ended.stderr  # no traceback of Kedge's own
        try:
            document = json.loads(ended.stdout)
        except ValueError:
            pytest.fail(f"not one JSON document:\n{ended.stdout}\n{ended.stderr}")
        return ended.returncode, document, ended.stderr

    return call


def outputs(document: dict[str, Any]) -> dict[str, Any]:
    """The outputs alone: names that begin with `_` are Kedge's own."""
    return {name: value for name, value in document.items() if not name.startswith("_")}


BOLT_STRESS = pytest.approx(132.69639, rel=1e-6)

SHAPES: list[tuple[str, str, list[str], dict[str, Any]]] = [
    ("seed-short", "sizing", ["diameter_mm=12", "load_n=15000"], {"stress_mpa": BOLT_STRESS}),
    ("full-form", "sizing", ["diameter_mm=12", "load_n=15000"], {"stress_mpa": BOLT_STRESS}),
    ("submodule", "area", ["side=3"], {"result": 9.0}),
    ("wrapped-class", "stress", ["designation=M12", "force=8430"], {"result": pytest.approx(100.0)}),
    ("path-input", "measure", [f"mesh={PACKAGES}/path-input/data/mesh.med"],
     {"name": "mesh.med", "lines": 3, "size": 27}),
    ("single-return", "number", ["x=2.5"], {"result": 5.0}),
    ("single-return", "text", ["x=3"], {"result": "xxx"}),
    ("single-return", "numbers", [], {"result": [0, 1, 2]}),
    ("single-return", "nothing", [], {}),
    ("typed-dict", "section", ["width=10", "height=20"],
     {"area": 200.0, "inertia": pytest.approx(6666.667, rel=1e-6), "square": False}),
    ("open-dict", "typed", ["n=3"], {"x0": 0.0, "x1": 0.5, "x2": 1.0}),
    ("open-dict", "anything", ["n=2"], {"n": 2, "text": "nn", "nested": {"list": [2]}}),
    ("open-dict", "unannotated", ["n=[1, 2]"], {"result": [1, 2]}),
    ("async-handler", "gather", ["n=4"], {"result": [0, 1, 4, 9]}),
    ("decorated", "cached", ["x=1"], {"result": 2}),
    ("decorated", "logged", ["x=1"], {"result": 3}),
    ("decorated", "marked", ["x=1"], {"result": 4}),
    ("signature-types", "open", ["base=2", "factor=3", "more=0.5"], {"result": 6.5}),
    ("signature-types", "standard",
     ["grade=S355", 'bolt={"diameter": 12}', "point.x=3", "point.y=4", "day=2024-02-29",
      "moment=2024-02-29T12:00:00", "wait=PT1H30M", 'limits={"high": 2.5}', "unique=[2, 1]",
      'pair=[1, "a"]'],
     {"grade": "STRONG", "area": 144.0, "norm": 5.0, "day": "2024-02-29",
      "later": "2024-02-29T13:30:00", "spread": 2.5, "unique": [1, 2]}),
    ("units", "area", ["width=2 cm"], {"result": pytest.approx(200.0)}),
    ("units", "declared", ["width=1 inch", "height=25 cm", "load=1500 N"],
     {"width": pytest.approx(25.4), "height": pytest.approx(0.25), "load": pytest.approx(1.5)}),
    ("mecapy-manifest", "limits", [], {"MECAPY_CPU_LIMIT": "1", "MECAPY_MEM_LIMIT_MB": "300",
                                       "MECAPY_SCRATCH": "/workspace/scratch"}),
    ("pyproject-manifest", "double", ["x=2"], {"result": 4.0}),
    ("ignores", "files", [], {"result": [".kedgeignore", "data/keep.csv", "kedge.yml", "lists.py"]}),
    ("python-versions", "version", [], {"result": "3.8"}),
    ("python-versions", "later-syntax", ["a=1", "b=2"], {"result": 3}),
    ("requirements-list", "dump", ["key=a", "value=1"], {"result": "a = 1\n"}),
    ("requirements-path", "dump", ["key=a", "value=1"], {"result": "a = 1\n"}),
    ("pyproject-requirements", "dump", ["key=a", "value=1"], {"result": "a = 1\n"}),
    ("numpy-one", "solve", ["matrix=[[2, 0], [0, 4]]", "right=[2, 4]"],
     {"solution": [1.0, 1.0], "norm": pytest.approx(2**0.5), "count": 2, "finite": True}),
    ("numpy-two", "solve", ["n=3"], {"result": 3.0}),
    ("progress-artifacts", "malformed", [], {}),
    ("progress-artifacts", "flood", ["n=2000"], {"result": 2000}),
    ("print-flood", "lines", ["n=20000"], {"result": 20000}),
    ("print-flood", "long-line", ["mb=2"], {"result": 2}),
    ("print-flood", "bytes", [], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("package", "function", "values", "expected"),
    SHAPES,
    ids=[f"{package}-{function}" for package, function, _, _ in SHAPES],
)
def test_a_sample_gives_its_outputs(
    kedge: Any, package: str, function: str, values: list[str], expected: dict[str, Any]
) -> None:
    code, document, said = kedge("run", PACKAGES / package, function, *values)
    assert code == 0, (document, said)
    assert outputs(document) == expected


FAILURES: list[tuple[str, str, list[str], int, str, str]] = [
    ("raises", "raises", ["load=5"], 1, "function_error", "the screw cannot carry 5 N"),
    ("raises", "exits", ["code=3"], 1, "function_error", "3"),
    ("raises", "dies", ["code=7"], 1, "function_error", "last words"),
    ("raises", "aborts", [], 1, "function_error", "SIGABRT"),
    ("raises", "unserialisable", [], 1, "contract_error", "bad"),
    ("raises", "not-a-number", [], 1, "contract_error", "bad"),
    ("raises", "wrong-type", [], 1, "contract_error", "result"),
    ("raises", "recurses", [], 1, "function_error", "recursion"),
    ("raises", "import-error", [], 1, "function_error", "a_distribution_that_is_not_there"),
    ("raises", "syntax-error", [], 1, "function_error", "syntax"),
    ("open-dict", "mistyped", ["n=1"], 1, "contract_error", "bad"),
    ("file-in-file-out", "forgets", [], 1, "contract_error", "copy"),
    ("file-in-file-out", "wrong-extension", [], 1, "contract_error", "pdf"),
    ("greedy", "time", [], 124, "timeout", "1"),
    ("impossible-pin", "never", [], 3, "environment_error", "tomli-w"),
    ("contradiction", "never", [], 3, "environment_error", "tomli-w"),
    ("absent-python", "never", [], 3, "environment_error", "3.99"),
    ("dockerfile-package", "thermal-analysis", [f"mesh_file={PACKAGES}/path-input/data/mesh.med",
     "thermal_load=1"], 3, "environment_error|unavailable", ""),
    ("image-package", "thermal", [f"mesh={PACKAGES}/path-input/data/mesh.med", "load=1"], 3,
     "environment_error|unavailable", ""),
    ("two-manifests", "double", ["x=1"], 2, "package", "mecapy.yml"),
    ("reserved-folder", "double", ["x=1"], 2, "package", "scratch"),
    ("seed-short", "sizing", ["diameter_mm=12"], 2, "input", "load_n"),
    ("seed-short", "sizzing", ["diameter_mm=12"], 2, "unknown-name", "sizing"),
    ("units", "area", ["width=12 kg"], 2, "input", "length"),
    ("file-in-file-out", "upper", [f"source={PACKAGES}/raises/kedge.yml"], 2, "input", "txt"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("package", "function", "values", "exit_code", "error", "words"),
    FAILURES,
    ids=[f"{entry[0]}-{entry[1]}-{entry[4]}" for entry in FAILURES],
)
def test_a_sample_fails_as_it_should(
    kedge: Any,
    package: str,
    function: str,
    values: list[str],
    exit_code: int,
    error: str,
    words: str,
) -> None:
    code, document, said = kedge("run", PACKAGES / package, function, *values)
    assert code == exit_code, (document, said)
    assert document["error"]["code"] in error.split("|")  # without an engine it is unavailable
    assert words.lower() in json.dumps(document).lower()


def test_all_wrong_inputs_are_named_at_once(kedge: Any) -> None:
    code, document, _ = kedge(
        "run", PACKAGES / "units", "declared", "width=1 kg", "depth=2", "load=x"
    )
    problems = json.dumps(document["error"]["problems"])
    assert code == 2
    for name in ("width", "height", "depth", "load"):
        assert f"`{name}`" in problems or f'"{name}"' in problems


def test_a_raised_exception_shows_the_authors_frames_only(kedge: Any) -> None:
    code, document, _ = kedge("run", PACKAGES / "raises", "raises")
    error = document["error"]
    assert code == 1
    assert error["type"].endswith("Overloaded")
    assert "in divide" in error["traceback"] and "in raises" in error["traceback"]
    assert "ZeroDivisionError" in error["traceback"]
    assert "runner" not in error["traceback"]
    _, record, _ = kedge("show", error["run"])
    assert error["traceback"] in record["failure"]["traceback"]


@pytest.mark.parametrize("function", ["upper", "direct"])
def test_files_go_in_and_come_out(kedge: Any, tmp_path: Path, function: str) -> None:
    source = tmp_path / "notes.txt"
    source.write_text("hello\n")
    given = [f"source={source}", "--out", tmp_path / "results"]
    code, document, said = kedge("run", PACKAGES / "file-in-file-out", function, *given)
    assert code == 0, (document, said)
    assert (tmp_path / "results" / "copy.txt").read_text().lower() == "hello\n"
    assert document["copy"]["size"] == 6
    assert source.read_text() == "hello\n"


def test_folders_and_lists_of_files_go_in_and_come_out(kedge: Any, tmp_path: Path) -> None:
    code, document, said = kedge("run", PACKAGES / "folders", "split", "n=2", "--out", tmp_path)
    assert code == 0, (document, said)
    parts = json.dumps([str(tmp_path / "parts" / f"part{number}.txt") for number in range(2)])
    given = [f"case={tmp_path / 'case'}", f"parts={parts}"]
    code, document, said = kedge("run", PACKAGES / "folders", "count", *given)
    assert code == 0, (document, said)
    assert outputs(document) == {"files": 1, "text": "0\n1\n"}


def test_artifacts_are_kept_and_links_are_not(kedge: Any) -> None:
    _, document, _ = kedge("run", PACKAGES / "progress-artifacts", "artifacts")
    assert sorted(document["_artifacts"]) == ["log.txt", "plots/a.svg"]
    assert document["_artifacts"]["log.txt"]["size"] == 6
    _, document, _ = kedge("run", PACKAGES / "progress-artifacts", "links")
    assert sorted(document["_artifacts"]) == ["real.txt"]


def test_packages_with_the_same_lock_share_an_environment(kedge: Any) -> None:
    places = [
        kedge("run", PACKAGES / name, "where")[1]["result"] for name in ("numpy-one", "numpy-two")
    ]
    assert places[0] == places[1]


@pytest.mark.parametrize(
    ("argument", "values", "expected"),
    [
        ("scripts/plain.py", ["x=2"], {"result": 4.0}),
        ("scripts/with_dependency.py:dump", ["key=a", "value=1"], {"result": "a = 1\n"}),
    ],
)
def test_a_script_is_a_package(
    kedge: Any, argument: str, values: list[str], expected: dict[str, Any]
) -> None:
    code, document, said = kedge("run", PACKAGES / argument, *values)
    assert code == 0, (document, said)
    assert outputs(document) == expected


def test_the_example_script_runs_with_units(kedge: Any) -> None:
    _, document, _ = kedge("run", f"{EXAMPLES}/beam.py:deflection", "length=3 m", "load=1200")
    # Roark's Formulas for Stress and Strain, table 8.1, case 1a
    assert document["result"] == pytest.approx(1200 * 3**3 / (3 * 210e9 * 0.05 * 0.1**3 / 12) * 1e3)


@pytest.mark.parametrize("package", ["bolt-sizing", "truss"])
def test_an_examples_own_test_cases_pass(kedge: Any, package: str) -> None:
    code, document, said = kedge("test", EXAMPLES / package)
    assert code == 0, (document, said)


def test_test_cases_that_fail_are_told_apart(kedge: Any) -> None:
    assert kedge("test", PACKAGES / "test-cases", "root")[0] == 0
    assert kedge("test", PACKAGES / "test-cases", "read")[0] == 0
    code, document, _ = kedge("test", PACKAGES / "test-cases", "failing")
    assert code == 1
    told = json.dumps(document)
    assert "wrong value" in told and "should have failed" in told


def test_what_cannot_be_a_handler_is_refused_with_a_hint(kedge: Any) -> None:
    code, document, _ = kedge("check", PACKAGES / "not-functions")
    assert code == 2
    problems = document["error"]["problems"]
    assert problems
    assert all(problem["hint"] for problem in problems)
