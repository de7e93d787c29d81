"""`kedge init`: a new package that runs, with a test case."""

import os

import click

from kedge.cli.report import say, write_text
from kedge.errors import PackageError, UsageError, Where

_PYTHON = {
    "kedge.yml": """\
name: {name}
version: 0.1.0
runtime:
  kind: python
  version: "{python}"
  requirements: false
functions:
  area:
    handler: {module}:area
    testcases: tests/area.json
""",
    "{module}.py": '''\
"""What {name} computes."""

from typing import Annotated

from kedge import Unit


def area(
    width: Annotated[float, Unit("mm")], height: Annotated[float, Unit("mm")] = 10.0
) -> Annotated[float, Unit("mm^2")]:
    """The area of a rectangle.

    Args:
        width: its width.
        height: its height.
    """
    return width * height
''',
    "tests/area.json": """\
[
  {{"name": "a square", "inputs": {{"width": 10}}, "expected": {{"result": 100}}}},
  {{"name": "with units", "inputs": {{"width": "2 cm", "height": 5}}, "expected": {{"result": 100}}}}
]
""",
}

_SCRIPT = """\
#!/bin/sh
# Reads in/data.json, writes out/data.json, as the contract has it.
set -eu
cd "$KEDGE_WORKSPACE"
width=$(sed -n 's/.*"width": *\\([0-9.]*\\).*/\\1/p' in/data.json)
height=$(sed -n 's/.*"height": *\\([0-9.]*\\).*/\\1/p' in/data.json)
awk -v w="$width" -v h="$height" 'BEGIN {{ printf "{{\\"area\\": %.10g}}\\n", w * h }}' > out/data.json
"""

_FUNCTIONS = """\
functions:
  area:
    entrypoint: {entrypoint}
    inputs:
      width: Length[mm]
      height: Length[mm]
    outputs:
      area: Area[mm^2]
    testcases: tests/area.json
"""

_CASES = """\
[
  {{"name": "a rectangle", "inputs": {{"width": 10, "height": 4}}, "expected": {{"area": 40}}}}
]
"""

_DOCKERFILE = {
    "kedge.yml": """\
name: {name}
version: 0.1.0
runtime:
  kind: dockerfile
  dockerfile: ./Dockerfile
"""
    + _FUNCTIONS.replace("{entrypoint}", '["/opt/{name}/area.sh"]'),
    "Dockerfile": "FROM debian:bookworm-slim\nCOPY area.sh /opt/{name}/area.sh\nRUN chmod 755 /opt/{name}/area.sh\n",
    ".dockerignore": "# What no instruction needs: a change there builds nothing.\nkedge.yml\ntests\n",
    "area.sh": _SCRIPT,
    "tests/area.json": _CASES,
}

_IMAGE = {
    "kedge.yml": """\
name: {name}
version: 0.1.0
runtime:
  kind: image
  image: {image}
"""
    + _FUNCTIONS.replace("{entrypoint}", '["/opt/{name}/area.sh"]'),
    "tests/area.json": _CASES,
}

_TEMPLATES = {"python": _PYTHON, "dockerfile": _DOCKERFILE, "image": _IMAGE}


@click.command("init")
@click.argument("folder", default=".")
@click.option("--kind", type=click.Choice(list(_TEMPLATES)), default="python", show_default=True)
@click.option("--image", metavar="REFERENCE", help="The image, for kind image: name:tag.")
def command(folder: str, kind: str, image: str | None) -> None:
    """Make a new package that runs, with a test case, in FOLDER.

    Nothing that is there is overwritten.
    """
    if (kind == "image") != (image is not None):
        raise UsageError(
            "kind image needs an image" if kind == "image" else "--image is for kind image",
            hint="kedge init FOLDER --kind image --image NAME:TAG",
        )
    name = _name(folder)
    words = {
        "name": name,
        "module": _module(name),
        "python": _python_version(),
        "image": image or "",
    }
    files = {path.format(**words): text.format(**words) for path, text in _TEMPLATES[kind].items()}
    there = [path for path in files if os.path.lexists(os.path.join(folder, path))]
    there += [
        manifest
        for manifest in ("kedge.yaml", "mecapy.yml")
        if os.path.lexists(os.path.join(folder, manifest))
    ]
    if there:
        raise PackageError(
            f"`{folder}` already has {', '.join(there)}",
            where=Where(folder),
            hint="name another folder; nothing was written",
        )
    try:
        for path, text in files.items():
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            with open(target, "x", encoding="utf-8") as file:
                file.write(text)
            if path.endswith(".sh"):
                os.chmod(target, 0o755)
    except OSError as error:
        raise PackageError(
            f"`{error.filename}` cannot be written: {error.strerror}",
            where=Where(folder),
            hint="name a folder that you can write to",
        ) from error
    write_text("\n".join(os.path.normpath(os.path.join(folder, path)) for path in files))
    import shlex

    given = "width=25" if kind == "python" else "width=25 height=4"
    say(f"try: kedge run {shlex.quote(folder)} area {given}")


def _name(folder: str) -> str:
    """A package's name from its folder's: lower case, words joined by `-`."""
    import re

    base = os.path.basename(os.path.abspath(folder)).lower()
    name = re.sub(r"[^a-z0-9]+", "-", base).strip("-")
    return name if name[:1].isalpha() else f"package-{name}".rstrip("-")


def _module(name: str) -> str:
    """A module for the package: no keyword, and none that would hide another one inside a run."""
    import keyword
    import sys

    module = name.replace("-", "_")
    taken = keyword.iskeyword(module) or module in sys.stdlib_module_names or module == "kedge"
    return f"{module}_functions" if taken else module


def _python_version() -> str:
    import sys

    return f"{sys.version_info[0]}.{sys.version_info[1]}"
