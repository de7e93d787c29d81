"""What a decorated function is before it is run: still the function, with options that were checked."""

import copy
import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client.decorated.decorator import declaration_of
from kedge.errors import UsageError

type Decorate = Callable[..., Any]
type Script = Callable[..., list[str]]

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@kedge.function
def area(width: float, height: float = 2.0) -> float:
    """The area of a rectangle."""
    return width * height


@kedge.function(name="tested", cpu=1)
def doubled(value: Any) -> Any:
    return 2 * value


class Plate:
    thickness = 3

    def __init__(self, side: int) -> None:
        self.side = side

    @kedge.function(name="tested")
    def volume(self, number: int = 1) -> int:
        return number * self.surface() * self.thickness

    @kedge.function(name="tested")
    def surface(self) -> int:
        return self.side**2

    @staticmethod
    @kedge.function(name="tested")
    def unit() -> str:
        return "mm"


def product(left: int, right: int) -> int:
    return left * right


def test_a_plain_call_is_the_function_here_and_now() -> None:
    assert area(3) == 6.0
    assert area(width=3, height=1) == 3
    given = [1]
    assert kedge.function(lambda values: values)(given) is given


def test_it_looks_like_the_function() -> None:
    assert (area.__name__, area.__doc__) == ("area", "The area of a rectangle.")
    assert inspect.signature(area) == inspect.signature(area.__wrapped__)
    assert repr(area) == "<kedge.function area>"


def test_it_is_decorated_with_options_without_or_by_a_call(decorated: Decorate) -> None:
    assert area.run(3) == 6.0
    assert doubled.run("a") == "aa"
    assert decorated(product).run(3, 4) == 12
    assert decorated(product)(3, 4) == 12


def test_what_is_decorated_already_may_be_decorated_anew(decorated: Decorate) -> None:
    again = decorated(area, env={"HEIGHT": "1"})
    assert again.run(3) == 6.0
    assert again.__wrapped__ is area.__wrapped__


def test_lambdas_partial_functions_and_functions_of_python_itself_run(decorated: Decorate) -> None:
    factor = 7
    assert decorated(lambda value: factor * value).run(3) == 21
    assert decorated(functools.partial(product, 3)).run(4) == 12
    assert decorated(functools.partial(product, right=3)).run(4) == 12
    assert decorated(len).run([1, 2]) == 2


