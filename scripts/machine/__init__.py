"""What the tests want of a Debian machine, as states: `./prime` reaches all of it, `./prime stopped` ends what runs.

Engines and images are wanted by the tests of containers alone; without them `./test` leaves those out, and says so.
"""

import shutil

from kedge.primer import Context, state
from kedge.primer.ready import debian_packages
from machine.engines import docker, dockerd, engine_packages, podman
from machine.images import bookworm, bullseye, forky, trixie
from machine.pythons import pythons
from machine.registries import open_registry, private_registry, registries, remove

__all__ = [
    "bookworm",
    "bullseye",
    "docker",
    "engine_packages",
    "forky",
    "machine",
    "npm",
    "open_registry",
    "packages",
    "podman",
    "private_registry",
    "pythons",
    "registries",
    "stopped",
    "trixie",
]

packages = debian_packages(
    "bubblewrap", "busybox", "ca-certificates", "gcc", "git", "libc6-dev", "mksh", "procps", "strace",
    "util-linux", "zsh",
)  # fmt: skip
npm_package = debian_packages("npm")


@state(replaces=npm_package, skip_if=lambda _: "npm is on PATH" if shutil.which("npm") else "")
def npm(ctx: Context) -> None:
    """There is npm, from wherever."""
    npm_package.reach(ctx)


@state(
    needs=[packages, npm, pythons, docker, podman, bullseye, bookworm, trixie, forky, registries],
    default=True,
)
def machine(_: Context) -> None:
    """Everything is there that some test wants."""


@state(always=True)
def stopped(ctx: Context) -> None:
    """Nothing runs any more that a state of this checkout has started; images stay."""
    for service in (open_registry, private_registry, dockerd):
        service.stop(ctx)
    remove(ctx)
