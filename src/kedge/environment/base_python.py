"""The Python of a base image: what it says of itself, and what it compiles; asked in a container that is shut in.

The image may be anybody's: no answer of it is believed further than its form, and none can name a place outside
it. It is asked once, and what it said is kept by the image's id.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge import digest, home
from kedge.data import Data
from kedge.engine.look import Engine
from kedge.engine.programs import call
from kedge.environment import bytecode, folders, kept_images, runner
from kedge.environment.image import Image
from kedge.environment.interpreters import Interpreter
from kedge.environment.specifications import normalized
from kedge.errors import EnvironmentFailed, Where

CONFIGURED: Final = "images.base"  # where Kedge's own choice of a base image is named
DECLARED: Final = "runtime.base_image"  # where a package names one

_LAYOUT: Final = 2
_NAME: Final = "kedge-"  # as a run's container is called
_MEMORY: Final = "1g"
_PROCESSES: Final = "64"
_ASK_S: Final = 120.0  # seconds for an answer of the base's Python, on a busy machine
_MOST_DISTRIBUTIONS: Final = 5_000  # the largest collections of packages have some hundred
# What a CPython on Linux says of itself.
_SAYS: Final = {
    "path": r"/[^\x00-\x1f]{1,500}",
    "version": r"3\.\d{1,2}\.\d{1,3}[a-z0-9.]{0,20}",
    "implementation": r"cpython",
    "cache_tag": r"cpython-\d{2,4}",
    "magic": r"[0-9a-f]{8}",
    "platform": r"linux-[a-z0-9_]{1,20}",
    "base_prefix": r"/[^\x00-\x1f]{0,500}",
    "stdlib": r"/[^\x00-\x1f]{1,500}",
}
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}")
# One that is there need not work: each is run, and the first that answers counts.
_FIND: Final = """\
for name in "python$1" python3 python; do
    command -v "$name" >/dev/null 2>&1 || continue
    said=$("$name" -I -S -B -c "$2") && { printf '%s' "$said"; exit 0; }
done
exit 127
"""
# What an environment on it would see of its packages: no `.pth` file of theirs is executed for that.
_ABOUT: Final = """\
import importlib.util, json, os, platform, site, sys, sysconfig
version = sys.version.split()[0].rstrip("+")
found = {}
try:
    from importlib.metadata import distributions
    folders = site.getsitepackages(list(dict.fromkeys([sys.base_prefix, sys.base_exec_prefix])))
    for one in distributions(path=folders):
        found.setdefault(one.metadata["Name"], one.version)
except Exception:
    found = {}
