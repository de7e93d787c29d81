"""Python environments in images: a base image with a Python, Debian packages, and what a lock names.

The packages are chosen and installed by uv on this machine, for the platform and the Python of the base, and
laid in as a layer. Only what has no wheel for it is built in the image, by its own pip: there a build can do this
machine no harm, and finds the Debian packages. A package's own code is no part of it.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge import digest, home
from kedge.data import Data, replace
from kedge.engine.look import Engine
from kedge.engine.programs import call
from kedge.environment import bytecode, folders, images, interpreters, kept_images, python, runner
from kedge.environment.building import build
from kedge.environment.image import Image
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock
from kedge.environment.lockfile import Entry
from kedge.errors import EnvironmentFailed, Where

FOLDER: Final = "/opt/kedge/environment"  # of the environment, in the image
RUNNER_FOLDER: Final = "/opt/kedge/runner"  # where the runner is shown to a run in it

_LAYOUT: Final = 1
_NAME: Final = "kedge-"  # as a run's container is called
_MEMORY: Final = "1g"
_PROCESSES: Final = "64"
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
_ASK_S: Final = 120.0  # seconds for an answer of the base's Python, on a busy machine
_GLIBC: Final = (17, 28, *range(31, 41))  # minor versions that uv has a platform for
_FIND: Final = """\
for name in "python$1" python3 python; do
    if command -v "$name" >/dev/null 2>&1; then exec "$name" -I -S -B -c "$2"; fi
