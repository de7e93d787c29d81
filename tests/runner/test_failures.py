"""Failures as people read them: the author's frames, a type, a sentence, a hint."""

import re
import signal
from typing import Any

import pytest

from kedge.contract import failure
from kedge.contract.workspace import Workspace

RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_an_exception_is_told_with_the_authors_frames_only(everywhere: Any) -> None:
    everywhere.write(
        module="""
        class Overloaded(Exception):
            pass

        def divide(load):
            return load / 0

        def f(load):
            try:
                divide(load)
            except ZeroDivisionError as cause:
                raise Overloaded("too much: \\udc80") from cause
        """
    )
    ended = everywhere.run("module:f", {"load": 3})
    error = ended.error
    assert ended.code == 1 and ended.data is None
    assert error["type"] == "Overloaded" and error["error"] == "too much: \\udc80"
    assert re.fullmatch(RFC3339, error["ts"])
    lines = error["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('module.py", line 10, in f') and lines[2].strip() == "divide(load)"
    assert "ZeroDivisionError: division by zero" in lines
    assert "The above exception was the direct cause of the following exception:" in lines
    assert "runner" not in error["traceback"] and "importlib" not in error["traceback"]
    assert ended.stderr.rstrip() == error["traceback"].rstrip()


def test_frames_of_asyncio_in_front_are_removed_too(everywhere: Any) -> None:
    everywhere.write(
        module="""
        import asyncio
        async def inner(): raise KeyError("x")
        async def f(): await asyncio.gather(inner())
        """
    )
    error = everywhere.run("module:f").error
    assert error["type"] == "KeyError" and error["error"] == "'x'"
    assert 'module.py", line 4, in f' in error["traceback"].splitlines()[1]


def test_groups_and_notes_are_kept(everywhere: Any) -> None:
    if "3.10" in everywhere.python or "3.9" in everywhere.python or "3.8" in everywhere.python:
        source = "def f(): raise ValueError('no groups before 3.11: inner detail')"
    else:
        source = """
        def inner(): raise TypeError("inner detail")
        def f():
            try:
                inner()
            except TypeError as error:
                group = ExceptionGroup("several", [error, ValueError("second")])
                group.add_note("remember this")
                raise group
        """
    everywhere.write(module=source)
    error = everywhere.run("module:f").error
    assert "inner detail" in error["traceback"] and "runner" not in error["traceback"]
    if error["type"] != "ValueError":
        assert error["type"] == "ExceptionGroup"
        assert "remember this" in error["traceback"] and "second" in error["traceback"]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("def f(:\n  pass", "SyntaxError", "module `module` cannot be imported"),
        ("import nowhere_at_all", "ModuleNotFoundError", "Add what provides `nowhere_at_all`"),
        ("from nowhere_at_all.deep import x", "ModuleNotFoundError", "`requirements`"),
        ("import helper.missing", "ModuleNotFoundError", "no file helper/missing.py"),
        ("1 / 0", "ZeroDivisionError", "module `module` cannot be imported: division by zero"),
        ("from kedge import run", "ImportError", "Inside a run `kedge` has: Cancelled, File"),
        ("import kedge; kedge.run()", "AttributeError", "it has: Cancelled, File"),
        ("def ff(): ...", "HandlerError", "Did you mean `ff`?"),
    ],
)
def test_modules_that_cannot_be_imported_say_why(
    everywhere: Any, source: str, kind: str, words: str
) -> None:
    everywhere.write({"helper/__init__.py": ""}, module=source)
    ended = everywhere.run("module:f")
    assert ended.code == 1
    told = ended.error["error"] + " " + ended.error.get("hint", "")
    assert ended.error["type"] == kind and words in told, ended.error
    assert "importlib" not in ended.error.get("traceback", "")
    if kind == "SyntaxError":
        assert 'module.py", line 1' in ended.error["traceback"]


def test_a_handler_whose_module_is_not_there(workspace: Any) -> None:
    error = workspace.run("bolts.sizes:f").error
    assert error["type"] == "ModuleNotFoundError" and "The package has no file" in error["hint"]


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("sys.exit(3)", 3, "sys.exit(3) before it returned"),
        ("sys.exit()", 1, "sys.exit() before it returned"),
        ("sys.exit(0)", 1, "sys.exit(0) before it returned"),
        ("sys.exit(256)", 1, "sys.exit(256)"),
        ("sys.exit('no load given')", 1, "no load given"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
    ],
)
def test_leaving_without_a_result_is_a_failure(
    workspace: Any, statement: str, code: int, words: str
) -> None:
    workspace.write(module=f"import sys\ndef f():\n    {statement}")
    ended = workspace.run("module:f")
    assert ended.code == code and words in ended.error["error"]
    assert words in ended.stderr or statement.startswith("raise")


def test_sys_exit_while_importing_is_told_as_that(workspace: Any) -> None:
    workspace.write(module="import sys\nsys.exit(0)")
    ended = workspace.run("module:f")
    assert ended.code == 1 and "while its module was imported" in ended.error["error"]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("return f()", "RecursionError"),
        ("raise Silent", "Silent"),
        ("raise Mute('x')", "Mute"),
        ("raise ValueError('x' * 10_000_000)", "ValueError"),
        ("raise BaseException('x')", "BaseException"),
        ("raise MemoryError", "MemoryError"),
        ("return [0] * 10**15", "MemoryError"),
        ("return g(1)", "TypeError"),
        ("raise Circular", "Circular"),
    ],
)
def test_exceptions_that_are_hard_to_tell(everywhere: Any, statement: str, kind: str) -> None:
    everywhere.write(
        module=f"""
        class Silent(Exception): pass
        class Mute(Exception):
            def __str__(self): raise RuntimeError("no")
        class Circular(Exception):
            def __init__(self):
                self.__cause__ = self
        def g(): ...
        def f():
            {statement}
        """
    )
    ended = everywhere.run("module:f")
    assert ended.code == 1 and ended.error["type"] == kind
    assert ended.error["error"] and len(ended.error["error"]) <= 64 * 1024


