"""What `import kedge` gives."""

import subprocess
import sys

import kedge


def test_every_public_name_is_there() -> None:
    assert {name: getattr(kedge, name) for name in kedge.__all__}.keys() == set(kedge.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    try:
        kedge.no_such_name  # noqa: B018 - the access is the test
    except AttributeError as error:
        assert "no_such_name" in str(error)
    else:
        raise AssertionError("it was found")


def test_what_authors_write_against_is_the_same_as_inside_a_run() -> None:
    from kedge.contract import runner

    shim = {name: thing for name, thing in runner.SHIM.items() if name != "function"}
    ports = {name: shim.pop(name) for name in ("File", "Folder")}  # ports of tasks besides
    assert {name: getattr(kedge, name) for name in shim} == shim
    for name, annotation in ports.items():
        assert issubclass(getattr(kedge, name), annotation)
        assert getattr(kedge, name).__kedge_kind__ == annotation.__kedge_kind__


def test_a_decorated_function_is_plain_inside_a_run() -> None:
    from kedge.contract import runner

    decorate = runner.SHIM["function"]
    assert decorate(len) is decorate(pip=["numpy"])(len) is len


def test_importing_kedge_imports_nothing_else() -> None:
    code = (
        "import sys\nbefore = {*sys.modules}\nimport kedge\nprint(sorted({*sys.modules} - before))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['kedge', 'kedge.version']"


def test_a_function_written_for_kedge_runs_alone(tmp_path: object) -> None:
    code = (
        "from typing import Annotated\nimport kedge\n"
        "@kedge.function\ndef area(width: Annotated[float, kedge.Unit('mm')]):\n"
        "    kedge.progress(1, 2, 'half')\n    return width * 2\n"
        "print(area(3.0))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=str(tmp_path), capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "6.0"


def test_decorating_a_function_imports_nothing_that_runs_it() -> None:
    code = (
        "import sys, kedge\n"
        "@kedge.function(pip=['numpy'], copy=[])\ndef area(width):\n    return width * 2\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('kedge.')}\n"
        "print(rooms & {'run', 'executor', 'store', 'target', 'runtime'})\n"
        "print({'asyncio', 'cloudpickle', 'pydantic', 'sqlite3', 'subprocess'} & set(sys.modules))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["set()", "set()"]