done
exit 127
"""
_ABOUT: Final = """\
import importlib.util, json, os, platform, sys, sysconfig
version = sys.version.split()[0].rstrip("+")
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
}))
"""
_COMPILE: Final = """\
import json, sys
told = json.load(sys.stdin)
compiler = {"__name__": "compiler"}
exec(told["compiler"], compiler)
sys.stdout.write(compiler["compiled"](told["runner"].encode(), told["name"]).hex())
"""
_DEBIAN: Final = """\
USER root
RUN apt-get update && apt-get install -y --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*
"""
_ENVIRONMENT: Final = f"""\
COPY environment {FOLDER}
ENV PATH={FOLDER}/bin:$PATH
"""
_SOURCES: Final = "sources.txt"
_FROM_SOURCE: Final = f"""\
USER root
COPY {_SOURCES} /opt/kedge/{_SOURCES}
RUN {{python}} -m pip install --no-deps --require-hashes --no-cache-dir --disable-pip-version-check \\
    --target {{site}} -r /opt/kedge/{_SOURCES} \\
    && if [ -d {{site}}/bin ]; then \\
        sed -i '1s|^#!.*|#!{FOLDER}/bin/python|' {{site}}/bin/* && mv {{site}}/bin/* {FOLDER}/bin/; \\
    fi
"""
_COMPILED_INSIDE: Final = """\
USER root
RUN ["{folder}/bin/python", "-m", "compileall", "-q", "-j", "0", "{folder}/{purelib}"]
"""

Notify = Callable[[str], None]


class PythonImage(Data):
    """An image with a Python environment that is ready.

    Args:
        image: in its engine.
        python: the path of its executable, inside.
        version: exact.
        runner: the path of the runner compiled for it, on this machine.
        compiler: a Python of this machine whose compiled files are the same, None when there is none.
        created: whether it was built just now.
    """

    image: Image
    python: str
    version: str
    runner: str
    compiler: Interpreter | None
    created: bool


def ensure(
    engine: Engine,
    base: str,
    minor: str,
    lock: Lock,
    system: tuple[str, ...],
    notify: Notify = lambda _: None,
    detail: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> PythonImage:
    """The image with what a lock and a list of Debian packages name, built if it is not there.

    Args:
        engine: where.
        base: the image to build on, by its reference.
        minor: the Python version that it must have, "3.12".
        lock: from `lock.ensure_lock`.
        system: Debian packages.
        notify: told in words what is being done; `detail` each line that the engine says.
        timeout: seconds, for everything.

    Raises:
        EnvironmentFailed: the base cannot be had or has another Python, or a package cannot be installed.
    """
    ground = images.pulled(engine, base, None, notify, timeout)
    inside, libc = _interpreter(engine, ground, minor, notify)
    compiled = runner.runner_for(
        inside, ground.id, lambda source: _compiled(engine, ground, inside, source)
    )
    wanted = _wanted(engine, ground, inside, lock, system)

    helper = _same_python(inside)

    def make() -> None:
        number = len(lock.entries())
        notify(
            f"building an image with Python {inside.version} and {number}"
            f" package{'' if number == 1 else 's'}"
        )
        with folders.temporary(home.folder(folders.BUILDING)) as place:
            context = os.path.join(place, "context")
            sources = _fill(context, inside, libc, lock, helper, notify, timeout)
            text = _dockerfile(
                base, system, inside, sources=sources, compiled_before=helper is not None
            )
            try:
                build(
                    engine,
                    wanted,
                    text.encode(),
                    lambda path: os.rename(context, path),
                    shown="Dockerfile that Kedge wrote",
                    notify=notify,
                    detail=detail,
                    timeout=timeout,
                )
            except EnvironmentFailed as error:
                raise _in_their_terms(error, system, sources) from error

    image, created = kept_images.made_once(engine, wanted, make, notify, timeout)
    return PythonImage(image, f"{FOLDER}/bin/python", inside.version, compiled, helper, created)


def wanted(
    engine: Engine, base: str, minor: str, lock: Lock, system: tuple[str, ...]
) -> kept_images.Wanted | None:
    """The image that `ensure` would make, None where the base is not known well enough to tell."""
    ground = images.find(engine, base)
    if ground is None or not os.path.exists(_place(ground, minor)):
        return None
    inside, _ = _interpreter(engine, ground, minor, lambda _: None)
    return _wanted(engine, ground, inside, lock, system)


def _wanted(
    engine: Engine, ground: Image, inside: Interpreter, lock: Lock, system: tuple[str, ...]
) -> kept_images.Wanted:
    made_from = ("python", _LAYOUT, ground.id, inside.version, lock.digest, sorted(set(system)))
    name = kept_images.name_of(engine, made_from)
    return kept_images.Wanted(name, f"python-{inside.minor}", "", (ground.id,))


def _dockerfile(
    base: str,
    system: tuple[str, ...],
    inside: Interpreter,
    *,
    sources: tuple[str, ...],
    compiled_before: bool,
) -> str:
    lines = f"FROM {base}\n"
    if system:
        lines += _DEBIAN.format(packages=" ".join(sorted(set(system))))
    lines += _ENVIRONMENT
    if sources:
        lines += _FROM_SOURCE.format(python=inside.path, site=f"{FOLDER}/{inside.purelib}")
    if not compiled_before:
        lines += _COMPILED_INSIDE.format(folder=FOLDER, purelib=inside.purelib)
    return lines


def _fill(
    place: str,
    inside: Interpreter,
    libc: tuple[str, str],
    lock: Lock,
    helper: Interpreter | None,
    notify: Notify,
    timeout: float,
) -> tuple[str, ...]:
    """Lay out the environment as it is to be in the image; the packages that must be built there."""
    made = os.path.join(place, "environment")
    site = os.path.join(made, inside.purelib)
    folders.make_folder(site)
    sources: tuple[Entry, ...] = ()
    if not lock.is_empty:
        options = ["--target", site, "--python", (helper or _own()).path]
        options += ["--python-version", inside.version]
        options += ["--python-platform", _platform(inside, libc)]
        sources = _install(lock, place, options, inside.version, notify, timeout)
    scripts = os.path.join(made, "bin")
    if os.path.isdir(os.path.join(site, "bin")):
        os.rename(os.path.join(site, "bin"), scripts)
    else:
        folders.make_folder(scripts)
    python.frame(inside, lock, made, installed_by=(helper or _own()).path)
    python.open_to_all(made)
    if helper is not None and not bytecode.link_known(helper, made):
        bytecode.finish(helper, made, "wait", notify)
    for name in ("requirements.txt", "uv.toml"):
        if os.path.exists(os.path.join(place, name)):
            os.unlink(os.path.join(place, name))
    if sources:
        folders.write_file(os.path.join(place, _SOURCES), _lines(sources))
    return tuple(entry.name for entry in sources)


def _install(
    lock: Lock, place: str, options: list[str], version: str, notify: Notify, timeout: float
) -> tuple[Entry, ...]:
    """Install what has a wheel; the rest."""
    wheels, sources = lock.entries(), tuple[Entry, ...]()
    while wheels:
        rest = replace(lock, text=_lines(wheels)) if sources else lock
        try:
            python.install(rest, place, options, version, notify, timeout)
        except EnvironmentFailed as error:
            evidence = error.evidence or {}
            without = [one for one in wheels if one.name == evidence.get("package")]
            if evidence.get("reason") != "no-wheel" or not without:
                raise
            sources += tuple(without)
            wheels = tuple(one for one in wheels if one not in without)
        else:
            break
    return sources


def _lines(entries: tuple[Entry, ...]) -> str:
    """Entries as a requirements file has them."""
    return "".join(
        " \\\n    ".join([entry.requirement, *(f"--hash={one}" for one in entry.hashes)]) + "\n"
        for entry in entries
    )


def _own() -> Interpreter:
    import sys

    return interpreters.find(f"{sys.version_info.major}.{sys.version_info.minor}")


def _same_python(inside: Interpreter) -> Interpreter | None:
    """A Python of this machine whose compiled files are the same, None when there is none."""
    try:
        found = interpreters.find(inside.minor)
    except EnvironmentFailed:
        return None
    same = (found.magic, found.cache_tag, found.purelib)
    return found if same == (inside.magic, inside.cache_tag, inside.purelib) else None


def _interpreter(
    engine: Engine, ground: Image, minor: str, notify: Notify
) -> tuple[Interpreter, tuple[str, str]]:
    """The Python of a base image and the C library that it was built with; asked once for each image."""
    place = _place(ground, minor)
    told = _remembered(place)
    if told is None:
        notify(f"asking {ground.reference} for its Python")
        out, why = _asked(engine, ground, "/bin/sh", ("-c", _FIND, "sh", minor, _ABOUT))
        told = _checked(out)
        if told is None:
            raise EnvironmentFailed(
                f"the base image `{ground.reference}` has no Python that answers{why}",
                hint="name one that has, in `images.base` in kedge.toml",
            )
        folders.write_file(place, json.dumps(told))
    name, version = told["libc"]
    found = Interpreter(
        **{key: value for key, value in told.items() if key != "libc"},
        purelib=f"lib/python{'.'.join(told['version'].split('.')[:2])}/site-packages",
        visible=(),
        identity=(0, 0, 0),
    )
    if found.minor != minor:
        raise EnvironmentFailed(
            f"the base image `{ground.reference}` has Python {found.version}, and {minor} is asked for",
            hint="name one that has it in `images.base` in kedge.toml; `{version}` stands for the version",
        )
    return found, (name, version)


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

    The image may be anybody's: nothing of this may name a place outside it.
    """
    try:
        told = json.loads(said)
        name, version = told["libc"]
        fits = all(re.fullmatch(rule, told[field]) for field, rule in _SAYS.items())
    except (ValueError, KeyError, TypeError):
        return None
    if not fits or set(told) != {*_SAYS, "libc"}:
        return None
    return dict(told) if isinstance(name, str) and isinstance(version, str) else None


def _compiled(engine: Engine, ground: Image, inside: Interpreter, source: bytes) -> bytes:
    """The runner, compiled by the base image's own Python."""
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


def _platform(inside: Interpreter, libc: tuple[str, str]) -> str:
    """What uv calls the platform of a Python in an image."""
    machine = inside.platform.removeprefix("linux-")
    name, version = libc
    numbers = version.split(".")
    if name != "glibc" or len(numbers) < 2 or not numbers[1].isdigit():
        return f"{machine}-unknown-linux-musl"
    fitting = [one for one in _GLIBC if one <= int(numbers[1])]
    return f"{machine}-manylinux_2_{fitting[-1] if fitting else _GLIBC[0]}"


def _in_their_terms(
    error: EnvironmentFailed, system: tuple[str, ...], sources: tuple[str, ...]
) -> EnvironmentFailed:
    """The error of a build that failed, in terms of what the manifest says."""
    evidence: Mapping[str, Any] = error.evidence or {}
    said = [str(line) for line in evidence.get("said", ())]
    debian = [line for line in said if line.startswith("E: ")]
    if system and debian:
        return EnvironmentFailed(
            f"the Debian packages {', '.join(system)} cannot be installed: {debian[0][3:]}",
            where=Where(path="runtime.system"),
            hint="check their names in the release that the base image is of (`images.base` in kedge.toml)",
            evidence=dict(evidence),
        )
    if sources and "pip install" in error.message:
        spoken = [line.strip() for line in said if line.strip().lower().startswith("error: ")]
        of_compiler = [line for line in spoken if line.startswith("error: ")]  # pip shouts
        why = (*of_compiler, *spoken, *said[-1:], "")[0]
        return EnvironmentFailed(
            f"{', '.join(f'`{name}`' for name in sources)}: there is no wheel, and the image cannot build"
            f" one: {why}",
            hint="name what that build needs in `runtime.system` (gcc, libc6-dev, python3-dev); -v shows all it"
            " says",
            evidence=dict(evidence),
        )
    return error