def test_a_wrapped_function_runs_with_what_wraps_it(decorated: Decorate) -> None:
    def twice(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def wrapper(*args: int) -> int:
            return 2 * function(*args)

        return wrapper

    assert decorated(twice(product)).run(3, 4) == 24


def test_a_method_runs_with_its_object(decorated: Decorate) -> None:
    plate = Plate(4)
    assert (plate.volume(), plate.volume(2)) == (48, 96)
    assert plate.volume.run(2) == 96
    assert Plate.volume.run(plate, number=2) == 96
    assert list(plate.volume.map([1, 2])) == [48, 96]
    assert (Plate.unit.run(), plate.unit.run()) == ("mm", "mm")
    assert decorated(Plate(2).surface).run() == 4


def test_it_can_be_pickled_and_copied_by_its_name(script: Script) -> None:
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy(doubled) is doubled
    with pytest.raises(TypeError, match="no name in a module"):
        pickle.dumps(kedge.function(functools.partial(product, 3)))
    text = (
        "import kedge, multiprocessing\n"
        "@kedge.function\n"
        "def squared(value):\n"
        "    return value * value\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(squared, [2, 3]))\n"
    )
    assert script(text) == ["[4, 9]"]


def test_a_decorated_function_of_an_imported_module_brings_what_that_defines(
    script: Script,
) -> None:
    module = (
        "import kedge\n"
        "FACTOR = 3\n"
        "class Overloaded(Exception): pass\n"
        "class Load:\n"
        "    def __init__(self, size): self.size = size\n"
        "def scaled(value): return FACTOR * value\n"
        "@kedge.function\n"
        "def checked(load):\n"
        "    if load.size > 10: raise Overloaded(load.size)\n"
        "    return Load(scaled(load.size))\n"
    )
    text = (
        "from loads import Load, Overloaded, checked\n"
        "found = checked.run(Load(3))\n"
        "print(type(found) is Load, found.size)\n"
        "try: checked.run(Load(11))\n"
        "except Overloaded as error: print('overloaded by', error)\n"
    )
    assert script(text, {"loads.py": module}) == ["True 9", "overloaded by 11"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"pip": "numpy"}, id="no file of requirements"),
        pytest.param({"pip": ["numpy<<2"]}, id="no requirement"),
        pytest.param({"pip": ["-e ."]}, id="an option of pip"),
        pytest.param({"pip": 3}, id="no packages at all"),
        pytest.param({"apt": "ffmpeg"}, id="a text for Debian packages"),
        pytest.param({"apt": ["Bad Name"]}, id="no Debian package"),
        pytest.param({"run_commands": "make"}, id="a text for commands"),
        pytest.param({"run_commands": [""]}, id="an empty command"),
        pytest.param({"base_image": ""}, id="an empty base image"),
        pytest.param({"copy": "utils.py"}, id="a text for copies"),
        pytest.param({"copy": ["nowhere.py"]}, id="a file that is not there"),
        pytest.param({"copy": [3]}, id="a copy that is no path"),
        pytest.param({"python_version": "3.8"}, id="another Python"),
        pytest.param({"python_version": 3.12}, id="a number for a version"),
        pytest.param({"name": "a b"}, id="a name with a space"),
        pytest.param({"name": 3}, id="a name that is no text"),
        pytest.param({"cpu": 0}, id="no CPU"),
        pytest.param({"cpu": True}, id="a truth for a number"),
        pytest.param({"memory": 1.5}, id="parts of a MiB"),
        pytest.param({"memory": 10**9}, id="more memory than there is"),
        pytest.param({"timeout": float("nan")}, id="no number of seconds"),
        pytest.param({"gpu": -1}, id="fewer GPUs than none"),
        pytest.param({"network": "yes"}, id="a text for a truth"),
        pytest.param({"env": ["MODE"]}, id="a list for variables"),
        pytest.param({"env": {"A B": "1"}}, id="a variable with a space"),
        pytest.param({"env": {"MODE": 1}}, id="a number for a variable"),
        pytest.param({"secrets": "KEY"}, id="a text for secrets"),
        pytest.param({"secrets": ["A B"]}, id="a secret with a space"),
        pytest.param({"retries": -1}, id="fewer retries than none"),
        pytest.param({"cache": "yes"}, id="a text for the cache"),
        pytest.param({"executor": "slurm"}, id="an executor that is none"),
        pytest.param({"unpickle": "all"}, id="a way to unpickle that is none"),
    ],
)
def test_an_option_that_means_nothing_is_refused_with_file_and_line(wrong: dict[str, Any]) -> None:
    (option,) = wrong
    with pytest.raises(UsageError) as raised:
        kedge.function(product, **wrong)
    where = raised.value.where
    assert where is not None
    assert (where.file, where.line, where.path) == (__file__, line_of(product), option)
    assert raised.value.hint
    assert f"hint: {raised.value.hint}" in raised.value.__notes__


def test_options_that_mean_nothing_are_refused_all_at_once() -> None:
    with pytest.raises(UsageError, match="6 problems in the options of `product`") as raised:
        kedge.function(
            product,
            pip=["numpy<<2", "numpy"],
            copy=["nowhere.py", "/etc/passwd"],
            cpu=-1,
            executor="slurm",
            retries="many",
        )
    places = [problem.where.path for problem in raised.value.problems if problem.where]
    assert sorted(places) == ["copy", "copy", "cpu", "executor", "pip", "retries"]
    said = str(raised.value).splitlines()
    assert said[said.index(next(line for line in said if "`cpu` is -1" in line)) + 1] == (
        "    hint: give a number above 0 and below 1000000000"
    )
    assert not hasattr(raised.value, "__notes__")


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_what_needs_a_container_is_refused_for_an_executor_without_one(executor: str) -> None:
    with pytest.raises(UsageError, match=r"\(executor\): `executor` is .* need a container"):
        kedge.function(product, apt=["gcc"], executor=executor)


def test_a_pattern_in_copy_is_said_to_be_none() -> None:
    with pytest.raises(UsageError) as raised:
        kedge.function(product, copy=["./data/*.txt"])
    assert raised.value.hint == "there are no patterns here: name the folder, or each file"


def test_the_name_that_is_proposed_keeps_letters_with_accents() -> None:
    with pytest.raises(UsageError) as raised:
        kedge.function(product, name="ünï")
    assert raised.value.hint == "for example `uni`"


def test_deploy_says_that_there_is_no_server_whatever_it_is_given() -> None:
    with pytest.raises(kedge.Unavailable):
        kedge.function(product).deploy([1], x=2)


def test_a_traceback_of_what_went_wrong_has_no_line_of_kedge() -> None:
    with pytest.raises(UsageError) as raised:
        kedge.function(product, retries={"max": "many"}).run(1, 2)
    assert [entry.frame.code.path for entry in raised.traceback] == [Path(__file__)]


