"""Having an engine build an image: a folder with what goes in, its command, and what it says as it goes."""

import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kedge import home
from kedge.engine.look import Engine, look
from kedge.engine.programs import call
from kedge.environment import folders, images
from kedge.environment.kept_images import Wanted
from kedge.errors import EnvironmentFailed, Unavailable, Where
from kedge.package.dockerfile import Instruction, instructions

Notify = Callable[[str], None]

_STEP: Final = re.compile(r"^(?:\[\d+/\d+\] )?STEP (\d+)/(\d+)\s*: (.+)$", re.IGNORECASE)
_BUILDKIT: Final = re.compile(r"^#\d+ \[(?:[^\]]* )?(\d+)/(\d+)\] (.+)$")
_OWN: Final = ("LABEL kedge.", 'LABEL "kedge.')
_MOST_HALVES: Final = 8
# What an engine says between the words of a program, and what BuildKit puts before those.
_ENGINES: Final = re.compile(
    r" ?--+> |Removing intermediate container |#\d+ (?:DONE|CACHED|sha256:)"
)
_OF_PROGRAM: Final = re.compile(r"#\d+ \d+\.\d+ ")
# With what it begins to say that one failed; more of the engine's own may follow.
_EPILOGUE: Final = re.compile(
    r"The command '|Error: building at STEP |Error: error building at STEP |#\d+ ERROR"
)
_WROTE_LINES: Final = 20
# What stays out is not in the context. Podman looks for other ignore files unless one has a pattern.
_IGNORED: Final = "ignored"
_NOTHING: Final = "../nothing\n"
# Podman builds in processes of its own, which outlive it; in a process namespace the kernel ends them.
_TOGETHER: Final = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")


def build(
    engine: Engine,
    wanted: Wanted,
    dockerfile: bytes,
    fill: Callable[[str], None],
    *,
    shown: str,
    arguments: Mapping[str, str] | None = None,
    platform: str | None = None,
    notify: Notify = lambda _: None,
    detail: Notify = lambda _: None,
    timeout: float,
) -> None:
    """Build an image under its tag and with its labels.

    Args:
        engine: where.
        wanted: which.
        dockerfile: its content.
        fill: makes the context, in the folder of that path, which it creates.
        shown: where the author finds the Dockerfile, for messages.
        arguments: values of the Dockerfile's ARGs.
        platform: None for the engine's own.
        notify: told in words what is being done; `detail` each line that the engine says.
        timeout: seconds.

    Raises:
        EnvironmentFailed: an instruction failed, it took too long, or what it is built on was changed meanwhile.
    """
    sweep()
    watch = _Steps(
        instructions(dockerfile.decode(errors="replace")), wanted.package, notify, detail
    )
    with folders.temporary(os.path.join(home.home(), folders.BUILDING)) as place:
        context, file = os.path.join(place, "context"), os.path.join(place, "Dockerfile")
        folders.write_file(os.path.join(place, images.ENGINE), engine.kind)
        folders.write_file(os.path.join(place, _IGNORED), _NOTHING)
        with open(file, "wb") as opened:
            opened.write(dockerfile)
        fill(context)
        command = [
            *_front(engine),
            *(engine.path, "build", "--file", file, "--tag", wanted.tag, "--force-rm"),
            *_own(engine, place),
            *(f"--label={key}={value}" for key, value in wanted.labels().items()),
            *(f"--build-arg={key}={value}" for key, value in (arguments or {}).items()),
            *(() if platform is None else ("--platform", platform)),
            context,
        ]
        said, code = images.spoken(
            command, watch.line, timeout, f"building the image of `{wanted.package}`", place
        )
    if code != 0:
        raise watch.failure(said, shown)
    _check_bases(engine, wanted)


def _check_bases(engine: Engine, wanted: Wanted) -> None:
    """Refuse an image that may stand on others than those that its name is made from: a tag can be moved.

    Not every builder takes an image by its id.
    """
    for reference, identity in wanted.bases.items():
        now = images.find(engine, reference)
        if now is None or now.id != identity:
            call(engine.path, "rmi", wanted.tag)
            raise EnvironmentFailed(
                f"`{reference}` became another image while that of `{wanted.package}` was built on it",
                hint="run it again: it is built on the one that is there now",
            )


