"""Images: found in an engine, or pulled into it, and known by digest."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from kedge import home
from kedge.engine.look import Engine
from kedge.engine.programs import call, dies_with_us, variables
from kedge.environment import folders
from kedge.environment.image import Image
from kedge.errors import EnvironmentFailed

ENGINE: Final = "engine"  # the file in it that names the engine, for whoever finds it left over

Notify = Callable[[str], None]

_LAYER: Final = re.compile(r"^(\w{12}): (.+)$|^Copying blob (?:sha256:)?(\w+)", re.MULTILINE)
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64"}
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_SAID_LINES: Final = 20

# Podman looks through all its images for one, and fails over any that somebody makes or removes meanwhile.
AGAIN_S: Final = (0.0, 0.1, 0.2, 0.4, 0.8)  # waits before each look
_OF_ANOTHER: Final = "image with ID"


def find(engine: Engine, reference: str) -> Image | None:
    """The image that `reference` names in the engine, None where it has none.

    Raises:
        EnvironmentFailed: the engine does not say, or it is no reference.
    """
    _check_reference(reference)
    for wait_s in AGAIN_S:
        time.sleep(wait_s)
        done = call(engine.path, "image", "inspect", reference)
        if _OF_ANOTHER not in done.err:
            break
    if done.code != 0:
        return None
    try:
        told = json.loads(done.out)[0]
        return _image(reference, told)
    except (ValueError, LookupError, TypeError) as error:
        raise EnvironmentFailed(
            f"{engine.kind} says nothing that can be read about the image `{reference}`: {error}",
            hint=f"see what `{engine.kind} image inspect {reference}` says",
        ) from error


def pulled(
    engine: Engine,
    reference: str,
    platform: str | None = None,
    notify: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> Image:
    """As `ready`, but for whether it was pulled."""
    return ready(engine, reference, platform, notify, timeout)[0]


def ready(
    engine: Engine,
    reference: str,
    platform: str | None = None,
    notify: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> tuple[Image, bool]:
    """The image that `reference` names, pulled if the engine does not have it, and whether it was.

    Two who want the same at once pull it once. Which registry and with what credentials is the engine's own
    business.

    Args:
        engine: where it is to be.
        reference: with a tag or digest.
        platform: the one that is wanted, None for the engine's own.
        notify: told in words what is being done.
        timeout: seconds.

    Raises:
        EnvironmentFailed: it cannot be had, or is for another platform.
    """
    found, created = find(engine, reference), False
    if found is None:
        guard = os.path.join(home.home(), "images", ".held", _name(f"{engine.kind} {reference}"))
        waiting = f"waiting for another process that pulls {reference}"
        with folders.held(guard, timeout, lambda: notify(waiting)) as owned:
            if not owned:
                raise EnvironmentFailed(
                    f"another process has been pulling `{reference}` for {timeout:g} s",
                    hint="wait for it, or end it",
                )
            found = find(engine, reference)
            if found is None:
                found, created = _pull(engine, reference, platform, notify, timeout), True
    _check_platform(engine, found, platform)
    return found, created


def _check_reference(reference: str) -> None:
    """Refuse what an engine's program could take for an option, or a file could for more than a word."""
    words = reference.split()
    if (
        words == [reference]
        and reference[0].isalnum()
        and reference.isascii()
        and reference.isprintable()
    ):
        return
    raise EnvironmentFailed(
        f"`{ascii(reference[:100])[1:-1]}` is not the name of an image",
        hint="write NAME:TAG or NAME@sha256:DIGEST",
    )


def _pull(
    engine: Engine, reference: str, platform: str | None, notify: Notify, timeout: float
) -> Image:
    notify(f"pulling {reference}")
    chosen = () if platform is None else ("--platform", platform)
    with folders.temporary(os.path.join(home.home(), folders.BUILDING)) as place:
        folders.write_file(os.path.join(place, ENGINE), engine.kind)
        said, code = spoken(
            [engine.path, "pull", *chosen, reference],
            _Layers(reference, notify).line,
            timeout,
            f"pulling `{reference}`",
            place,
        )
    if code != 0:
        raise _not_pulled(engine, reference, platform or engine.platform, said)
    found = find(engine, reference)
    if found is None:
        raise EnvironmentFailed(
            f"{engine.kind} pulled `{reference}` and does not have it",
            hint=f"see what `{engine.kind} images` says",
        )
    return found


class _Layers:
    """Counts the layers of a pull from what the engine says line by line."""

    def __init__(self, reference: str, notify: Notify) -> None:
        self._reference = reference
        self._notify = notify
        self._known: dict[str, bool] = {}
        self._told = ""

    def line(self, text: str) -> None:
        """Take note of one line."""
        match = _LAYER.match(text.strip())
        if match is None:
            if text.startswith("Copying config"):  # Podman's way to say that all layers are here
                self._known = dict.fromkeys(self._known, True)
                self._tell()
            return
        name = match[1] or match[3]
        done = (match[2] or "") in ("Pull complete", "Already exists") or "done" in text
        self._known[name] = self._known.get(name, False) or done
        self._tell()

    def _tell(self) -> None:
        told = f"{sum(self._known.values())} of {len(self._known)} layers"
        if told != self._told:
            self._told = told
            self._notify(f"pulling {self._reference}: {told}")


