"""The kinds `image` and `dockerfile`: a program of an image, named by the manifest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from kedge.data import Data, field
from kedge.runtime.base import Runtime
from kedge.task.payload import ImageRoot, Process
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.task import Task


class ImageRuntime(Data, Runtime[Process]):
    """One function of an `image` package: its program, and the image that has it.

    Args:
        entrypoint: the program and its arguments; what the image itself would start is ignored.
        root: the image, ready in its engine.
        env: the package's own variables.
    """

    kind: ClassVar[str] = "image"
    kind_name = _("Image")
    kind_description = _("A program of an image that is ready in a registry.")
    of_packages: ClassVar[bool] = True

    entrypoint: tuple[str, ...]
    root: ImageRoot
    env: Mapping[str, str] = field(default_factory=dict)

    async def _setup_runtime(self, task: "Task") -> Process:  # noqa: ARG002 - bound when it was made
        return Process(argv=self.entrypoint, root=self.root, env=dict(self.env))


class DockerfileRuntime(ImageRuntime):
    """One function of a `dockerfile` package: the same, of an image that Kedge built."""

    kind: ClassVar[str] = "dockerfile"
    kind_name = _("Dockerfile")
    kind_description = _("A program of an image built from the package's Dockerfile.")
