"""Running uv: the one program that resolves and installs, in an environment that Kedge chose.

uv gets the host's index configuration and credentials (its own `UV_*` variables, pip's files, proxies,
certificates, netrc) and nothing that would make it act on some other environment or project.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from kedge import home
from kedge.data import Data
from kedge.errors import EnvironmentFailed, Unavailable

# Variables that choose another environment, project or set of packages than the one in question, or
# that repeat what Kedge says by options.
_NOT_PASSED: Final = frozenset(
    {
        "UV_BREAK_SYSTEM_PACKAGES",
        "UV_BUILD_CONSTRAINT",
        "UV_COMPILE_BYTECODE",
        "UV_CONSTRAINT",
        "UV_CUSTOM_COMPILE_COMMAND",
        "UV_ENV_FILE",
        "UV_EXCLUDE",
        "UV_FROZEN",
        "UV_ISOLATED",
        "UV_LINK_MODE",
        "UV_LOCKED",
        "UV_MANAGED_PYTHON",
        "UV_NO_BINARY",
        "UV_NO_BINARY_PACKAGE",
        "UV_NO_BUILD",
        "UV_NO_BUILD_PACKAGE",
        "UV_NO_DEV",
        "UV_NO_GROUP",
        "UV_NO_MANAGED_PYTHON",
        "UV_NO_PROGRESS",
        "UV_NO_PROJECT",
        "UV_NO_VERIFY_HASHES",
        "UV_OVERRIDE",
        "UV_PREVIEW",
        "UV_PROJECT",
        "UV_PROJECT_ENVIRONMENT",
        "UV_PYTHON",
        "UV_PYTHON_PREFERENCE",
        "UV_REQUIRE_HASHES",
        "UV_SYSTEM_PYTHON",
        "UV_TOOL_BIN_DIR",
        "UV_TOOL_DIR",
        "UV_VENV_CLEAR",
        "UV_VENV_RELOCATABLE",
        "UV_VENV_SEED",
        "UV_WORKING_DIR",
        "UV_WORKING_DIRECTORY",
    }
)
_PASSED: Final = frozenset(
    {
        "HOME",
        "USER",
        "LOGNAME",
        "PATH",
        "TMPDIR",
        "TZ",
        "NETRC",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSL_CLIENT_CERT",
    }
)
_PASSED_PREFIXES: Final = ("UV_", "PYTHON_KEYRING_", "KEYRING_")


class Finished(Data):
    """How a uv command ended: its exit code and what it wrote."""

    code: int
    output: str
    error: str


def binary() -> str:
    """The path of uv: the one installed with Kedge, else the one on PATH.

    Raises:
        Unavailable: there is none.
    """
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    try:
        import uv

        return os.fspath(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        import shutil

        found = shutil.which("uv") or (beside if os.access(beside, os.X_OK) else None)
        if found:
            return found
    raise Unavailable(
        "uv, which builds Python environments, is neither installed with Kedge nor on PATH.",
        hint="install it with `pip install uv`",
    )


def variables(host: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables that uv gets, taken from the host's."""
    from kedge.environment import indexes

    source = dict(os.environ) if host is None else dict(host)
    passed = {
        name: value
        for name, value in source.items()
        if name in _PASSED or (name.startswith(_PASSED_PREFIXES) and name not in _NOT_PASSED)
    }
    passed.update(indexes.from_pip(source))
    passed.setdefault("LANG", "C.UTF-8")
    if "UV_CACHE_DIR" not in passed and not _cache_is_near(source):
        passed["UV_CACHE_DIR"] = os.path.join(home.home(), "uv-cache")
    return passed


def run(
    arguments: list[str], *, folder: str, timeout: float, input: str | None = None, doing: str
) -> Finished:
    """Run uv with `arguments` in `folder` and wait for its end, whatever its exit code is.

    Args:
        arguments: an argument list, never shell text.
        folder: the working directory; a `uv.toml` in it ends uv's search for a project's settings.
        timeout: seconds before it is killed.
        input: text for its standard input.
        doing: what this is, for the error of a timeout ("resolving the requirements").

    Raises:
        Unavailable: uv is missing or cannot be executed.
        EnvironmentFailed: it took longer than `timeout`.
    """
    common = ["--color", "never", "--no-progress"]
    program = binary()
    try:
        process = subprocess.Popen(
            [*_dies_with_us(), program, *arguments, *common],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=variables(),
            umask=0o022,  # others must be able to read what is installed, whoever installs it
        )
    except OSError as error:
        raise Unavailable(
            f"uv cannot be executed: {program}: {error.strerror}.",
            hint="install it anew with `pip install --force-reinstall uv`",
        ) from error
    with process:
        try:
            output, errors = process.communicate((input or "").encode(), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise EnvironmentFailed(
                f"{doing[:1].upper()}{doing[1:]} took longer than {timeout:g} s.",
                hint="look at the network, or raise `build_timeout` in the manifest's `runtime` block,"
                " or without one there `environment.build_timeout` in kedge.toml",
            ) from error
        except BaseException:
            process.kill()
            raise
    return Finished(
        process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )


def _dies_with_us() -> list[str]:
    """The front of a command that is killed when this process is, where the system can.

    util-linux's program instead of a function between fork and exec, which is not safe with threads.
    """
    if not sys.platform.startswith("linux"):
        return []
    import shutil

    found = shutil.which("setpriv")
    if found is None or os.path.basename(os.path.realpath(found)) != "setpriv":
        return []  # BusyBox has one of that name that cannot do it
    return [found, "--pdeathsig", "KILL", "--"]


def _cache_is_near(host: Mapping[str, str]) -> bool:
    """Whether uv's default cache is on KEDGE_HOME's file system and writable: hard links need it."""
    base = host.get("XDG_CACHE_HOME") or os.path.join(host.get("HOME", ""), ".cache")
    if not os.path.isabs(base):
        return False
    cache, kept = _existing(os.path.join(base, "uv")), _existing(home.home())
    return os.stat(cache).st_dev == os.stat(kept).st_dev and os.access(cache, os.W_OK | os.X_OK)


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
