"""Configuration: `kedge.toml` in Kedge's home and in the project, `KEDGE_*` variables over both.

A project's file comes with code that somebody else may have written, so it may not set what widens
what a run can see or do: those keys are the machine owner's, read from the home's file and from
variables only.
"""

import os
from typing import Any

from kedge.data import Data
from kedge.errors import ConfigError, Where, nearest
from kedge.home import home

FILE = "kedge.toml"


class Key(Data):
    """One setting: its type, default, meaning, and whether only the machine's owner may set it."""

    name: str
    default: Any
    description: str
    owner_only: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "KEDGE_" + self.name.replace(".", "_").upper()


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key(
            "executor",
            "auto",
            "how runs are executed: auto, sandbox, process, docker or podman",
            owner_only=True,
        ),
        Key("sandbox.paths", [], "host paths shown read-only in every sandbox", owner_only=True),
        Key("python.paths", [], "interpreters to consider besides those found", owner_only=True),
        Key("python.download", True, "whether uv may download an interpreter that is missing"),
        Key(
            "environment.allow_builds",
            False,
            "whether packages without a wheel may run their build code on this machine",
            owner_only=True,
        ),
        Key("environment.build_timeout", 3600.0, "seconds that preparing an environment may take"),
        Key(
            "warm", True, "whether processes that have imported a module are kept for the next runs"
        ),
        Key(
            "images.base",
            "python:{version}-slim",
            "the image that Python packages in containers stand on; {version} is the Python version",
        ),
    )
}


class Setting(Data):
    """A setting's value now, and where it came from: `default`, a file's path, or a variable."""

    key: Key
    value: Any
    origin: str


def get(name: str) -> Any:
    """The value of one setting, for example `get("sandbox.paths")`.

    Raises:
        ConfigError: a configuration file or variable cannot be read.
    """
    return _resolve(KEYS[name], _files()).value


def settings() -> list[Setting]:
    """Every setting with its value and origin, in the order of the reference page."""
    files = _files()
    return [_resolve(key, files) for key in KEYS.values()]


def _resolve(key: Key, files: list[tuple[str, bool, dict[str, Any]]]) -> Setting:
    text = os.environ.get(key.variable)
    if text is not None:
        return Setting(key, _from_text(key, text), key.variable)
    for path, _, values in files:
        if key.name in values:
            return Setting(key, values[key.name], path)
    return Setting(key, key.default, "default")


def _files() -> list[tuple[str, bool, dict[str, Any]]]:
    """The configuration files that exist, the strongest first: (path, is the owner's, values)."""
    found = []
    project = _project_file()
    own = os.path.join(home(), FILE)
    if project and not _same(project, own):
        found.append((project, False, _read(project, owner=False)))
    if os.path.isfile(own):
        found.append((own, True, _read(own, owner=True)))
    return found


def _same(a: str, b: str) -> bool:
    return os.path.exists(b) and os.path.samefile(a, b)


def _project_file() -> str | None:
    """`kedge.toml` in the working directory or the nearest folder above it."""
    try:
        folder = os.getcwd()
    except OSError:  # the working directory was removed
        return None
    while True:
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _read(path: str, *, owner: bool) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"configuration cannot be read: {error}", where=Where(path), hint="it is a TOML file"
        ) from error
    values: dict[str, Any] = {}
    for name, value in _flatten(data):
        key = KEYS.get(name)
        if key is None:
            close = nearest(name, list(KEYS))
            raise ConfigError(
                f"unknown setting `{name}`",
                where=Where(path),
                hint=f"did you mean `{close}`?" if close else "`kedge config` lists all settings",
            )
        if key.owner_only and not owner:
            raise ConfigError(
                f"`{name}` may not be set by a project's file: it would widen what a run may do",
                where=Where(path),
                hint=f"set it in {os.path.join(home(), FILE)} or in {key.variable}",
            )
        values[name] = _checked(key, value, path)
    return values


def _flatten(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            flat.extend(_flatten(value, f"{prefix}{name}."))
        else:
            flat.append((prefix + name, value))
    return flat


def _checked(key: Key, value: Any, origin: str) -> Any:
    default = key.default
    if isinstance(default, bool):
        good = isinstance(value, bool)
    elif isinstance(default, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        good = number and 0 < value < float("inf")
    elif isinstance(default, list):
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    else:
        good = isinstance(value, str) and value != ""
    if not good:
        kind = {bool: "true or false", float: "a number above 0", list: "a list of paths"}
        raise ConfigError(
            f"`{key.name}` is {value!r}; it must be {kind.get(type(default), 'a text')}",
            where=Where(origin),
            hint=f"{key.name}: {key.description}",
        )
    return value


def _from_text(key: Key, text: str) -> Any:
    if isinstance(key.default, bool):
        known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        return _checked(key, known.get(text.lower(), text), key.variable)
    if isinstance(key.default, float):
        try:
            return _checked(key, float(text), key.variable)
        except ValueError:
            return _checked(key, text, key.variable)
    if isinstance(key.default, list):
        return [part for part in text.split(os.pathsep) if part]
    return _checked(key, text, key.variable)
