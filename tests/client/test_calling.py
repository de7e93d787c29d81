"""A function of a package, called: what goes in, what comes out, what is raised."""

import inspect
import os
import pickle
import shutil
import sys
import threading
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

import kedge
from kedge.client import Package
from kedge.errors import InputError, UnknownName, UsageError

Load = Callable[..., Package]

PACKAGES = Path(__file__).parents[1] / "packages"


def test_one_unnamed_value_comes_back_as_itself(load: Load) -> None:
    package = load("single-return")
    assert package.number(x=2.5) == 5.0
    assert package.text(3) == "xxx"
    assert package.numbers() == [0, 1, 2]
    assert package.nothing() is None


def test_several_outputs_come_back_as_a_dictionary(load: Load) -> None:
    package = load("typed-dict")
    assert package.section(10, height=20) == {
        "area": 200.0,
        "inertia": pytest.approx(6666.667, rel=1e-6),
        "square": False,
    }


def test_where_outputs_are_open_what_came_decides(load: Load) -> None:
    package = load("open-dict")
    assert package.typed(3) == {"x0": 0.0, "x1": 0.5, "x2": 1.0}
    assert package.typed(0) == {}
    assert package.unannotated([1, 2]) == [1, 2]


def test_files_go_in_and_come_out_as_paths(load: Load, tmp_path: Path) -> None:
    source = tmp_path / "notes.txt"
    source.write_text("a\nb\n")
    found = load("file-in-file-out").upper(source)
    assert isinstance(found["copy"], Path)
    assert found["copy"].read_text() == "A\nB\n"
    assert found["lines"] == 2


def test_folders_and_lists_of_files_are_paths_too(load: Load) -> None:
    package = load("folders")
    found = package.split(n=2)
    assert [part.read_text() for part in found["parts"]] == ["0\n", "1\n"]
    assert (found["case"] / "constant" / "mesh").read_text() == "mesh\n"
    assert package.count(**found) == {"files": 1, "text": "0\n1\n"}


def test_values_with_units_are_converted(load: Load) -> None:
    package = load("units")
    assert package.area("2 cm") == pytest.approx(200.0)
    assert package.area(width="2 cm", height=3) == pytest.approx(60.0)


def test_objects_of_the_standard_library_are_inputs(load: Load) -> None:
    from datetime import date, datetime, timedelta

    found = load("signature-types").standard(
        grade="S355",
        bolt={"diameter": 12},
        point={"x": 3, "y": 4},
        day=date(2024, 2, 29),
        moment=datetime(2024, 2, 29, 12),
        wait=timedelta(minutes=90),
        limits={"high": 2.5},
        unique=[2, 1],
        pair=(1, "a"),
    )
    assert found["later"] == "2024-02-29T13:30:00"
    assert found["norm"] == 5.0


def test_inputs_are_refused_all_at_once_and_nothing_starts(load: Load) -> None:
    package = load("units")
    with pytest.raises(InputError) as raised:
        package.area(width="2 kg", hight=3)
    assert [problem.where.path for problem in raised.value.problems] == ["width", "hight"]
    assert isinstance(raised.value, kedge.RequestError)
    assert "hint: did you mean `height`?" in str(raised.value)


def test_more_inputs_than_there_are_is_a_wrong_call(load: Load) -> None:
    package = load("single-return")
    with pytest.raises(UsageError, match="takes 1 inputs and 2 were given"):
        package.number(1.0, 2.0)
    with pytest.raises(UsageError, match="`x` is given twice"):
        package.number(1.0, x=2.0)


def test_a_failure_is_raised_in_the_class_of_its_kind_with_the_authors_lines(load: Load) -> None:
    package = load("raises")
    with pytest.raises(kedge.FunctionError, match="the screw cannot carry 5 N") as raised:
        package.raises(load=5)
    assert raised.value.type == "Overloaded"
    assert raised.value.run_id
    (note,) = raised.value.__notes__
    assert "failures.py" in note and "kedge" not in note
    with pytest.raises(kedge.ContractError):
        package.wrong_type()
    with pytest.raises(kedge.FunctionError, match="SIGABRT"):
        package.aborts()


def test_options_bound_what_a_run_may_take(sleeps: Package) -> None:
    brief = sleeps.waits.options(timeout=0.2)
    with pytest.raises(kedge.RunTimeout):
        brief()
    run = brief.options(memory_mb=64, cpu=0.5, timeout=30).submit(seconds=0)
    run.result()
    limits = run.record()["resources"]
    assert (limits["timeout"], limits["memory_mb"], limits["cpu"]) == (30, 64, 0.5)


