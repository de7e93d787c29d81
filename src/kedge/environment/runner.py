"""The runner, compiled for an interpreter: found again without a process, started without compiling."""

import os
from collections.abc import Callable
from typing import Final

from kedge import contract, digest, home
from kedge.environment import folders
from kedge.environment.interpreters import Interpreter
from kedge.errors import EnvironmentFailed
from kedge.package import holding

NAME: Final = "runner.pyc"
TIMEOUT: Final = 60.0  # seconds to compile one file, on a machine that is very busy
# Not a path: a file of that name in the user's folder must not be shown in a traceback's place.
SHOWN: Final = "<kedge runner>"
_PROGRAM: Final = """
import runpy, sys
compiler = runpy.run_path(sys.argv[1])
data = compiler["compiled"](sys.stdin.buffer.read(), sys.argv[2])
sys.stdout.buffer.write(data)
"""


def runner_for(
    interpreter: Interpreter,
    inside: str | None = None,
    compile: Callable[[bytes], bytes] | None = None,
) -> str:
    """The path of the runner compiled for `interpreter`: `python -I -B runner.pyc …`.

    It and its folder may be read by everybody.

    Args:
        interpreter: from `interpreters.find`.
        inside: the id of the image that it is in; what one image's Python compiles is for that image only.
        compile: makes a compiled file of a source, for such an interpreter.

    Raises:
        EnvironmentFailed: this interpreter cannot compile it.
        StoreError: it cannot be written.
    """
    with open(source_path(), "rb") as file:
        source = file.read()
    kind = f"{interpreter.cache_tag}-{interpreter.version}"
    if inside is not None:
        kind = f"in-{digest.of_bytes(inside.encode())[:32]}"
    name = f"{digest.of_bytes(source)[:32]}-{kind}"
    path = os.path.join(home.home(), "runners", name, NAME)
    while not (os.path.exists(path) and holding.hold(os.path.dirname(path))):
        _make(path, _compiled(interpreter, source) if compile is None else compile(source))
    return path


def source_path() -> str:
    """The runner's source."""
    return os.path.join(contract.__path__[0], "runner.py")


def _make(path: str, data: bytes) -> None:
    parent = os.path.dirname(os.path.dirname(path))
    with folders.writing("the compiled runner"), folders.temporary(parent) as temporary:
        made = os.path.join(temporary, NAME)
        with open(made, "wb") as file:
            file.write(data)
        os.chmod(made, 0o644)
        os.chmod(temporary, 0o755)
        try:
            os.rename(temporary, os.path.dirname(path))
        except OSError:
            if not os.path.exists(path):  # else another process was first with the same content
                raise


def _compiled(interpreter: Interpreter, source: bytes) -> bytes:
    import subprocess

    compiler = os.path.join(os.path.dirname(__file__), "compiler.py")
    program = [interpreter.path, "-I", "-S", "-B", "-c", _PROGRAM, compiler, SHOWN]
    try:
        ended = subprocess.run(
            program, input=source, capture_output=True, timeout=TIMEOUT, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(interpreter, str(error)) from error
    if ended.returncode:
        raise _failed(interpreter, ended.stderr.decode(errors="replace").strip())
    return ended.stdout


def _failed(interpreter: Interpreter, reason: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"Python {interpreter.version} ({interpreter.path}) cannot compile Kedge's runner: "
        f"{reason.splitlines()[-1] if reason else 'it ended without a word'}.",
        hint="is this Python complete? Try `-c 'import json, importlib'` with it",
    )
