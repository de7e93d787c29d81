"""The sandbox's system-call filter as container engines read one.

Without it what is refused differs by engine and version: Podman lets everybody make user namespaces and
mount in them, and older Dockers leave sockets to the hypervisor and io_uring open.
"""

import errno
import json
import os
from typing import Any, Final

from kedge.executor.seccomp import AF_VSOCK, NEW_NAMESPACES, REFUSED, TERMINAL_REQUESTS

_LOW_HALF: Final = 0xFFFFFFFF  # the kernel looks at no more of these arguments
_MACHINES: Final = [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
]


def profile() -> str:
    """The filter, as what is in the file of an engine's `--security-opt seccomp=FILE`."""
    bits = [1 << bit for bit in range(32) if NEW_NAMESPACES >> bit & 1]
    rules = [
        _refuse(REFUSED),
        _refuse(["clone3"], errno.ENOSYS),
        *(_refuse(["clone"], argument=(0, bit, bit)) for bit in bits),
        *(_refuse(["ioctl"], argument=(1, _LOW_HALF, one)) for one in TERMINAL_REQUESTS),
        _refuse(["socket", "socketpair"], argument=(0, _LOW_HALF, AF_VSOCK)),
    ]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "archMap": _MACHINES, "syscalls": rules})


def written(folder: str) -> str:
    """The filter as a file in `folder`, which an engine's program reads when it is started."""
    path = os.path.join(folder, "seccomp.json")
    with open(path, "w") as file:
        file.write(profile())
    return path


def _refuse(
    names: list[str], code: int = errno.EPERM, argument: tuple[int, int, int] | None = None
) -> dict[str, Any]:
    """A rule; with `argument` (which, mask, value) for calls alone whose masked argument has this value."""
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": code}
    if argument is not None:
        index, mask, value = argument
        masked = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
        rule["args"] = [masked]
    return rule
