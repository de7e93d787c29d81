"""What keeps programs from making namespaces on a machine, and the exact words that lift it.

Only asked for once bubblewrap has failed: each of these may be set without being in the way.
"""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

_CAP_SYS_ADMIN: Final = 21  # <linux/capability.h>
_PROFILE: Final = """\
abi <abi/4.0>,
include <tunables/global>

profile bwrap {path} flags=(unconfined) {{
  userns,
  include if exists <local/bwrap>
}}"""


class Obstacle(NamedTuple):
    """A clause that says what is in the way, and what lifts it; a hint may have several lines."""

    reason: str
    hint: str


def obstacles(bubblewrap: str, *, as_root: bool, root: str = "") -> list[Obstacle]:
    """What is in the way of namespaces on the machine whose file system begins at `root`.

    Args:
        bubblewrap: path of the program that is to make them, for the AppArmor profile.
        as_root: whether Kedge is root, whom the limits for other accounts do not concern.
        root: "" for this machine.
    """
    if not os.path.exists(f"{root}/proc/self/ns/user"):
        return [Obstacle("this kernel has no user namespaces", "use one with CONFIG_USER_NS=y")]
    found = [] if as_root else list(_of_accounts(bubblewrap, root))
    container = _container(root)
    if container and not _has(_CAP_SYS_ADMIN, root):
        found.append(
            Obstacle(
                f"this is {container} without the privilege to make namespaces",
                "start it with `--security-opt seccomp=unconfined --security-opt"
                " apparmor=unconfined --security-opt systempaths=unconfined`, or with `--privileged`",
            )
        )
    return found


def _of_accounts(bubblewrap: str, root: str) -> Iterator[Obstacle]:
    if _setting(root, "user/max_user_namespaces") == 0:
        yield Obstacle(
            "user.max_user_namespaces is 0",
            _sysctl("user.max_user_namespaces=15000"),
        )
    if _setting(root, "kernel/unprivileged_userns_clone") == 0:  # Debian's own
        yield Obstacle(
            "kernel.unprivileged_userns_clone is 0",
            _sysctl("kernel.unprivileged_userns_clone=1"),
        )
    # Ubuntu from 23.10 on: only programs with a profile that says `userns` may.
    if _setting(root, "kernel/apparmor_restrict_unprivileged_userns") == 1:
        path = os.path.realpath(bubblewrap)  # AppArmor compares with where links lead
        yield Obstacle(
            "AppArmor keeps programs without a profile from making user namespaces"
            " (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "write this as root to /etc/apparmor.d/bwrap, then"
            " `sudo apparmor_parser -r /etc/apparmor.d/bwrap`:\n" + _PROFILE.format(path=path),
        )


def _sysctl(setting: str) -> str:
    return (
        f"`sudo sysctl -w {setting}`; for good:"
        f" `echo {setting} | sudo tee /etc/sysctl.d/60-kedge.conf`"
    )


def _setting(root: str, name: str) -> int | None:
    """A number below /proc/sys; None where the kernel has none of that name."""
    try:
        return int(_read(f"{root}/proc/sys/{name}"))
    except (OSError, ValueError):
        return None


def _container(root: str) -> str:
    """What kind of container this is, in words; "" for none that can be told."""
    if os.path.exists(f"{root}/.dockerenv"):
        return "a Docker container"
    if os.path.exists(f"{root}/run/.containerenv"):
        return "a Podman container"
    try:
        inside = "\0container=" in "\0" + _read(f"{root}/proc/1/environ")
    except OSError:
        return ""
    return "a container" if inside else ""


def _has(capability: int, root: str) -> bool:
    for line in _read(f"{root}/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return True  # unknown: not to be blamed


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
