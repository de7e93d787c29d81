"""What a decorated function prints appears here: at once, apart, whole."""

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import kedge

type Decorate = Callable[..., Any]


class Heard(io.StringIO):
    """A stream that tells when something has been written to it."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted = wanted
        self.event = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._wanted in self.getvalue():
            self.event.set()
        return written


def output_of(function: Any, *args: Any) -> tuple[str, str]:
    """What a run prints to both streams."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        function.run(*args)
    return out.getvalue(), err.getvalue()


def test_prints_arrive_while_the_function_runs(start: Callable[..., Any]) -> None:
    text = (
        "import kedge, time\n"
        "@kedge.function(name='tested')\n"
        "def sleeps():\n"
        "    print('before')\n"
        "    print('half a line', end='')\n"
        "    time.sleep(3600)\n"
        "sleeps.run()\n"
    )
    program = start(text)
    assert program.line() == "before"
    assert program.stdout.read(11) == b"half a line"
    assert program.poll() is None


def test_each_of_many_prints_is_heard_before_the_function_ends(decorated: Decorate) -> None:
    def asks() -> str:
        print("ready", flush=True)
        kedge.progress(1, 2)
        time.sleep(3600)
        return ""

    heard = Heard("ready\n")
    raised: list[BaseException] = []

    def call() -> None:
        try:
            decorated(asks, timeout=60).run()
        except kedge.KedgeError as error:
            raised.append(error)

    with redirect_stdout(heard):
        caller = threading.Thread(target=call)
        caller.start()
        assert heard.event.wait(60)
        assert caller.is_alive()
        from kedge.client.session import session

        with session()._changed:
            for going in session()._going:
                going.request(force=True)
        caller.join()
    assert isinstance(raised[0], kedge.RunCancelled)


def test_a_print_is_one_write_without_waiting(decorated: Decorate) -> None:
    def pieces() -> list[bytes]:
        reading, writing = os.pipe2(os.O_DIRECT)  # which keeps writes apart
        os.dup2(writing, 1)
        print("x")
        print("a", 1, sep="é", end="\n\n", flush=True)
        print("half", end="")
        sys.stdout.write("y\n")
        print("into it", file=sys.stdout)
        print()
        return [os.read(reading, 100) for _ in range(6)]

    expected = [b"x\n", "aé1\n\n".encode(), b"half", b"y\n", b"into it\n", b"\n"]
    assert decorated(pieces).run() == expected