def sweep() -> None:
    """Remove what builds have left that were killed. Costs a look into a folder when there are none."""
    folders.sweep(os.path.join(home.home(), folders.BUILDING), clear)


def _front(engine: Engine) -> Sequence[str]:
    return _TOGETHER if engine.kind == "podman" and not engine.rootless else ()


def _own(engine: Engine, place: str) -> Sequence[str]:
    if engine.kind == "docker":
        return ("--pull=false",)
    # A secret that nothing asks for: the one thing by which a build's containers can be told from others'.
    secret = f"id=kedge-build,src={place}/{images.ENGINE}"
    return ("--pull-never", "--secret", secret, "--ignorefile", f"{place}/{_IGNORED}")


def _remove_half_images(engine: Engine) -> None:
    """Remove images that Podman was writing when it was killed: with one of them its list is an error."""
    for _ in range(_MOST_HALVES):
        done = call(engine.path, "images", "--all", "--quiet")
        half = re.search(r'image with ID "([0-9a-f]{64})" \(consider removing', done.err)
        if done.code == 0 or half is None:
            return
        call(engine.path, "rmi", "--force", half[1])


def clear(place: str) -> None:
    """Remove the containers in which Podman was building; Docker's service does so itself."""
    try:
        with open(os.path.join(place, images.ENGINE)) as file:
            engine = look(file.read()).engine
    except (OSError, KeyError):
        return
    if engine is None or engine.kind != "podman":
        return
    try:
        root = call(
            engine.path, "info", "--format", "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}"
        )
        for path in glob.glob(f"{root.out.strip()}-containers/*/userdata/buildah.json"):
            with open(path, encoding="utf-8", errors="replace") as file:
                if f"src={place}/" in file.read():
                    call(engine.path, "rm", "--force", path.split("/")[-3])
        _remove_half_images(engine)
    except (OSError, Unavailable):
        return  # the engine is away


class _Steps:
    """Follows a build in what the engine says of it."""

    def __init__(
        self, found: list[Instruction], package: str, notify: Notify, detail: Notify
    ) -> None:
        self._instructions = found
        self._package = package
        self._notify = notify
        self._detail = detail
        self._at: Instruction | None = None
        self._next = 0
        self._step = ""
        self._wrote: list[str] = []  # by the programs of this step
        self._failed = False

    def line(self, text: str) -> None:
        """Take note of one line."""
        self._detail(text)
        match = _STEP.match(text) or _BUILDKIT.match(text)
        if match is None:
            self._failed = self._failed or _EPILOGUE.match(text) is not None
            if not self._failed and not _ENGINES.match(text):
                line = _OF_PROGRAM.sub("", text, count=1).strip()
                self._wrote = [*self._wrote[1 - _WROTE_LINES :], line]
            return
        self._step, self._wrote = match[3], []
        self._at = self._instruction(match[3])
        if match[3].startswith(_OWN):
            return  # Kedge's own, about the image
        self._notify(f"building {self._package}: step {match[1]} of {match[2]}: {match[3][:60]}")

    def failure(self, said: list[str], dockerfile: str) -> EnvironmentFailed:
        """The error of a build that ended at the last instruction seen.

        Its evidence has what the engine `said` at last, the `instruction`, and what that one's programs `wrote`.
        """
        why = (self._wrote or said or ["no reason given"])[-1].strip()
        at = self._at
        return EnvironmentFailed(
            f"the image of `{self._package}` could not be built"
            + (f": `{at.word} {at.text[:100]}` failed" if at is not None else "")
            + f": {why}",
            where=Where(os.path.normpath(dockerfile), at.line if at is not None else None),
            hint="the last lines that the build wrote: "
            + " | ".join(line.strip() for line in said[-8:]),
            evidence={"said": said, "instruction": self._step, "wrote": self._wrote},
        )

    def _instruction(self, text: str) -> Instruction | None:
        """The instruction that a step stands for: the next one with its words."""
        wanted = " ".join(text.split())
        for start in (self._next, 0):
            for position in range(start, len(self._instructions)):
                one = self._instructions[position]
                if " ".join(f"{one.word} {one.text}".split()) == wanted:
                    self._next = position + 1
                    return one
        return None
