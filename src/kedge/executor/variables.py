"""The environment a program starts with: made from nothing, never from the caller's."""

import os
import posixpath
from typing import TYPE_CHECKING

from kedge.contract.variables import RESERVED_PREFIXES, contract_variables
from kedge.task.payload import ImageRoot, Process, PythonRoot

if TYPE_CHECKING:
    from kedge.executor.job import Job

USER = "kedge"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_ZONES = "/usr/share/zoneinfo/"


def program_variables(payload: Process, job: "Job", workspace_path: str) -> dict[str, str]:
    """Every variable of the program: the base ones, the contract's, the package's own over them.

    `workspace_path` is the workspace as the code sees it. The contract's own names (`KEDGE_*`,
    `MECAPY_*`) are not the package's to set.
    """
    path = _PATH
    if isinstance(payload.root, PythonRoot) and payload.argv:
        path = f"{posixpath.dirname(payload.argv[0])}:{path}"  # console scripts of the environment
    return {
        "PATH": path,
        "HOME": f"{workspace_path}/scratch",
        "LANG": "C.UTF-8",
        "TZ": _zone(),
        "USER": USER,
        "LOGNAME": USER,
        **contract_variables(workspace_path, job.run_id, job.package, job.function, job.resources),
        **_own(payload),
    }


def image_variables(
    payload: Process, root: ImageRoot, job: "Job", workspace_path: str
) -> dict[str, str]:
    """What is set on top of an image's own variables: the contract's, the package's own over them.

    HOME is the scratch folder unless the image has one that its own user can write to.
    """
    scratch = f"{workspace_path}/scratch"
    found = {"TZ": _zone(), "LANG": "C.UTF-8"}
    found = {name: value for name, value in found.items() if name not in root.variables}
    if "HOME" not in root.variables or not (root.writable and root.as_its_user):
        found["HOME"] = scratch
    return {
        **found,
        **contract_variables(workspace_path, job.run_id, job.package, job.function, job.resources),
        **_own(payload),
    }


def _own(payload: Process) -> dict[str, str]:
    return {
        name: value for name, value in payload.env.items() if not name.startswith(RESERVED_PREFIXES)
    }


def _zone() -> str:
    if named := os.environ.get("TZ"):
        return named
    try:
        place = os.readlink("/etc/localtime")
    except OSError:
        return "UTC"
    _, found, zone = place.partition(_ZONES.lstrip("/"))
    return zone if found else "UTC"
