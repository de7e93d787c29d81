"""What a package's code stands on when it runs: an environment or an image."""

import os
from typing import Final

from kedge.data import Data
from kedge.environment.image import Image
from kedge.task.payload import ImageRoot, PythonRoot

_WORKSPACE: Final = "/workspace"


class ImageGround(Data):
    """What a program of an image stands on: the image, in the engine that is to run it."""

    engine: str
    image: Image


class PythonGround(Data):
    """What Python code stands on: an environment, on this machine or in an image.

    Args:
        interpreter: its exact Python version.
        python: path of its executable, there.
        visible: host paths that it needs to see; the last one is the runner's folder.
        runner: path of the runner, there.
        lock: path of the lock, None when nothing is needed.
        inside: the image that it is in.
    """

    interpreter: str
    python: str
    visible: tuple[str, ...]
    runner: str
    lock: str | None
    inside: ImageGround | None = None

    @property
    def root(self) -> PythonRoot | ImageRoot:
        """What a program that uses it stands on."""
        if self.inside is None:
            return PythonRoot(self.visible)
        image = self.inside.image
        shown = ((self.visible[-1], os.path.dirname(self.runner)),)
        return ImageRoot(image.id, _WORKSPACE, image.variables, visible=shown)
