"""A small project that protoprimer starts, set up as its own documents do it from what the package index has.

Its readme: a copy of its kernel stands as `proto_kernel.py` beside `pyproject.toml`, nothing else is configured,
and `boot` installs the project. Its own `wrap` writes the entry scripts. Its states are a module of the project.
"""

import glob
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from checkouts import MAIN, STATES, requirement, write
from programs import ProgramFailedError, timed
from surroundings import Surroundings

from kedge.contract.ownership import remove
from kedge.environment import uv

BUILDERS = {  # and their backends: that of its documents, and the quickest known
    "setuptools": "setuptools.build_meta",
    "uv_build": "uv_build",
}
_PROJECT = """\
[build-system]
requires = ["{builder}"]
build-backend = "{backend}"

[project]
name = "app"
version = "1"
dependencies = ["{requirement}", "protoprimer"]
"""
_STATES = """\
import os
from protoprimer.primer_kernel import (
    AbstractCachingStateNode, ContextBuilder, EntryFunc, TargetState, run_process, trivial_factory
)

MADE = os.path.join(os.path.dirname(__file__), "made")


def node(name, parent):
    @trivial_factory
    class Node(AbstractCachingStateNode[int]):
        _parent_states = staticmethod(lambda: [parent])
        _state_name = staticmethod(lambda: name)

        def _eval_state_once(self):
            os.makedirs(MADE, exist_ok=True)
            if not os.path.exists(f"{MADE}/{name}"):
                open(f"{MADE}/{name}", "w").close()
            return 0

    return Node


def main():
    context = ContextBuilder().entry_func(EntryFunc.func_boot_env)
    context = context.forced_final_state(f"state_{STATES - 1}").build_context()
    parent = TargetState.target_proto_bootstrap_completed.value.name
    for number in range(STATES):
        context.register_factory(f"state_{number}", node(f"state_{number}", parent))
        parent = f"state_{number}"
    run_process(context)
"""


@dataclass(frozen=True, slots=True)
class Protoprimed:
    """A checkout with protoprimer, booted.

    Args:
        version: of protoprimer.
        app: its entry script that calls `start_app`.
        boot: its entry script that calls `boot_env`.
    """

    version: str
    app: str
    boot: str


def protoprimed(
    place: Surroundings, variables: Mapping[str, str], built_by: str = "setuptools"
) -> Protoprimed:
    """A checkout with protoprimer, booted once, its project built by one of BUILDERS.

    What it does once is done for it where that needs more than a package index: it finds the uv that Kedge has,
    and its environment is there, for which it would have uv download a Python.

    Raises:
        ProgramFailedError: it cannot be had, or does not work here.
    """
    root = os.path.join(place.folder, f"protoprimed-{built_by}")
    if not os.path.exists(root):
        backend = BUILDERS[built_by]
        text = _PROJECT.format(builder=built_by, backend=backend, requirement=requirement())
        try:
            _set_up(place, root, variables, text)
        except ProgramFailedError:
            remove(root)
            raise
    [information] = glob.glob(f"{root}/venv/lib/*/site-packages/protoprimer-*.dist-info")
    version = os.path.basename(information).removeprefix("protoprimer-").removesuffix(".dist-info")
    return Protoprimed(version, f"{root}/run", f"{root}/boot")


def _set_up(place: Surroundings, root: str, variables: Mapping[str, str], project: str) -> None:
    """Make it, as far as that can be done."""
    said = os.path.join(place.folder, "said")
    base = os.path.realpath(place.python)
    common = ("--no-config", "--python")
    with_it = {**variables, "UV_OFFLINE": "1"} if place.quick else variables
    venv = f"{root}/venv"
    os.mkdir(root)
    timed((uv.binary(), "venv", *common, base, venv), with_it, said)
    install = (uv.binary(), "pip", "install", *common, f"{venv}/bin/python", "protoprimer")
    timed(install, with_it, said)
    [kernel] = glob.glob(f"{venv}/lib/*/site-packages/protoprimer/primer_kernel.py")
    shutil.copyfile(kernel, f"{root}/proto_kernel.py")
    write(
        root,
        {
            ".python-version": f"{place.version}\n",
            "pyproject.toml": project,
            "src/app/__init__.py": MAIN,
            "src/app/states.py": f"STATES = {STATES}\n{_STATES}",
        },
    )
    os.makedirs(f"{root}/cache/venv/uv.venv/bin")  # where it would install uv
    os.symlink(uv.binary(), f"{root}/cache/venv/uv.venv/bin/uv")
    wrap = (base, "-I", f"{root}/proto_kernel.py", "wrap")
    script, main = "--entry_script_path", "--main_func"
    for words in (
        (*wrap, "start_app", script, "run", main, "app:main"),
        (*wrap, "boot_env", script, "boot", main, "app.states:main"),
        (f"{root}/boot",),
        (f"{root}/run",),
    ):
        timed(words, with_it, said)