def test_what_only_the_manifest_knows_of_is_refused_in_the_words_of_the_options() -> None:
    odd = kedge.function(product, retries={"max": "many"})
    with pytest.raises(UsageError, match=r"test_decorating\.py:\d+ \(retries\)"):
        odd.run(1, 2)


def test_another_version_of_python_is_refused_with_the_reason_and_the_way_out() -> None:
    assert kedge.function(product, python_version=VERSION)(3, 4) == 12
    with pytest.raises(UsageError, match=f"this is Python {VERSION}") as raised:
        kedge.function(product, python_version="3.8")
    assert "a package with a handler" in str(raised.value.hint)


@pytest.mark.parametrize("wrong", [3, "text", None.__class__, Plate])
def test_what_is_no_function_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is no function"):
        kedge.function(wrong)


def test_arguments_that_do_not_fit_are_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    for call in (area.run, area.submit, area.build):
        with pytest.raises(TypeError, match="width"):
            call()
        with pytest.raises(TypeError):
            call(1, 2, 3)
        with pytest.raises(TypeError, match="depth"):
            call(1, depth=3)
    with pytest.raises(TypeError, match="`lambda`: too many positional arguments"):
        kedge.function(lambda: 1).run(1)
    assert not (tmp_path / "home").exists()


def test_a_function_is_the_same_one_in_the_next_process_whatever_it_needs_then(
    script: Script,
) -> None:
    text = (
        "import kedge\n"
        "from kedge.client.decorated.decorator import declaration_of\n"
        "def told(function, **options):\n"
        "    print(declaration_of(kedge.function(function, **options)).identity.rpartition('/')[2])\n"
        "def one(): pass\n"
        "def other(): pass\n"
        "told(one, apt=['{0}'])\n"
        "told(other, apt=['{0}'])\n"
        "told(one, pip=['{0}'])\n"
        "told(one, run_commands=['{0}'])\n"
        "told(one, base_image='{0}')\n"
        "told(one, apt=['{0}'], memory=100, copy=['main.py'])\n"
        "told(one, apt=['{0}'], name='named')\n"
    )
    first = script(text.format("bc"))
    assert script(text.format("dc")) == first
    assert len(set(first)) == 6
    assert first[0] == first[5] == "main.py:one::0"


def test_lambdas_of_a_file_are_told_apart_by_their_lines() -> None:
    found = [
        declaration_of(kedge.function(lambda: 1)).identity,
        declaration_of(kedge.function(lambda: 2)).identity,
        declaration_of(kedge.function(lambda: 2, apt=["bc"])).identity,
    ]
    assert len(set(found)) == 3
    name = "test_lambdas_of_a_file_are_told_apart_by_their_lines.<locals>.<lambda>"
    first = line_of(test_lambdas_of_a_file_are_told_apart_by_their_lines) + 2
    assert found == [f"{__file__}:{name}:{first + number}::0" for number in range(3)]


def test_what_stands_in_no_file_belongs_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(shown: str) -> str:
        told: dict[str, Any] = {}
        exec(compile("def typed(): pass", shown, "exec"), told)
        return declaration_of(kedge.function(told["typed"])).identity

    # A session names each of its inputs anew, and another one may use the same names.
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    assert {
        identity("<stdin>"),
        identity("<python-input-3>"),
        identity("/tmp/ipykernel_9/7.py"),
    } == {f"{tmp_path}/one:typed::0"}
    monkeypatch.chdir(tmp_path / "two")
    assert identity("<stdin>") == f"{tmp_path}/two:typed::0"


def test_to_decorate_makes_and_imports_nothing_that_a_run_needs(
    script: Script, tmp_path: Path
) -> None:
    text = (
        "import os, sys, kedge\n"
        f"os.environ['KEDGE_HOME'] = {str(tmp_path / 'home')!r}\n"
        "@kedge.function(pip=['numpy'], copy=['main.py'])\n"
        "def decorated(): return 1\n"
        "print(decorated(), os.path.exists(os.environ['KEDGE_HOME']))\n"
        "heavy = ('asyncio', 'cloudpickle', 'pydantic', 'sqlite3', 'subprocess', 'yaml')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    assert script(text) == ["1 False", "[]"]


def test_there_is_no_server_to_publish_to_and_it_says_so_plainly() -> None:
    with pytest.raises(kedge.KedgeError, match="no Kedge server yet") as raised:
        kedge.function(product, key="secret", server="https://kedge.test").deploy(left=1, right=2)
    assert raised.value.exit_code == 3
    assert any(".build()" in note for note in raised.value.__notes__)


def line_of(function: Callable[..., Any]) -> int:
    return inspect.getsourcelines(function)[1]