def test_options_choose_the_executor(load: Load) -> None:
    package = load("single-return")
    run = package.number.options(executor="process").submit(2)
    assert (run.result(), run.record()["executor"]) == (4.0, "process")
    with pytest.raises(kedge.KedgeError, match="no-such-executor"):
        package.number.options(executor="no-such-executor")(2)


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"cpu": float("nan")}, {"memory_mb": 1.5}, {"timeout": True}]
)
def test_an_amount_that_is_none_is_refused(load: Load, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))) as raised:
        load("single-return").number.options(**wrong)
    assert "number above 0" in raised.value.__notes__[0]


def test_names_are_spelt_as_python_needs_them(load: Load, sleeps: Package) -> None:
    assert load("python-versions").later_syntax(1, 2) == 3
    assert load("python-versions")["later-syntax"](1, 2) == 3
    assert sleeps.time_spans.__name__ == "time_spans"
    assert "time_spans" in dir(sleeps)
    assert list(sleeps) == ["area", "waits", "deaf", "time-spans"]
    assert "time-spans" in sleeps and len(sleeps) == 4


def test_a_name_that_is_not_there_is_an_error_with_a_name_that_is(load: Load) -> None:
    package = load("single-return")
    with pytest.raises(AttributeError, match="no function `numbr`") as raised:
        _ = package.numbr
    assert isinstance(raised.value, UnknownName)
    assert raised.value.__notes__ == ["hint: did you mean `number`?"]
    with pytest.raises(KeyError):
        package["none-at-all"]
    assert not hasattr(package, "_repr_html_")


def test_a_function_shows_its_signature(sleeps: Package, load: Load) -> None:
    assert inspect.signature(sleeps.area) == inspect.Signature(
        [
            inspect.Parameter(
                "width",
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                annotation=Annotated[float, kedge.Unit("mm")],
            ),
            inspect.Parameter(
                "height",
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=2.0,
                annotation=Annotated[float, kedge.Unit("mm")],
            ),
        ],
        return_annotation=Annotated[float, kedge.Unit("mm**2")],
    )
    assert typing.get_type_hints(sleeps.area, include_extras=True) == {
        "width": Annotated[float, kedge.Unit("mm")],
        "height": Annotated[float, kedge.Unit("mm")],
        "return": Annotated[float, kedge.Unit("mm**2")],
    }
    assert typing.get_type_hints(sleeps.waits) == {"seconds": float, "says": str, "return": str}
    assert (
        str(inspect.signature(load("file-in-file-out").upper))
        == (
            f"(source: {inspect.formatannotation(Path)}) -> dict[str, typing.Any]"  # 3.13 has another name for it
        )
    )
    assert str(inspect.signature(load("signature-types").plain)) == (
        "(a: int, b: float, c: str, d: bool, e: list[float], f: dict[str, int],"
        " g: float | None = None, h: int | None = None, i: int | str = 0,"
        " j: Literal['x', 'y'] = 'x', k: Annotated[float, Unit('mm')] = 1.0, l: str = 'none')"
        " -> Any"
    )


def test_a_function_shows_its_documentation(sleeps: Package, load: Load) -> None:
    said = sleeps.area.__doc__
    assert "    width: Float[mm].\n    height: Float[mm], 2.0 unless given.\n" in said
    assert "Returns:\n    Float[mm**2].\n" in said
    assert "kedge.RunFailed" in said
    assert "        copy: File[txt]" in load("file-in-file-out").upper.__doc__
    assert "to run it" in type(sleeps.area).__doc__


def test_one_changed_line_is_seen_by_the_next_call(sleeps: Package, sleeping: Path) -> None:
    assert sleeps.area(3) == 6.0
    for factor in range(2, 6):
        module = sleeping / "sleeps.py"
        module.write_text(SCRIPT_WITH.format(factor=factor))
        assert sleeps.area(3) == 3.0 * factor


SCRIPT_WITH = "def area(width: float) -> float:\n    return width * {factor}\n\n\ndef waits(): ...\ndef deaf(): ...\ndef spans(): ...\n"