def test_lines_of_several_threads_are_not_torn(decorated: Decorate) -> None:
    def prints(length: int) -> None:
        def print_many(name: str) -> None:
            for _ in range(50):
                print(name * length)

        threads = [threading.Thread(target=print_many, args=(name,)) for name in "aé图𝄞"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for length in (10, 3000):
        out, _ = output_of(decorated(prints), length)
        assert sorted(out.splitlines()) == sorted(name * length for name in "aé图𝄞" * 50)


def test_a_child_that_is_forked_while_a_thread_prints_prints_too(decorated: Decorate) -> None:
    def prints() -> int:
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        threading.Thread(target=print, args=("x" * 1_000_000,)).start()  # until it is read
        os.read(reading, 1)
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            print("from a child")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os._exit(status + 3)

    err = io.StringIO()
    with redirect_stderr(err), pytest.raises(kedge.FunctionError, match="exit code 3"):
        decorated(prints, timeout=20).run()
    assert "from a child\n" in err.getvalue()


def test_print_is_what_it_was(decorated: Decorate) -> None:
    def prints() -> tuple[str, str, list[str]]:
        import inspect
        import io

        other = io.StringIO()
        print("a", "b", file=other, sep=None, end=None)
        wrong = []
        for how in ({"sep": 1}, {"no": 1}):
            try:
                print("a", **how)
            except TypeError as error:
                wrong.append(str(error))
        sys.stdout = None
        print("nowhere")
        return other.getvalue(), str(inspect.signature(print)), wrong

    text, signature, wrong = decorated(prints).run()
    assert (text, len(wrong)) == ("a b\n", 2)
    assert "sep" in signature


def test_the_two_streams_are_told_apart(decorated: Decorate) -> None:
    def both() -> None:
        for number in range(3):
            print("out", number)
            print("err", number, file=sys.stderr)

    assert output_of(decorated(both)) == ("out 0\nout 1\nout 2\n", "err 0\nerr 1\nerr 2\n")


def test_forty_thousand_characters_of_several_bytes_without_a_newline_are_right(
    decorated: Decorate,
) -> None:
    def writes(text: str) -> None:
        sys.stdout.write(text)
        for character in text[:1000]:
            os.write(2, character.encode()[:1])
            os.write(2, character.encode()[1:])

    text = "é€𝄞图" * 10_000
    assert output_of(decorated(writes), text) == (text, text[:1000])


def test_no_line_is_too_long(decorated: Decorate) -> None:
    out, _ = output_of(decorated(lambda: print("x" * 20_000_000)))
    assert out == "x" * 20_000_000 + "\n"


def test_bytes_that_are_no_text_do_no_harm(decorated: Decorate) -> None:
    def writes() -> None:
        os.write(1, b"a\xffb\xc3")
        print(end="", flush=True)
        os.write(2, b"\xe2\x82")

    assert output_of(decorated(writes)) == ("a\ufffdb\ufffd", "\ufffd")


def test_what_other_programs_print_appears_too(decorated: Decorate) -> None:
    def runs() -> None:
        import subprocess

        print("before")
        subprocess.run(["sh", "-c", "echo out; echo err >&2"])
        print("after")

    assert output_of(decorated(runs)) == ("before\nout\nafter\n", "err\n")


def test_what_an_exception_says_is_not_printed_besides(decorated: Decorate) -> None:
    def fails() -> None:
        print("said")
        raise ValueError("raised")

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(ValueError, match="raised"):
        decorated(fails).run()
    assert (out.getvalue(), err.getvalue()) == ("said\n", "")


def test_what_is_printed_and_what_is_given_are_two_things(decorated: Decorate) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        assert decorated(lambda: print("x") or 3).run() == 3
    assert out.getvalue() == "x\n"


def test_characters_that_a_stream_does_not_have_are_written_as_escapes(decorated: Decorate) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    with redirect_stdout(plain):
        decorated(lambda: print("é!")).run()
    plain.flush()
    assert plain.buffer.getvalue() == b"\\xe9!\n"  # type: ignore[attr-defined]


def test_a_program_without_streams_runs_all_the_same(decorated: Decorate) -> None:
    with redirect_stdout(None), redirect_stderr(None):
        assert decorated(lambda: print("x") or 3).run() == 3


def test_a_reader_that_has_gone_is_an_error_and_leaves_nothing(start: Callable[..., Any]) -> None:
    text = (
        "import kedge, os, sys\n"
        "@kedge.function(name='tested')\n"
        "def prints():\n"
        "    while True: print('x' * 1000)\n"
        "try: prints.run()\n"
        "except BaseException as error:\n"
        "    print(type(error).__name__, file=sys.stderr)\n"
        "sys.stderr.flush()\n"
        "from kedge.client.session import session\n"
        "print(len(session()._going), file=sys.stderr)\n"
        "sys.stdout = None\n"
        "session().close()\n"
        "os._exit(0)\n"
    )
    program = start(text)
    assert program.line() == "x" * 1000
    program.stdout.close()
    program.stdout = None
    _, err = program.communicate(timeout=120)
    assert err.decode().splitlines() == ["BrokenPipeError", "0"]


def test_what_is_prepared_is_told_in_plain_lines_where_there_is_no_terminal(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    text = "import kedge\nprint(kedge.function(lambda: 'done', pip=['iniconfig']).run())\n"
    env = os.environ | {"KEDGE_HOME": str(tmp_path / "home")}
    code, out, err = start(text, env=env).ended()
    assert (code, out) == (0, "done\n")
    assert err.startswith("kedge: resolving 1 requirement\n") and "\r" not in err
