"""Images that stand alone: a Python environment, a folder of files, and what is started; no Kedge where they run.

Found again by what they are made of, as all images are. They are made to be taken elsewhere, so no clean-up of
Kedge's removes one.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Final

from kedge.data import Data, field
from kedge.engine.look import Engine
from kedge.environment import build_context, folders, kept_images
from kedge.environment.building import build
from kedge.environment.image import Image
from kedge.errors import PackageError, Where
from kedge.package import names

WORKSPACE: Final = "/workspace"

_LAYOUT: Final = 1
_NOBODY: Final = "65534:65534"  # owns nothing, in any image
# Of the workspace, for the program to write to, by whatever user it is started as.
_OWN: Final = ("out", "out/files", "out/artifacts", "scratch")
_OWN_MODE: Final = 0o1777
_VARIABLES: Final = {
    "HOME": f"{WORKSPACE}/scratch",
    "KEDGE_SCRATCH": f"{WORKSPACE}/scratch",
    "KEDGE_WORKSPACE": WORKSPACE,
}
_LANGUAGE: Final = {"LANG": "C.UTF-8"}  # where the image has none

Notify = Callable[[str], None]


class Recipe(Data):
    """What an image that stands alone is made of.

    Args:
        name: what it is called after, and shown as.
        python: the image with the environment, of the same engine; the caller holds it.
        folder: its files become those of the workspace, readable by everybody.
        entrypoint: the program and its arguments, as they are inside; `python` is the environment's.
        port: on which the program listens, None for none.
        variables: on top of the workspace's own. No secrets: whoever has the image can read them.
    """

    name: str
    python: Image
    folder: str
    entrypoint: tuple[str, ...]
    port: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def built(
    engine: Engine,
    recipe: Recipe,
    notify: Notify = lambda _: None,
    detail: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> tuple[Image, bool]:
    """The image of a recipe, and whether it was built just now; `reference` is its tag, `kedge/<name>:deploy-…`.

    Args:
        engine: where.
        recipe: what from.
        notify: told in words what is being done; `detail` each line that the engine says.
        timeout: seconds, for everything.

    Raises:
        PackageError: a variable is none that an image can have.
        EnvironmentFailed: it cannot be built.
    """
    text = _dockerfile(recipe)
    image = wanted(engine, recipe)

    def make() -> None:
        notify(f"building an image of {recipe.name} that stands alone")
        build(
            engine,
            image,
            text.encode(),
            lambda place: _fill(place, recipe.folder),
            shown="Dockerfile that Kedge wrote",
            notify=notify,
            detail=detail,
            timeout=timeout,
        )

    return kept_images.made_once(engine, image, make, notify, timeout)


def wanted(engine: Engine, recipe: Recipe) -> kept_images.Wanted:
    """The image that a recipe makes."""
    files = build_context.digest_of(recipe.folder, build_context.all_files(recipe.folder))
    # The environment by what it was made of: made anew it has another id.
    below = recipe.python.labels.get(kept_images.LABEL_DIGEST, recipe.python.id)
    made_from = (
        *("standalone", _LAYOUT, recipe.name, below, files),
        *(recipe.entrypoint, recipe.port, sorted(recipe.variables.items())),
    )
    name = kept_images.name_of(engine, made_from)
    bases = {recipe.python.reference: recipe.python.id}
    return kept_images.Wanted(name, recipe.name, "", bases, standalone=True)


def _fill(place: str, folder: str) -> None:
    workspace = os.path.join(place, "workspace")
    build_context.copy(folder, build_context.all_files(folder), workspace)
    for name in _OWN:
        path = os.path.join(workspace, name)
        folders.make_folder(path)
        os.chmod(path, _OWN_MODE)


def _dockerfile(recipe: Recipe) -> str:
    language = {} if "LANG" in recipe.python.variables else _LANGUAGE
    variables = {**_VARIABLES, **language, **_checked(recipe.variables)}
    lines = [
        f"FROM {recipe.python.reference}",
        "USER root",
        f"COPY workspace {WORKSPACE}",
        *(f"ENV {name}={_quoted(value)}" for name, value in sorted(variables.items())),
        f"WORKDIR {WORKSPACE}",
        *(() if recipe.port is None else (f"EXPOSE {recipe.port}",)),
        f"USER {_NOBODY}",
        f"ENTRYPOINT {json.dumps(recipe.entrypoint)}",
    ]
    return "\n".join(lines) + "\n"


def _checked(variables: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in variables.items():
        refusal = names.variable_name(name)
        if refusal is None and set(value) & set("\n\r\0"):
            refusal = ("a text of one line", "give it to the function as an argument")
        if refusal is not None:
            shown = ascii(name)[1:-1]
            raise PackageError(
                f"the variable `{shown}` cannot be set in an image, expected {refusal[0]}",
                where=Where(path=f"env.{shown}"),
                hint=refusal[1],
            )
    return variables


def _quoted(value: str) -> str:
    r"""A text as a Dockerfile has it: nothing is filled into it, and nothing in it ends it.

    >>> print(_quoted('to "$HOME"'))
    "to \"\$HOME\""
    """
    for special in ("\\", '"', "$"):
        value = value.replace(special, f"\\{special}")
    return f'"{value}"'
