"""Docker and Podman, both answering."""

import os
from pathlib import Path

from kedge.errors import KedgeError
from kedge.primer import Context, state
from kedge.primer.ready import debian_packages, service

# dockerd and what mmdebstrap calls are programs of the administrator, which not every root's PATH has.
os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

PODMAN = {
    # crun refuses a machine that has both versions of control groups mounted.
    Path("/etc/containers/containers.conf"): """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
""",
    # Docker takes registries on loopback for insecure by itself.
    Path("/etc/containers/registries.conf.d/kedge-test.conf"): "".join(
        f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n' for port in (5055, 5056)
    ),
}

engine_packages = debian_packages(
    "apache2-utils", "catatonit", "docker-registry", "docker.io", "mmdebstrap", "podman", "runc", "uidmap"
)  # fmt: skip


def answers(ctx: Context) -> bool:
    """Whether Docker's service answers, whoever has started it."""
    try:
        ctx.output("docker", "info")
    except KedgeError:
        return False
    return True


# The flag is for machines whose root may not raise limits: without it no container starts there.
dockerd = service(
    "dockerd",
    ["dockerd", "--default-ulimit", "nofile=20000:20000", "--pidfile", "/run/kedge-dockerd.pid"],
    answers=answers,
    needs=[engine_packages],
)


def somebodys(ctx: Context) -> str:
    """Why no service is started: one that was here before answers."""
    ours = dockerd.check is not None and dockerd.check(ctx)
    return "" if ours or not answers(ctx) else "Docker's service is somebody else's, and answers"


@state(replaces=dockerd, skip_if=somebodys)
def docker(ctx: Context) -> object:
    """Docker's service answers."""
    return dockerd.reach(ctx)


def configured(_: Context) -> bool:
    """Whether Podman's files are there; one that somebody has written stays as it is."""
    return all(path.exists() for path in PODMAN)


@state(needs=[engine_packages], check=configured)
def podman(_: Context) -> None:
    """Podman works with mixed control groups, and takes registries on loopback."""
    for path, text in PODMAN.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
