"""Where Kedge keeps things: one folder, `KEDGE_HOME`, and the rooms' folders in it."""

import os
from functools import lru_cache


def home() -> str:
    """Kedge's own folder: `$KEDGE_HOME`, else the platform's data folder for `kedge`.

    The folder is not made here. `XDG_DATA_HOME` is honoured, as the platform asks.
    """
    chosen = os.environ.get("KEDGE_HOME")
    if chosen:
        return _normal(chosen) if chosen[0] == "/" else os.path.abspath(os.path.expanduser(chosen))
    if os.name == "posix" and os.uname().sysname == "Linux":  # the common case, without an import
        data = os.environ.get("XDG_DATA_HOME") or os.path.join(_user_home(), ".local", "share")
        return os.path.join(data, "kedge")
    import platformdirs

    return platformdirs.user_data_dir("kedge", appauthor=False)


@lru_cache(8)  # it is asked for many times a run
def _normal(path: str) -> str:
    return os.path.normpath(path)


def agent_socket() -> str:
    """Where an agent that goes on listens."""
    return os.path.join(home(), "agent")


def folder(*parts: str) -> str:
    """The folder `parts` inside Kedge's own, made if it is not there (0700: others read nothing)."""
    path = os.path.join(home(), *parts)
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _user_home() -> str:
    found = os.path.expanduser("~")
    if found != "~" and os.path.isabs(found):
        return found
    import tempfile  # no HOME and no account: still a place that is this user's alone

    return os.path.join(tempfile.gettempdir(), f"kedge-{os.getuid()}")