@pytest.mark.parametrize("letter", ["x", "\\x01", "\\udc80", "é"])
def test_an_error_with_a_huge_message_is_told_by_its_beginning_and_end(
    workspace: Any, letter: str
) -> None:
    workspace.write(module=f"def f(): raise ValueError('first' + '{letter}' * 5_000_000 + 'last')")
    workspace.run("module:f")
    error = failure.read(Workspace(str(workspace.root), None))
    assert error is not None
    assert error["type"] == "ValueError"
    assert error["error"].startswith("first") and error["error"].endswith("last")
    assert error["traceback"].startswith("Traceback") and error["traceback"].endswith("last\n")
    assert 'module.py", line 1, in f' in error["traceback"]
    for text in (error["error"], error["traceback"]):
        assert re.search(r"\[… \d{7,} bytes are left out here …\]", text)


def test_any_number_of_problems_with_names_of_any_length_can_be_told(workspace: Any) -> None:
    workspace.write(
        module="def f(): return {f'{n}' + 'x' * 20_000: float('nan') for n in range(1000)}"
    )
    workspace.run("module:f")
    error = failure.read(Workspace(str(workspace.root), None))
    assert error is not None
    assert error["type"] == "ContractError" and len(error["problems"]) == 200
    assert all(problem["message"].startswith("output `") for problem in error["problems"])


def test_missing_and_unknown_arguments_name_the_function(workspace: Any) -> None:
    workspace.write(module="def size(load): ...")
    missing = workspace.run("module:size")
    assert "size() missing 1 required positional argument: 'load'" in missing.error["error"]
    assert "runner" not in missing.error["traceback"]
    assert (
        "unexpected keyword argument 'x'"
        in workspace.run("module:size", {"load": 1, "x": 2}).error["error"]
    )


WAITS = {
    "sleep": "time.sleep(3600)",
    "loop": "while True: pass",
    "read": "os.read(os.pipe()[0], 1)",
    "thread": "time.sleep(3600)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_sigterm_raises_cancelled_so_that_finally_runs(everywhere: Any, wait: str) -> None:
    everywhere.write(
        module=f"""
        import os, signal, sys, threading, time
        import kedge
        def f():
            try:
                if "{wait}" == "thread":
                    threading.Thread(target=time.sleep, args=(3600,)).start()
                print("ready")
                {WAITS[wait]}
            except Exception:
                print("swallowed")
            except kedge.Cancelled:
                print("cancelled")
                raise
            finally:
                os.kill(os.getpid(), signal.SIGTERM)  # a second one, in the middle of tidying up
                open("out/artifacts/partial", "w").close()
                print("tidied")
        """
    )
    cancel(everywhere, "cancelled\ntidied\n", leave=wait == "thread")


# Each says that it is ready once nothing is half done: a coroutine that was made is waited for.
READY_LATER = "asyncio.get_running_loop().call_soon(print, 'ready')"
ASYNC_WAITS = {
    "sleep": f"{READY_LATER}; await asyncio.sleep(3600)",
    "busy": "print('ready')\n                while True: pass",
    "other": f"{READY_LATER}; await asyncio.gather(asyncio.sleep(3600), ticks())",
}


@pytest.mark.parametrize("wait", ASYNC_WAITS)
def test_sigterm_reaches_async_functions(everywhere: Any, wait: str) -> None:
    everywhere.write(
        module=f"""
        import asyncio
        async def ticks():
            while True:
                await asyncio.sleep(0)
        async def f():
            try:
                {ASYNC_WAITS[wait]}
            finally:
                open("out/artifacts/partial", "w").close()
                print("tidied")
        """
    )
    cancel(everywhere, "tidied\n")


def cancel(workspace: Any, expected: str, leave: bool = False) -> None:
    (workspace.root / "in" / "data.json").write_text("{}")
    process = workspace.start("run", {"handler": "module:f", "outputs": {}, "open": True})
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    if leave:  # its thread would hold the exit: further signals end that
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
    ended = workspace.ended(process)
    assert (ended.code, ended.stdout, ended.stderr) == (143, expected, "")
    assert (
        ended.error["type"] == "Cancelled" and ended.error["error"] == "the run was asked to stop"
    )
    assert (ended.out / "artifacts" / "partial").exists()


def test_an_installed_kedge_has_its_own_cancelled(everywhere: Any) -> None:
    everywhere.write(
        {"kedge/__init__.py": "class Cancelled(BaseException): pass"},
        module="""
        import kedge, os, signal, time
        def f():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(3600)
            except kedge.Cancelled:
                return "caught"
        """,
    )
    assert everywhere.result("module:f") == {"result": "caught"}


def test_a_function_that_ignores_the_signal_may_finish(workspace: Any) -> None:
    workspace.write(
        module="""
        import os, signal
        def f():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.kill(os.getpid(), signal.SIGTERM)
            return 1
        """
    )
    assert workspace.result("module:f") == {"result": 1}
