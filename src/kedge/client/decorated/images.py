"""The image of one call that runs anywhere, without Kedge: its environment, its files, the call itself."""

import json
import os
import shutil
from typing import Final

from kedge import home
from kedge.client.decorated.declaration import Declaration
from kedge.contract import pickled, runner
from kedge.environment import folders, standalone
from kedge.executor import Executor
from kedge.run import core
from kedge.run.ground import PythonGround
from kedge.run.prepare import Prepared, engine_of

_MOUNTED: Final = frozenset({"in", "out", "scratch"})  # at the top of a snapshot: not the package's


def built(
    executor: Executor,
    prepared: Prepared,
    declaration: Declaration,
    call: str,
    port: int | None,
    observer: core.Observer,
) -> str:
    """The tag of the image, built if it is not there.

    Args:
        executor: of the container engine that builds it.
        prepared: the function's package, with its environment in an image.
        declaration: what the function needs.
        call: the file of the call.
        port: where it serves, None where it does not.
        observer: told what is done.

    Raises:
        EnvironmentFailed: it cannot be built.
    """
    ground = prepared.ground
    assert isinstance(ground, PythonGround)
    assert ground.inside is not None
    with folders.temporary(home.folder(folders.BUILDING)) as place:
        folder = os.path.join(place, "workspace")
        _copy(prepared.snapshot.folder, folder)
        with open(os.path.join(folder, f"{pickled.NAME}.json"), "w") as file:
            json.dump({"modules": []}, file)  # what earlier calls needed is no part of this one
        shutil.copyfile(call, os.path.join(folder, pickled.ALONE))
        shutil.copyfile(runner.__file__, os.path.join(folder, f"{pickled.RUNNER}.py"))
        program = f"{standalone.WORKSPACE}/{pickled.NAME}.py"
        env = declaration.settings.get("env", {})
        image, _ = standalone.built(
            engine_of(executor),
            standalone.Recipe(
                name=declaration.name,
                python=ground.inside.image,
                folder=folder,
                entrypoint=(ground.python, "-I", "-B", program),
                port=port,
                variables={name: value for name, value in env.items() if isinstance(value, str)},
            ),
            observer.step,
            observer.detail,
        )
        return image.reference


def _copy(snapshot: str, folder: str) -> None:
    def left_out(at: str, names: list[str]) -> set[str]:
        compiled = {"__pycache__"} & set(names)
        return compiled | (_MOUNTED if at == snapshot else set())

    shutil.copytree(snapshot, folder, symlinks=True, ignore=left_out)
    for inside, _, _ in os.walk(folder):
        os.chmod(inside, 0o755)  # those of a snapshot are read-only