def spoken(
    command: list[str],
    on_line: Callable[[str], None],
    timeout: float,
    doing: str,
    folder: str,
) -> tuple[list[str], int]:
    """Call a program that says what it does as it goes; its last lines and its exit code.

    Args:
        command: the program and its arguments.
        on_line: given each line, of both streams.
        timeout: seconds after which it is killed.
        doing: what this is, for the error of a timeout.
        folder: for its temporary files.

    Raises:
        EnvironmentFailed: it took too long.
    """
    process = subprocess.Popen(
        [*dies_with_us(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**variables(), "TMPDIR": folder},
        start_new_session=True,
    )
    late = threading.Event()

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started holds the pipe as well

    def end() -> None:
        late.set()
        kill()

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    said: list[str] = []
    try:
        assert process.stdout is not None
        for raw in process.stdout:
            text = _COLOUR.sub("", raw.decode(errors="replace").rstrip("\r\n"))
            if text.strip():
                said = [*said[1 - _SAID_LINES :], text]
                on_line(text)
        code = process.wait()
    except BaseException:
        kill()
        process.wait()
        raise
    finally:
        timer.cancel()
        if process.stdout is not None:
            process.stdout.close()
    if late.is_set():
        raise EnvironmentFailed(
            f"{doing} took longer than {timeout:g} s",
            hint="look at the network, or raise `build_timeout` in the manifest's `runtime` block, or"
            " without one there `environment.build_timeout` in kedge.toml",
        )
    return said, code


def _image(reference: str, told: Mapping[str, Any]) -> Image:
    config = told.get("Config") or {}
    name = told["Id"]
    identity = name if name.startswith("sha256:") else f"sha256:{name}"
    machine = _MACHINES.get(told["Architecture"], told["Architecture"])
    # Podman knows an image of several platforms by two digests, and says which one its name has.
    named = told.get("Digest") or "@"
    known = sorted(told.get("RepoDigests") or [], key=lambda one: not one.endswith(named))
    return Image(
        reference=reference,
        id=identity,
        digest=_digest(reference, known, identity),
        platform=f"{told['Os']}/{machine}",
        user=config.get("User") or "",
        folder=config.get("WorkingDir") or "",
        variables=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        size=int(told.get("Size") or 0),
    )


def _digest(reference: str, known: list[str], identity: str) -> str:
    """The registry's digest of an image: that of the repository that was asked, where there are several."""
    asked = re.sub(r"(@.*|:[^:/]*)$", "", reference)
    for entry in sorted(known, key=lambda one: not one.startswith(f"{asked}@")):
        return entry.rpartition("@")[2]
    return identity


def _check_platform(engine: Engine, image: Image, platform: str | None) -> None:
    wanted = platform or engine.platform
    if image.platform.split("/")[:2] == wanted.split("/")[:2]:
        return
    raise EnvironmentFailed(
        f"the image `{image.reference}` is for {image.platform}, and {wanted} is wanted",
        hint="name an image for this machine, or `platform` in the manifest's `runtime` block"
        if platform is None
        else f"remove it (`{engine.kind} rmi {image.reference}`), so that the right one is pulled",
    )


def _not_pulled(
    engine: Engine, reference: str, platform: str, said: list[str]
) -> EnvironmentFailed:
    text = "\n".join(said)
    lower = text.lower()
    last = said[-1].strip() if said else "no reason given"
    why, hint = last, f"see what `{engine.kind} pull {reference}` says"
    if any(
        words in lower
        for words in (
            "no such host",
            "connection refused",
            "i/o timeout",
            "timeout exceeded",
            "lookup ",
        )
    ):
        why, hint = (
            f"its registry cannot be reached: {last}",
            "look at the network, or name a registry that can be reached",
        )
    elif any(words in lower for words in ("manifest unknown", "not found", "does not exist")):
        why, hint = "its registry has no such image", "check the name and the tag or digest"
    elif any(
        words in lower
        for words in ("denied", "unauthorized", "no basic auth", "authentication required")
    ):
        why, hint = (
            "its registry refuses it",
            f"check the name, and log in with `{engine.kind} login`",
        )
    elif "no matching manifest" in lower or "no image found in manifest list" in lower:
        why, hint = f"its registry does not have it for {platform}", f"name an image for {platform}"
    return EnvironmentFailed(
        f"the image `{reference}` cannot be pulled: {why}", hint=hint, evidence={"said": said}
    )


def _name(text: str) -> str:
    from kedge import digest

    return digest.of_json(text)