def test_a_changed_signature_is_seen_by_the_next_call(sleeps: Package, sleeping: Path) -> None:
    (sleeping / "sleeps.py").write_text(SCRIPT_WITH.format(factor=1) + "\nx = 1\n")
    with pytest.raises(InputError, match="there is no input `height`"):
        sleeps.area(3, height=2)
    assert list(inspect.signature(sleeps.area).parameters) == ["width"]


def test_what_was_seen_last_is_shown_whichever_executor_it_was_seen_for(
    sleeps: Package, sleeping: Path
) -> None:
    (sleeping / "sleeps.py").write_text(SCRIPT_WITH.format(factor=1))
    assert sleeps.area.options(executor="process")(3) == 3.0
    assert list(inspect.signature(sleeps.area).parameters) == ["width"]


def test_an_added_function_is_found_and_a_removed_one_is_missed(
    sleeps: Package, sleeping: Path
) -> None:
    area = sleeps.area
    (sleeping / "kedge.yml").write_text(
        'name: sleeps\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {surface: {handler: "sleeps:area"}}\n'
    )
    assert sleeps.surface(2) == 4.0
    with pytest.raises(UnknownName, match="no function `area`"):
        area(2)


def test_a_package_that_becomes_wrong_says_so_and_recovers(sleeps: Package, sleeping: Path) -> None:
    manifest = (sleeping / "kedge.yml").read_text()
    (sleeping / "kedge.yml").write_text("name: sleeps\n")
    with pytest.raises(kedge.RequestError):
        sleeps.area(2)
    (sleeping / "kedge.yml").write_text(manifest)
    assert sleeps.area(2) == 4.0


def test_a_package_that_is_removed_says_so_and_its_run_goes_on(
    sleeps: Package, sleeping: Path
) -> None:
    run = sleeps.waits.submit(seconds=1.0, says="still here")
    moved = sleeping.rename(sleeping.with_name("elsewhere"))
    for call in (lambda: sleeps.area(2), lambda: sleeps.area.submit(2), lambda: sleeps.other):
        with pytest.raises(UnknownName, match="is not there"):
            call()
    assert run.result() == "still here"
    moved.rename(sleeping)
    assert sleeps.area(2) == 4.0


def test_another_process_is_told_to_load_it_itself(sleeps: Package) -> None:
    for one in (sleeps, sleeps.area):
        with pytest.raises(TypeError, match="load it in the process that calls it"):
            pickle.dumps(one)


def test_a_script_and_a_zip_file_are_packages_too(
    load: Load, sleeping: Path, tmp_path: Path
) -> None:
    assert load(sleeping / "sleeps.py").area(2) == 4.0
    archive = tmp_path / "sleeps.zip"
    for factor in (2, 7):
        (sleeping / "sleeps.py").write_text(SCRIPT_WITH.format(factor=factor))
        with zipfile.ZipFile(archive.with_suffix(".new"), "w") as made:
            for file in sleeping.iterdir():
                made.write(file, file.name)
        archive.with_suffix(".new").rename(archive)
        if factor == 2:
            package = load(archive)
        assert package.area(1) == float(factor)


def test_a_path_that_names_a_function_or_nothing_is_refused(load: Load, sleeping: Path) -> None:
    with pytest.raises(UsageError, match="a package is loaded whole"):
        kedge.load(f"{sleeping}/sleeps.py:area")
    with pytest.raises(UnknownName):
        kedge.load(sleeping / "nothing")


def test_a_package_that_moves_with_the_working_directory_does_not(
    load: Load, sleeping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sleeping.parent)
    with kedge.load("sleeps") as package:
        monkeypatch.chdir("/")
        assert package.area(2) == 4.0


def test_a_closed_package_runs_nothing(load: Load) -> None:
    package = load("single-return")
    number = package.number
    assert number(1) == 2.0
    package.close()
    package.close()
    for attempt in (number, number.submit, lambda x: list(number.map([{"x": x}]))):
        with pytest.raises(UsageError, match="closed"):
            attempt(1)


def test_a_call_that_goes_on_is_cancelled_by_closing(
    load: Load, sleeping: Path, wait_for: Callable[[Callable[[], Any]], None]
) -> None:
    package = load(sleeping)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            package.waits()
        except kedge.RunFailed as error:
            raised.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    run = package.waits.submit()
    wait_for(lambda: run.progress())
    package.close()
    caller.join()
    assert isinstance(raised[0], kedge.RunCancelled)
    with pytest.raises(kedge.RunCancelled):
        run.result(0)


