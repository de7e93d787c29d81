"""What a container's user wrote goes back to who called Kedge.

Root does it by itself. An ordinary account has no right to another's files, but its engine has: rootless
Podman in its user namespace, Docker in a short container, whose root may change owners and nothing else. In
that one the machine's own `chown` runs, since an image need not have one.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kedge.engine.look import Engine
from kedge.engine.programs import call
from kedge.errors import Unavailable
from kedge.executor import ownership

_CHOWN: Final = ("--recursive", "--no-dereference")
_PROGRAMS: Final = ("/usr", "/bin", "/lib", "/lib64", "/nix")  # where it and its libraries are
_PLACE: Final = "/kedge"


def give_back(engine: Engine, image: str, folders: Sequence[str]) -> str:
    """Make everything in `folders` the caller's; why that failed, empty when it did not.

    Nothing may be running that writes there.
    """
    if os.geteuid() == 0:
        for folder in folders:
            ownership.hand_over(folder, 0, os.getegid(), owned_by=None)
        return ""
    if not any(map(_has_others, folders)):
        return ""
    try:
        if engine.kind == "podman":
            done = call(engine.path, "unshare", "chown", *_CHOWN, "0:0", *folders)
        else:
            done = call(engine.path, *_in_a_container(engine, image, folders))
    except Unavailable as error:
        return error.message
    return "" if done.code == 0 else done.said or f"{engine.kind} ended with {done.code}"


def _in_a_container(engine: Engine, image: str, folders: Sequence[str]) -> list[str]:
    owner = "0:0" if engine.rootless else f"{os.geteuid()}:{os.getegid()}"
    chown = os.path.realpath(shutil.which("chown") or "/usr/bin/chown")
    shown = [(path, path, ",readonly") for path in _PROGRAMS if os.path.isdir(path)]
    places = [f"{_PLACE}/{number}" for number in range(len(folders))]
    quoted = [
        folder.replace('"', '""') for folder in folders
    ]  # as in a table of comma-separated values
    shown += [(folder, place, "") for folder, place in zip(quoted, places, strict=True)]
    return [
        *("run", "--rm", "--pull", "never", "--log-driver", "none", "--network", "none"),
        *("--read-only", "--user", "0:0", "--userns", "host", "--workdir", "/"),
        *("--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "DAC_READ_SEARCH"),
        *("--security-opt", "no-new-privileges", "--security-opt", "label=disable"),
        *(
            word
            for source, target, how in shown
            for word in ("--mount", f'type=bind,"source={source}",target={target}{how}')
        ),
        *("--entrypoint", chown, image, *_CHOWN, owner, *places),
    ]


def _has_others(folder: str) -> bool:
    """Whether anything in it belongs to somebody else, or cannot be looked at."""
    own = os.geteuid()
    with suppress(OSError), os.scandir(folder) as entries:
        return any(
            entry.stat(follow_symlinks=False).st_uid != own
            or (entry.is_dir(follow_symlinks=False) and _has_others(entry.path))
            for entry in entries
        )
    return True
