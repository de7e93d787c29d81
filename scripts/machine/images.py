"""The base images that tests run on, made from Debian's packages, in Docker and in Podman.

The names that Dockerfiles build on stand for them where the real ones have not been pulled.
"""

import hashlib
import os
from pathlib import Path

from kedge.errors import KedgeError
from kedge.primer import Context
from kedge.primer.states import State
from machine.engines import docker, podman

ENGINES = ("docker", "podman")
NAME = "localhost/kedge-test/debian"
LABEL = "kedge-test.tar"  # on a base image: the file that it was made from
CACHE = Path("/opt/kedge/images")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
INCLUDED = "ca-certificates,python3,python3-pip,python3-venv,python-is-python3"
# Files of a suite that is not released are signed for a week, and a mirror may stand still for longer.
UNRELEASED = ('--aptopt=Acquire::Check-Valid-Until "false"',)


def base_image(suite: str, python: str, *options: str) -> State:
    """A state in which both engines have the image of a suite, whose Python is of this version."""
    # With this machine's certificates pip and apt reach the indexes that the machine itself reaches.
    command = ("mmdebstrap", "--quiet", "--variant=apt", f"--include={INCLUDED}",
               f"--customize-hook=upload {BUNDLE} {BUNDLE}", *options, suite)  # fmt: skip

    def image(ctx: Context) -> None:
        tar = made(ctx, command, suite)
        for engine in ENGINES:
            if label_of(ctx, engine, f"{NAME}:{suite}") != tar.name:
                imported(ctx, engine, tar, f"{NAME}:{suite}")
            stand_in(ctx, engine, suite, python)

    def check(ctx: Context) -> bool:
        name = tar_of(command, suite).name
        return all(label_of(ctx, engine, f"{NAME}:{suite}") == name for engine in ENGINES)

    image.__doc__ = f"Docker and Podman have {NAME}:{suite}, which has Python {python}."
    return State(image, needs=[docker, podman], check=check)


def tar_of(command: tuple[str, ...], suite: str) -> Path:
    """Where the file of an image is, named by the command that makes it and the certificates in it."""
    digest = hashlib.sha256("\n".join([*command, ""]).encode())
    digest.update(Path(BUNDLE).read_bytes())
    return CACHE / f"{suite}-{digest.hexdigest()[:16]}.tar"


def made(ctx: Context, command: tuple[str, ...], suite: str) -> Path:
    """The file of an image, made if it is not there; those of other commands are removed."""
    tar = tar_of(command, suite)
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = CACHE / f"unfinished-{suite}-{os.getpid()}.tar"
        try:
            ctx.run(*command, unfinished)
            for old in CACHE.glob(f"{suite}-*.tar"):
                old.unlink()
            unfinished.rename(tar)
        finally:
            unfinished.unlink(missing_ok=True)
    return tar


def label_of(ctx: Context, engine: str, name: str) -> str | None:
    """The file that an image was made from, "" for an image of somebody else's; None without such an image."""
    template = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    try:
        return ctx.output(engine, "image", "inspect", "--format", template, name).strip()
    except KedgeError:
        return None


def imported(ctx: Context, engine: str, tar: Path, name: str) -> None:
    """Give an engine the image of a file."""
    changes = ['CMD ["bash"]', f"LABEL {LABEL}={tar.name}", f"ENV PIP_CERT={BUNDLE}",
               f"ENV SSL_CERT_FILE={BUNDLE}"]  # fmt: skip
    options = [word for change in changes for word in ("--change", change)]
    ctx.run(engine, "import", *options, tar, name)


def stand_in(ctx: Context, engine: str, suite: str, python: str) -> None:
    """Let the names that Dockerfiles build on be the base image, where nothing else has them."""
    base = f"{NAME}:{suite}"
    debian = f"docker.io/library/debian:{suite}-slim"
    if may_replace(ctx, engine, debian, base):
        ctx.run(engine, "tag", base, debian)
    name = f"docker.io/library/python:{python}-slim"
    if may_replace(ctx, engine, name, base):
        # Its pip installs into the system's Python, as Debian's own refuses to.
        (ctx.folder / "Dockerfile").write_text(
            f'FROM {base}\nENV PIP_BREAK_SYSTEM_PACKAGES=1\nCMD ["python3"]\n'
        )
        ctx.run(engine, "build", "--quiet", "--tag", name, ctx.folder)


def may_replace(ctx: Context, engine: str, name: str, base: str) -> bool:
    """Whether a name is nobody's, or that of an older base image."""
    now = label_of(ctx, engine, name)
    return now is None or (bool(now) and now != label_of(ctx, engine, base))


bullseye = base_image("bullseye", "3.9")
bookworm = base_image("bookworm", "3.11")
trixie = base_image("trixie", "3.13")
forky = base_image("forky", "3.14", *UNRELEASED)
