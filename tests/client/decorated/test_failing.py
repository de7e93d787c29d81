"""Each way to fail is its own error: the function's own exception, or what ended the run."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import kedge
from kedge.errors import UsageError

type Decorate = Callable[..., Any]
type Script = Callable[..., list[str]]


class Overloaded(Exception):
    pass


class Bent(Exception):
    """What it is made with is not what `Exception` is made with."""

    def __init__(self, load: float, limit: float) -> None:
        super().__init__(f"{load} N is more than {limit} N")
        self.load = load


class Missing(FileNotFoundError):
    def __init__(self, name: str) -> None:
        super().__init__(2, "not in the store", name)


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


def raising(error: BaseException) -> NoReturn:
    raise error


def deep(load: float) -> NoReturn:
    def checked() -> NoReturn:
        raise Overloaded(load)

    checked()


def test_its_own_exception_is_caught_as_its_class_with_the_remote_traceback(
    decorated: Decorate,
) -> None:
    with pytest.raises(Overloaded) as raised:
        decorated(deep).run(5.0)
    assert raised.value.args == (5.0,)
    (note,) = raised.value.__notes__
    assert note.startswith("RemoteTraceback:\nTraceback (most recent call last):\n")
    assert f'File "{__file__}"' in note
    assert "    checked()\n" in note and "raise Overloaded(load)\n" in note
    assert "kedge" not in note.replace(__file__, "")


def test_frames_of_kedge_are_not_shown_here(script: Script) -> None:
    text = (
        "import kedge, traceback\n"
        "@kedge.function\n"
        "def fails(): raise ValueError('no')\n"
        "try: fails.run()\n"
        "except ValueError:\n"
        "    said = traceback.format_exc()\n"
        "print(said.count('  File '), said.count('fails(): raise'), 'kedge/client' in said)\n"
    )
    # Where it was called, where it was raised.
    assert script(text) == ["2 1 False"]


def test_the_lines_of_a_traceback_are_those_of_the_file_as_it_is_now(script: Script) -> None:
    text = (
        "import importlib, linecache, kedge, jobs\n"
        "def tried():\n"
        "    try: kedge.function(jobs.fails, name='tested').run()\n"
        "    except ValueError as error:\n"
        "        lines = error.__notes__[0].splitlines()\n"
        "        print([line.strip() for line in lines if 'raise' in line])\n"
        "tried()\n"
        "with open(jobs.__file__) as file: text = file.read()\n"
        "with open(jobs.__file__, 'w') as file: file.write('# Moved.\\n' + text.replace('first', 'second'))\n"
        "importlib.reload(jobs)\n"
        "tried()\n"
    )
    jobs = "def fails():\n    raise ValueError  # at first\n"
    said = script(text, {"jobs.py": jobs})
    assert said == ["['raise ValueError  # at first']", "['raise ValueError  # at second']"]


@pytest.mark.parametrize("unpickle", ["safe", "any"])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(error, id=type(error).__name__)
        for error in (
            ValueError("no", 3),
            KeyError("key"),
            StopIteration(3),
            FileNotFoundError(2, "No such file", "x.txt"),
            ExceptionGroup("both", [ValueError(1), Overloaded("deep")]),
            Bent(5.0, 4.0),
            Missing("x.txt"),
            Frozen(3),
        )
    ],
)
def test_an_exception_is_what_it_was(decorated: Decorate, error: Exception, unpickle: str) -> None:
    with pytest.raises(type(error)) as raised:
        decorated(raising, unpickle=unpickle).run(error)
    found = raised.value
    assert (type(found), str(found)) == (type(error), str(error))
    if not isinstance(error, ExceptionGroup):
        assert found.args == error.args
    named = vars(error).keys() - {"__notes__"}
    assert {name: vars(found)[name] for name in named} == {
        name: vars(error)[name] for name in named
    }
    assert found.__notes__[-1].startswith("RemoteTraceback:")


def test_fields_that_python_keeps_itself_come_back(decorated: Decorate) -> None:
    with pytest.raises(OSError) as raised:
        decorated(lambda: os.stat("/nowhere/at/all")).run()
    assert (raised.value.errno, raised.value.filename) == (2, "/nowhere/at/all")
    with pytest.raises(UnicodeDecodeError) as wrong:
        decorated(lambda: b"a\xff".decode()).run()
    assert (wrong.value.encoding, wrong.value.object, wrong.value.start) == ("utf-8", b"a\xff", 1)


def test_notes_and_causes_of_the_function_are_kept(decorated: Decorate) -> None:
    def fails() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            second = ValueError("second")
            second.add_note("of the author")
            raise second from error

    with pytest.raises(ValueError, match="second") as raised:
        decorated(fails).run()
    assert raised.value.__notes__[0] == "of the author"
    assert "direct cause" in raised.value.__notes__[1]
    assert "KeyError: 'first'" in raised.value.__notes__[1]


def test_attributes_that_cannot_be_pickled_are_left_out(decorated: Decorate) -> None:
    def fails() -> None:
        error = Overloaded("too much", threading.Lock())
        error.lock, error.load = threading.Lock(), 5  # type: ignore[attr-defined]
        raise error

    with pytest.raises(Overloaded, match="too much") as raised:
        decorated(fails).run()
    assert raised.value.load == 5  # type: ignore[attr-defined]
    assert not hasattr(raised.value, "lock")


@dataclasses.dataclass
class Place:
    name: str


def test_of_what_is_not_taken_in_an_exception_the_text_takes_the_place(decorated: Decorate) -> None:
    def fails() -> None:
        import re

        error = Overloaded("too much", re.compile("a+"), [Place("here")])
        error.pattern, error.place = re.compile("b"), Place("there")  # type: ignore[attr-defined]
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        error.add_note("of the author")
        raise error

    with pytest.raises(Overloaded) as raised:
        decorated(fails).run()
    assert raised.value.args == ("too much", "re.compile('a+')", [Place("here")])
    found = vars(raised.value)
    assert (found["pattern"], found["place"]) == ("re.compile('b')", Place("there"))
    assert "lock" not in found
    assert found["__notes__"][0] == "of the author"
    assert found["__notes__"][1].startswith("RemoteTraceback:")


def test_so_it_does_in_a_group_and_in_what_has_arguments_of_its_own(decorated: Decorate) -> None:
    def fails() -> None:
        import re

        bent = Bent(5.0, 4.0)
        bent.load = re.compile("a")  # type: ignore[assignment]
        raise ExceptionGroup("both", [bent, KeyError(re.compile("b"), Place("here"))])

    with pytest.raises(ExceptionGroup, match="both") as raised:
        decorated(fails).run()
    first, second = raised.value.exceptions
    assert type(first) is Bent and first.load == "re.compile('a')"
    assert type(second) is KeyError and second.args == ("re.compile('b')", Place("here"))


def test_an_error_of_pythons_that_holds_what_is_pythons_own(decorated: Decorate) -> None:
    import configparser

    def fails() -> None:
        import configparser

        configparser.ConfigParser().read_string("a")

    with pytest.raises(configparser.MissingSectionHeaderError) as raised:
        decorated(fails).run()
    assert (raised.value.lineno, raised.value.line) == (1, "a")


def test_what_only_the_runtime_has_is_a_text_too(decorated: Decorate) -> None:
    def fails() -> None:
        import types

        module = types.ModuleType("only_inside")
        sys.modules["only_inside"] = module
        exec("class Odd: __repr__ = lambda self: 'odd'", vars(module))
        error = Overloaded("too much")
        error.odd = module.Odd()  # type: ignore[attr-defined]
        raise error

    for unpickle in ("safe", "any"):
        with pytest.raises(Overloaded, match="too much") as raised:
            decorated(fails, unpickle=unpickle).run()
        assert raised.value.odd == "odd"  # type: ignore[attr-defined]


def test_what_is_large_or_has_no_text_is_one_thing_among_others(decorated: Decorate) -> None:
    def fails() -> None:
        import re

        class Mute:
            def __repr__(self) -> str:
                raise ValueError

        raise Overloaded(re.compile("a"), bytearray(3_000_000), threading.Lock, [Mute()], 5)

    with pytest.raises(Overloaded) as raised:
        decorated(fails).run()
    pattern, large, _, mute, number = raised.value.args
    assert (pattern, mute, number) == ("re.compile('a')", "`list`", 5)
    assert large.startswith("bytearray(b'") and len(large) == 2000


def test_notes_that_are_none_do_no_harm(decorated: Decorate) -> None:
    def fails() -> None:
        error = Overloaded("odd")
        error.__notes__ = 5  # type: ignore[assignment]
        raise error

    with pytest.raises(Overloaded, match="odd") as raised:
        decorated(fails).run()
    assert len(raised.value.__notes__) == 1


def test_an_exception_that_cannot_be_had_here_is_a_function_error_with_its_type_and_text(
    decorated: Decorate,
) -> None:
    def fails() -> None:
        class Inner(Exception):
            pass

        raise Inner("of nobody else")

    def of_a_module() -> None:
        import types

        module = types.ModuleType("only_inside")
        sys.modules["only_inside"] = module
        exec("class Odd(Exception): pass", vars(module))
        raise module.Odd("from afar")

    with pytest.raises(kedge.FunctionError, match="Inner: of nobody else") as raised:
        decorated(fails).run()
    assert raised.value.type is not None and raised.value.type.endswith("Inner")
    assert 'raise Inner("of nobody else")' in (raised.value.traceback or "")
    with pytest.raises(kedge.FunctionError, match="from afar") as odd:
        decorated(of_a_module).run()
    assert odd.value.type is not None and odd.value.type.endswith("Odd")


def test_an_exception_of_a_module_of_python_that_is_not_loaded_here(script: Script) -> None:
    text = (
        "import kedge, sys\n"
        "@kedge.function\n"
        "def fails():\n"
        "    import plistlib\n"
        "    plistlib.loads(b'x')\n"
        "assert 'plistlib' not in sys.modules\n"
        "try: fails.run()\n"
        "except Exception as error:\n"
        "    print(type(error).__module__, type(error).__name__)\n"
    )
    assert script(text) == ["plistlib InvalidFileException"]


def test_an_asynchronous_function_and_its_exceptions(decorated: Decorate) -> None:
    async def fails() -> None:
        raise Bent(1, 0)

    with pytest.raises(Bent) as raised:
        decorated(fails).run()
    assert "raise Bent(1, 0)" in raised.value.__notes__[0]


def test_a_module_that_is_not_there_is_asked_for_in_pip(decorated: Decorate) -> None:
    def fails() -> None:
        import no_such_module  # noqa: F401

    with pytest.raises(ModuleNotFoundError, match="no_such_module") as raised:
        decorated(fails).run()
    assert "hint: Add what provides `no_such_module` to `pip`." in raised.value.__notes__


def test_sys_exit_is_a_function_error_and_no_exit_here(decorated: Decorate) -> None:
    with pytest.raises(kedge.FunctionError, match=r"sys\.exit\(3\)"):
        decorated(lambda: sys.exit(3)).run()
    with pytest.raises(kedge.FunctionError, match="SystemExit"):
        decorated(lambda: sys.exit()).run()


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, BaseException])
def test_what_is_no_ordinary_exception_is_a_function_error_here(
    decorated: Decorate, error: type[BaseException]
) -> None:
    with pytest.raises(kedge.FunctionError, match=error.__name__) as raised:
        decorated(lambda: raising(error("stop"))).run()
    assert raised.value.type == error.__name__


def test_a_process_that_ends_itself_is_a_contract_error_or_says_its_code(
    decorated: Decorate,
) -> None:
    with pytest.raises(kedge.ContractError, match="ended before the function had returned"):
        decorated(lambda: os._exit(0)).run()
    with pytest.raises(kedge.FunctionError, match="exit code 3"):
        decorated(lambda: os._exit(3)).run()
    with pytest.raises(kedge.FunctionError, match="SIGSEGV"):
        decorated(lambda: os.kill(os.getpid(), signal.SIGSEGV)).run()


def test_too_much_memory_is_out_of_memory_and_says_which_option(decorated: Decorate) -> None:
    with pytest.raises(kedge.OutOfMemory, match="100 MiB") as raised:
        decorated(lambda: len(bytearray(1 << 30)), memory=100).run()
    assert "kedge.function(…, memory=…)" in raised.value.__notes__[-1]


FULL = """
import kedge, os

