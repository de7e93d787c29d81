"""debugpy for an interpreter, in a folder of its own: it is no part of any package's environment."""

import os
from collections.abc import Callable
from typing import Final

from kedge import home
from kedge.environment import folders, indexes, reasons, uv
from kedge.environment.interpreters import Interpreter

_TIMEOUT: Final = 600.0  # seconds to download and install one wheel of a few megabytes


def debugger_for(interpreter: Interpreter, on_progress: Callable[[str], None]) -> str:
    """The folder from which `interpreter` imports debugpy; everybody may read it.

    Raises:
        EnvironmentFailed: it cannot be had.
        StoreError: it cannot be written.
        Unavailable: uv is missing.
    """
    parent = os.path.join(home.home(), "debuggers")
    place = os.path.join(parent, f"{interpreter.cache_tag}-{interpreter.platform}")
    if os.path.isdir(place):
        return place
    on_progress("downloading debugpy")
    with folders.writing("debugpy"):
        folders.sweep(parent)
        with folders.temporary(parent) as temporary:
            made = os.path.join(temporary, "debugpy")
            folders.write_file(os.path.join(temporary, "uv.toml"), "")
            ended = uv.run(
                [
                    *("pip", "install", "--python", interpreter.path, "--target", made),
                    *("--no-python-downloads", "--only-binary", ":all:", "debugpy"),
                    *indexes.options(os.environ),
                ],
                folder=temporary,
                timeout=_TIMEOUT,
                doing="installing debugpy",
            )
            if ended.code:
                what = f"debugpy cannot be installed for Python {interpreter.version}"
                raise reasons.failed(ended.error, what, None)
            os.chmod(made, 0o755)
            try:
                os.rename(made, place)
            except OSError:
                if not os.path.isdir(place):  # else another process was first
                    raise
    return place