print(json.dumps({
    "path": os.path.realpath(sys.executable),
    "version": version,
    "implementation": sys.implementation.name,
    "cache_tag": sys.implementation.cache_tag,
    "magic": importlib.util.MAGIC_NUMBER.hex(),
    "platform": "linux-" + platform.machine(),
    "base_prefix": sys.base_prefix,
    "stdlib": sysconfig.get_path("stdlib"),
    "libc": list(platform.libc_ver()),
    "distributions": [[name, version] for name, version in found.items() if name and version],
}))
"""
_COMPILE: Final = """\
import json, sys
told = json.load(sys.stdin)
compiler = {"__name__": "compiler"}
exec(told["compiler"], compiler)
sys.stdout.write(compiler["compiled"](told["runner"].encode(), told["name"]).hex())
"""

Notify = Callable[[str], None]


class BasePython(Data):
    """The Python of a base image.

    Args:
        interpreter: its paths are those inside.
        libc: the C library that it was built with, and its version.
        distributions: the versions of the packages that it has, by normalized name.
    """

    interpreter: Interpreter
    libc: tuple[str, str]
    distributions: Mapping[str, str]


def is_known(ground: Image, minor: str) -> bool:
    """Whether a base image was asked for its Python before."""
    return os.path.exists(_place(ground, minor))


def find(
    engine: Engine, ground: Image, minor: str, named: str, notify: Notify = lambda _: None
) -> BasePython:
    """The Python of a base image; asked once for each image.

    Args:
        engine: where the image is.
        ground: the image.
        minor: the version that is wanted, "3.12".
        named: where the image is named, `CONFIGURED` or `DECLARED`.
        notify: told in words what is being done.

    Raises:
        EnvironmentFailed: it has none that answers, or one of another version.
    """
    place = _place(ground, minor)
    told = _remembered(place)
    if told is None:
        notify(f"asking {ground.reference} for its Python")
        out, why = _asked(engine, ground, "/bin/sh", ("-c", _FIND, "sh", minor, _ABOUT))
        told = _checked(out)
        if told is None:
            raise _unfit(ground, f"has no Python that answers{why}", named, minor)
        folders.write_file(place, json.dumps(told))
    found = Interpreter(
        **{field: told[field] for field in _SAYS},
        purelib=f"lib/python{'.'.join(told['version'].split('.')[:2])}/site-packages",
        visible=(),
        identity=(0, 0, 0),
    )
    if found.minor != minor:
        raise _unfit(ground, f"has Python {found.version}, and {minor} is asked for", named, minor)
    name, version = told["libc"]
    return BasePython(found, (name, version), dict(told["distributions"]))


def compiled(engine: Engine, ground: Image, inside: Interpreter, source: bytes) -> bytes:
    """The runner, compiled by the base image's own Python.

    Raises:
        EnvironmentFailed: it cannot.
    """
    with open(os.path.join(os.path.dirname(bytecode.__file__), "compiler.py")) as file:
        told = {"compiler": file.read(), "runner": source.decode(), "name": runner.SHOWN}
    command = ("-I", "-S", "-B", "-c", _COMPILE)
    out, why = _asked(engine, ground, inside.path, command, json.dumps(told).encode())
    try:
        return bytes.fromhex(out.strip() or "-")
    except ValueError:
        raise EnvironmentFailed(
            f"the Python of the base image `{ground.reference}` cannot compile Kedge's runner{why}",
            hint="is this Python complete? Try `-c 'import json, importlib'` with it",
        ) from None


def _unfit(ground: Image, why: str, named: str, minor: str) -> EnvironmentFailed:
    message = f"the base image `{ground.reference}` {why}"
    if named == DECLARED:
        hint = f"name an image with a Python {minor} on its PATH, or the version that it has"
        return EnvironmentFailed(message, where=Where(path=DECLARED), hint=hint)
    hint = f"name one that has Python {minor}, in `{named}` in kedge.toml; `{{version}}` stands for the version"
    return EnvironmentFailed(message, hint=hint)


def _place(ground: Image, minor: str) -> str:
    name = digest.of_json(["python of an image", _LAYOUT, ground.id, minor])
    return os.path.join(home.folder("descriptions"), f"python-{name}.json")


def _remembered(place: str) -> dict[str, Any] | None:
    try:
        with open(place, encoding="utf-8") as file:
            return _checked(file.read())
    except OSError:
        return None


def _checked(said: str) -> dict[str, Any] | None:
    """What a Python in an image says of itself, None when it is not what one would say.

    Nothing of this may name a place outside the image. Of its packages, what has no proper name and version
    is not there.
    """
    try:
        told = json.loads(said)
        name, version = told["libc"]
        fits = all(re.fullmatch(rule, told[field]) for field, rule in _SAYS.items())
        named = [(one, of) for one, of in told["distributions"][:_MOST_DISTRIBUTIONS]]
        distributions = [
            (normalized(one), of)
            for one, of in named
            if _DISTRIBUTION.fullmatch(one) and _VERSION.fullmatch(of)
        ]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not fits or set(told) != {*_SAYS, "libc", "distributions"}:
        return None
    if not (isinstance(name, str) and isinstance(version, str)):
        return None
    return {**told, "distributions": distributions}


def _asked(
    engine: Engine, ground: Image, program: str, words: tuple[str, ...], said: bytes = b""
) -> tuple[str, str]:
    """Run a program of a base image once, shut in; what it wrote, or as a clause why there is nothing.

    The container is called after a folder that is held while this goes on: one without the other is left.
    """
    with folders.temporary(os.path.join(home.home(), folders.BUILDING)) as place:
        name = f"{_NAME}{place[-12:]}"
        limits = (
            *(("--memory", _MEMORY) if "memory" in engine.limits else ()),
            *(("--pids-limit", _PROCESSES) if "pids" in engine.limits else ()),
            *(("--http-proxy=false",) if engine.kind == "podman" else ()),
        )
        try:
            done = call(
                engine.path,
                *("run", "--rm", "--interactive", "--pull", "never", "--network", "none"),
                *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
                *("--user", "65534:65534", "--name", name, *limits),
                *(f"--label={kept_images.LABEL_HOME}={home.home()}", "--entrypoint", program),
                *(ground.id, *words),
                input=said,
                timeout=_ASK_S,
            )
        except BaseException:
            call(engine.path, "rm", "--force", name)
            raise
    if done.code != 0:
        return "", f": {done.said}" if done.said else ""
    return done.out, ""
