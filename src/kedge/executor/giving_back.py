"""What a container's user wrote goes back to who called Kedge.

Root does it by itself. An ordinary account has no right to another's files, but its engine has: rootless
Podman in its user namespace, Docker in a short container, whose root may change owners and look everywhere.
Nothing of the run's image is in that one, neither its files nor its variables: it is made from an image of
Kedge's own that is empty, and the machine's own `chown` runs there.
"""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kedge.engine.look import Engine
from kedge.engine.programs import Finished, call
from kedge.errors import Unavailable
from kedge.executor import ownership
from kedge.executor.containers import LABEL_HOME, LABEL_RUN, name_of
from kedge.executor.seccomp_profile import written
from kedge.home import home

_CHOWN: Final = ("--recursive", "--no-dereference")
_PROGRAMS: Final = ("/usr", "/bin", "/lib", "/lib64", "/nix")  # where it and its libraries are
_PLACE: Final = "/kedge"
_EMPTY_TAR: Final = bytes(1024)


def give_back(engine: Engine, run_id: str, folders: Sequence[str], private: str) -> str:
    """Make everything in `folders` the caller's; why that failed, empty when it did not.

    Nothing may be running that writes there, and the run's own container be gone: this one has its name.

    Args:
        engine: which.
        run_id: the run that wrote.
        folders: where it could.
        private: a folder that it could not write to, for the engine's program.
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
            done = _in_a_container(engine, run_id, folders, private)
    except Unavailable as error:
        return error.message
    return "" if done.code == 0 else done.said or f"{engine.kind} ended with {done.code}"


def _in_a_container(engine: Engine, run_id: str, folders: Sequence[str], private: str) -> Finished:
    made = _empty_image(engine)
    if made.code != 0:
        return made
    image = made.out.strip()
    try:
        return call(engine.path, *_words(engine, image, run_id, folders, private))
    finally:
        call(engine.path, "rmi", image)


def _empty_image(engine: Engine) -> Finished:
    """Make one; its id is what this writes.

    Made each time, and known by its id alone: a tag can be given to any image, a package's as well.
    """
    label = re.sub(r'(["$\\])', r"\\\1", home())
    words = ("--change", f'LABEL "{LABEL_HOME}"="{label}"', "-")
    return call(engine.path, "import", *words, input=_EMPTY_TAR)


def _words(
    engine: Engine, image: str, run_id: str, folders: Sequence[str], private: str
) -> list[str]:
    owner = "0:0" if engine.rootless else f"{os.geteuid()}:{os.getegid()}"
    chown = os.path.realpath(shutil.which("chown") or "/usr/bin/chown")
    shown = [(path, path, ",readonly") for path in _PROGRAMS if os.path.isdir(path)]
    places = [f"{_PLACE}/{number}" for number in range(len(folders))]
    # As in a table of comma-separated values.
    quoted = [folder.replace('"', '""') for folder in folders]
    shown += [(folder, place, "") for folder, place in zip(quoted, places, strict=True)]
    return [
        *("run", "--rm", "--pull", "never", "--log-driver", "none", "--network", "none"),
        *("--name", name_of(run_id)),
        *("--label", f"{LABEL_HOME}={home()}", "--label", f"{LABEL_RUN}={run_id}"),
        *("--read-only", "--no-healthcheck", "--user", "0:0", "--userns", "host", "--workdir", "/"),
        *("--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "DAC_READ_SEARCH"),
        *("--security-opt", "no-new-privileges", "--security-opt", "label=disable"),
        *("--security-opt", f"seccomp={written(private)}"),
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