@kedge.function
def gives(size):
    return os.urandom(size << 20)

@kedge.function
def yields(size):
    yield os.urandom(1 << 20)
    yield os.urandom(size << 20)

@kedge.function
def fills(path):
    kedge.progress(1, 2)
    with open(path, "wb") as file:
        while True:
            file.write(bytes(1 << 20))

@kedge.function
def fails(size):
    error = ValueError("too large")
    error.data = os.urandom(size << 20)
    raise error

def tried(function, *args):
    try:
        print(len(function(*args)))
    except kedge.RunFailed as error:
        print(type(error).__name__, record(error.run_id))
    except ValueError as error:
        print("ValueError", len(error.data))

def record(run_id):
    from kedge.run import record
    return record.get(run_id).failure_kind

tried(gives.run, 60)
tried(gives.run, 10)
tried(lambda size: list(yields.run(size)), 60)
tried(fills.run, "scratch/all")
tried(fills.run, "/tmp/all")
tried(fails.run, 60)
tried(fails.run, 1)
print([name for _, _, names in os.walk(os.environ["KEDGE_HOME"]) for name in names if name.endswith(".partial")])
"""


def test_a_disk_that_a_run_fills_is_out_of_disk_and_the_next_call_is_right(
    written: Callable[[dict[str, str]], Path],
    small_disk: Callable[[Path, str], list[str]],
    tmp_path: Path,
) -> None:
    place = tmp_path / "small"
    command = [*small_disk(place, "40m"), sys.executable, written({"main.py": FULL}) / "main.py"]
    env = os.environ | {"KEDGE_HOME": str(place)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, err
    assert out.splitlines() == [
        "OutOfDisk out_of_disk",
        "10485760",
        "OutOfDisk out_of_disk",
        "OutOfDisk out_of_disk",
        "OutOfDisk out_of_disk",
        "FunctionError function_error",
        "ValueError 1048576",
        "[]",
    ]
    assert "ignored" not in err


def test_too_much_time_is_a_timeout_and_says_which_option(decorated: Decorate) -> None:
    with pytest.raises(kedge.RunTimeout, match="1 s") as raised:
        decorated(lambda: time.sleep(3600), timeout=1).run()
    assert "kedge.function(…, timeout=…)" in raised.value.__notes__[-1]


def test_packages_that_do_not_exist_are_an_error_that_names_them(decorated: Decorate) -> None:
    with pytest.raises(kedge.EnvironmentFailed, match="numpy") as raised:
        decorated(lambda: 1, pip=["numpy>=99"]).run()
    assert "numpy>=99" in str(raised.value)
    assert raised.value.hint
    assert raised.value.exit_code == 3


def test_a_package_that_it_refers_to_and_does_not_name_is_asked_for(script: Script) -> None:
    text = (
        "import kedge, pytest\n"
        "for function in (lambda: pytest.approx(1), lambda value: value):\n"
        "    try: kedge.function(function, name='tested').run(*[pytest.approx(1)] * function.__code__.co_argcount)\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error, error.__notes__[-1])\n"
        "        assert 'cloudpickle' not in error.__notes__[0]\n"
    )
    expected = "ModuleNotFoundError No module named {!r} hint: Add what provides `{}` to `pip`."
    assert script(text) == [expected.format(name, name) for name in ("pytest", "_pytest")]


def test_an_argument_that_cannot_be_pickled_is_named_before_the_run(decorated: Decorate) -> None:
    with pytest.raises(UsageError) as raised:
        decorated(lambda *_, **__: 1).run(1, threading.Lock(), lock=threading.Lock())
    assert raised.value.code == "unpicklable"
    said = [problem.message for problem in raised.value.problems]
    assert len(said) == 2
    assert said[0].startswith("`argument 2`, a `_thread.lock`, cannot be sent: ")
    assert said[1].startswith("`lock`, a `_thread.lock`, cannot be sent: ")


def test_a_function_that_cannot_be_pickled_says_where_it_is(decorated: Decorate) -> None:
    lock = threading.Lock()

    def locked() -> bool:
        return lock.locked()

    with pytest.raises(UsageError, match="cannot be sent to its runtime") as raised:
        decorated(locked).run()
    assert raised.value.code == "unpicklable"
    assert raised.value.where is not None and raised.value.where.file == __file__
    assert raised.value.hint


def test_a_result_that_cannot_be_pickled_is_named(decorated: Decorate) -> None:
    with pytest.raises(kedge.FunctionError, match=r"`_thread\.lock`") as raised:
        decorated(lambda: {"lock": threading.Lock()}["lock"]).run()
    assert "cannot be sent back" in str(raised.value)
    (note,) = (note for note in raised.value.__notes__ if note.startswith("hint: "))
    assert "return plain data" in note and "unpickle" not in note  # of what nothing can pickle
    with pytest.raises(kedge.FunctionError, match=r"`builtins\.function`") as raised:
        decorated(lambda: lambda: 1).run()
    assert 'unpickle="any"' in str(raised.value.__notes__)


def test_a_result_that_refers_to_itself_without_end_is_an_error(decorated: Decorate) -> None:
    def endless() -> list[Any]:
        found: list[Any] = []
        for _ in range(100_000):
            found = [found]
        return found

    with pytest.raises(kedge.FunctionError, match="RecursionError"):
        decorated(endless).run()


def test_the_network_is_off_and_an_error_that_looks_like_it_says_so(decorated: Decorate) -> None:
    def connects() -> int:
        import socket

        with socket.create_connection(("192.0.2.1", 9), timeout=5):
            return 1

    with pytest.raises(OSError, match="unreachable") as raised:
        decorated(connects).run()
    assert "network=True" in raised.value.__notes__[-1]


def test_the_network_is_on_where_it_was_asked_for(decorated: Decorate) -> None:
    import socket

    def connects(port: int) -> bytes:
        import socket

        with socket.create_connection(("127.0.0.1", port), timeout=30) as connected:
            return connected.recv(4)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connected, _ = server.accept()
            with connected:
                connected.sendall(b"here")

        answering = threading.Thread(target=answer)
        answering.start()
        connecting = decorated(lambda at: connects(at), network=True)
        assert connecting.run(server.getsockname()[1]) == b"here"
        answering.join()


def test_a_home_that_cannot_be_written_is_an_error(
    decorated: Decorate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(kedge.KedgeError) as raised:
        decorated(lambda: 1).run()
    assert raised.value.exit_code == 3


def test_the_next_call_is_right_after_one_that_failed(decorated: Decorate) -> None:
    def maybe(fails: bool) -> str:
        if fails:
            raise Overloaded
        return "well"

    function = decorated(maybe)
    for _ in range(2):
        with pytest.raises(Overloaded):
            function.run(True)
        assert function.run(False) == "well"