def test_many_threads_call_at_once(load: Load) -> None:
    package = load("single-return")
    found: dict[int, float] = {}

    def call(number: int) -> None:
        for again in range(5):
            found[5 * number + again] = package.number(5 * number + again)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == {number: 2.0 * number for number in range(40)}


def test_it_runs_cold_where_nothing_is_to_be_kept_warm(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_WARM", "false")
    before = children_named("keeper.py", os.getpid())
    package = load("single-return")
    assert package.number(1) == 2.0
    assert children_named("keeper.py", os.getpid()) == before


def test_a_module_that_cannot_be_kept_warm_runs_and_says_why_once(
    load: Load, sleeping: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thread = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (sleeping / "sleeps.py").write_text(thread + SCRIPT_WITH.format(factor=2))
    package = load(sleeping)
    for _ in range(3):
        assert package.area(1) == 2.0
    said = [one.getMessage() for one in caplog.records if "runs cold" in one.getMessage()]
    assert len(said) == 1 and "`area` runs cold" in said[0] and "thread" in said[0]


def test_values_that_are_secret_are_not_recorded(load: Load, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(token: str) -> int:\n    return len(token)\n")
    (tmp_path / "kedge.yml").write_text(
        'name: secretive\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {f: {handler: "m:f", inputs: {token: Secret}}}\n'
    )
    run = load(tmp_path).f.submit("mellon")
    assert run.result() == 6
    assert run.record()["inputs"] == {"token": "***"}


ARRAYS = """
import glob, os
import numpy, kedge
with kedge.load({path!r}) as package:
    found = package.solve(numpy.array([[2.0, 0.0], [0.0, 4.0]]), right=[numpy.int64(2), numpy.float32(4)])
    print(found["solution"], found["count"])
    matrix = numpy.arange(6.0).reshape(2, 3)
    run = package.total.submit(matrix, [matrix, matrix])
    matrix += 1
    print(run.result())
    print(glob.glob(os.environ["KEDGE_HOME"] + "/tmp/*/*.npy"))
    try:
        package.total(matrix.astype(object), [])
    except kedge.RequestError as error:
        print(error.where.path, "Object arrays" in str(error))
"""

TOTAL = """

def total(matrix, files):
    return {"sum": matrix.sum(), "files": [file.name for file in files]}
"""


def test_arrays_are_lists_for_ports_of_lists_and_files_for_ports_of_files(
    load: Load, program: Callable[..., Any], tmp_path: Path
) -> None:
    copy = shutil.copytree(PACKAGES / "numpy-one", tmp_path / "numpy-one")
    with (copy / "solver.py").open("a") as file:
        file.write(TOTAL)
    version = (
        f"{sys.version_info[0]}.{sys.version_info[1]}"  # whose numpy this interpreter can import
    )
    (copy / "kedge.yml").write_text(
        (copy / "kedge.yml").read_text().replace("3.12", version)
        + '  total:\n    handler: "solver:total"\n'
        '    inputs: {matrix: "Array[float64, 2]", files: "list[File[npy]]"}\n'
    )
    (copy / "kedge.lock").unlink()
    site = Path(load(copy).where()) / "lib" / f"python{version}" / "site-packages"
    paths = os.pathsep.join([str(site), *filter(None, sys.path)])
    text = ARRAYS.format(path=str(copy))
    code, out, err = program(text, env=os.environ | {"PYTHONPATH": paths}).ended()
    assert code == 0, err
    assert out.splitlines() == [
        "[1.0, 1.0] 2",
        "{'sum': 15.0, 'files': ['files0.npy', 'files1.npy']}",
        "[]",
        "matrix True",
    ]


def test_the_example_of_the_documentation_works(load: Load) -> None:
    examples = Path(__file__).parents[2] / "examples"
    found = load(examples / "bolt-sizing").sizing(diameter_mm=12, load_n=15000)
    assert found == {"stress_mpa": pytest.approx(132.6963906581741)}


def children_named(name: str, process: int) -> list[int]:
    """The children of a process in whose command line a name is."""
    return [
        int(child)
        for thread in os.listdir(f"/proc/{process}/task")
        for child in Path(f"/proc/{process}/task/{thread}/children").read_text().split()
        if name in Path(f"/proc/{child}/cmdline").read_text()
    ]


def test_it_forgets_nothing_between_processes(load: Load, sleeping: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sleeping, tmp_path / "copy")
    with kedge.load(copy) as one, kedge.load(copy) as other:
        assert (one.area(1), other.area(2)) == (2.0, 4.0)
