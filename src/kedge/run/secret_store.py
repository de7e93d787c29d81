"""Where secrets are kept between runs: the system's keyring where it can be used, else one private file.

The file, `KEDGE_HOME/secrets/secrets.json`, always knows the names, since a keyring cannot list its own;
a value is in it only where no keyring took it. It is written whole or not at all, under a lock.
"""

import contextlib
import importlib.util
import json
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kedge import home
from kedge.environment import folders
from kedge.errors import StoreError, UnknownName, UsageError, Where, nearest

VALUE_LIMIT: Final = 64 << 10  # bytes: Linux takes at most 128 KiB for one variable (execve(2))
FILE: Final = "a file"
KEYRING: Final = "the keyring"

_FOLDER: Final = "secrets"
_LAYOUT: Final = 1
_LOCK_S: Final = 10.0  # another writer needs milliseconds; a keyring may be asking its user
# They keep a value as plain text, or not at all.
_UNFIT_BACKENDS: Final = ("keyrings.alt.", "keyring.backends.null", "keyring.backends.fail")


def names() -> dict[str, str]:
    """The secrets that are kept, sorted by name, and where each value is: `FILE` or `KEYRING`.

    Raises:
        StoreError: the file is damaged, or others can read it.
    """
    return {name: FILE if "value" in entry else KEYRING for name, entry in sorted(_read().items())}


def value(name: str) -> str | None:
    """A secret's value, None when it is not kept.

    Raises:
        StoreError: the file is damaged, others can read it, or the keyring does not give it.
    """
    entry = _read().get(name)
    if entry is None:
        return None
    if "value" in entry:
        return str(entry["value"])
    found = _from_keyring(name)
    if found is None:
        raise StoreError(
            f"the system's keyring does not give the secret `{name}`",
            hint=f"unlock the keyring, or set it anew with `kedge secret set {name}`",
        )
    return found


def put(name: str, text: str) -> str:
    """Keep a value under a name, in place of one that was there; where it went: `FILE` or `KEYRING`.

    Raises:
        UsageError: a name or a value that no variable can have.
        StoreError: it cannot be written.

    >>> put("LICENSE", "hunter2")
    'a file'
    """
    _check(name, text)
    with _writing() as entries:
        kept = KEYRING if _into_keyring(name, text) else FILE
        if kept == FILE and "value" not in entries.get(name, {"value": ""}):
            _out_of_keyring(name)
        entries[name] = {"value": text} if kept == FILE else {}
    return kept


def remove(wanted: list[str]) -> None:
    """Forget secrets.

    Raises:
        UnknownName: one of them is not kept; none was removed.
        StoreError: the file cannot be written.
    """
    with _writing() as entries:
        for name in wanted:
            if name not in entries:
                close = nearest(name, list(entries))
                raise UnknownName(
                    f"there is no secret `{name}`",
                    hint=f"did you mean `{close}`?" if close else "`kedge secret list` lists them",
                )
        for name in dict.fromkeys(wanted):
            if "value" not in entries.pop(name):
                _out_of_keyring(name)


def _check(name: str, text: str) -> None:
    from kedge.package.names import variable_name

    if refusal := variable_name(name):
        expected, hint = refusal
        raise UsageError(f"`{name[:80]}` is no name for a secret: {expected}", hint=hint)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(
            f"the value for `{name}` is not UTF-8 text", hint="encode it, for example as Base64"
        ) from None
    if "\0" in text:
        raise UsageError(
            f"the value for `{name}` has a NUL character, which no variable can hold",
            hint="encode it, for example as Base64",
        )
    if size > VALUE_LIMIT:
        raise UsageError(
            f"the value for `{name}` has {size} bytes; a secret has at most {VALUE_LIMIT}",
            hint="keep a long one in a file and give that as a File input",
        )


def _path() -> str:
    return os.path.join(home.home(), _FOLDER, "secrets.json")


def _read() -> dict[str, dict[str, Any]]:
    """What the file has, by name; nothing of its content ever gets into an error."""
    path = _path()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(
            f"the secrets cannot be read: {error.strerror}",
            where=Where(path),
            hint="the file must be your own; `kedge secret set` makes it where there is none",
        ) from None
    with open(descriptor, "rb") as file:
        _check_private(os.fstat(descriptor), path)
        try:
            data = json.loads(file.read())
            entries: dict[str, dict[str, Any]] = data["secrets"]
            whole = data["layout"] == _LAYOUT and all(
                isinstance(entry, dict) and isinstance(entry.get("value", ""), str)
                for entry in entries.values()
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise StoreError(
                "the file of secrets is damaged, or of another Kedge",
                where=Where(path),
                hint="move it away and set the secrets again",
            ) from None
        return entries


def _check_private(status: os.stat_result, path: str) -> None:
    folder = os.path.dirname(path)
    around = os.stat(folder)
    open_to_others = stat.S_IMODE(status.st_mode) & 0o077 or stat.S_IMODE(around.st_mode) & 0o022
    if open_to_others:
        raise StoreError(
            "others on this machine can read or exchange the file of secrets, so it is not used",
            where=Where(path),
            hint=f"`chmod 700 {folder}; chmod 600 {path}`; then think about what they may have read",
        )
    if os.geteuid() not in (status.st_uid, 0):
        raise StoreError(
            "the file of secrets belongs to somebody else, so it is not used",
            where=Where(path),
            hint="set KEDGE_HOME to a folder of your own",
        )


@contextlib.contextmanager
def _writing() -> Iterator[dict[str, dict[str, Any]]]:
    """The secrets, to be changed; written back when the block ends well, one writer at a time."""
    path = _path()
    with folders.writing("the secrets"):
        home.folder(_FOLDER)
        with folders.held(f"{path}.lock", _LOCK_S) as owned:
            if not owned:
                raise StoreError(
                    f"another process has been writing secrets for {_LOCK_S:g} s",
                    hint="look for a kedge process that waits for the keyring",
                )
            entries = _read()
            yield entries
            _write(path, {"layout": _LAYOUT, "secrets": entries})


def _write(path: str, data: Mapping[str, Any]) -> None:
    draft = f"{path}.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _keyring() -> Any:
    """The keyring's backend that values may be given to; None without one."""
    try:
        if importlib.util.find_spec("keyring") is None:
            return None
        import keyring  # type: ignore[import-not-found, unused-ignore]

        chosen = keyring.get_keyring()
        # The chain of all backends would hand a value on to an unfit one.
        for one in getattr(chosen, "backends", [chosen]):
            if not f"{type(one).__module__}.".startswith(_UNFIT_BACKENDS):
                return one
    except Exception:  # noqa: BLE001 - whatever is wrong with a backend, the file is there
        return None
    return None


def _service() -> str:
    return f"kedge:{home.home()}"  # two homes keep their secrets apart


def _into_keyring(name: str, text: str) -> bool:
    backend = _keyring()
    if backend is None:
        return False
    try:
        backend.set_password(_service(), name, text)
    except Exception:  # noqa: BLE001 - locked, or too long for it: the file takes it
        return False
    return True


def _from_keyring(name: str) -> str | None:
    backend = _keyring()
    try:
        return None if backend is None else backend.get_password(_service(), name)
    except Exception:  # noqa: BLE001 - its message may hold anything
        return None


def _out_of_keyring(name: str) -> None:
    backend = _keyring()
    with contextlib.suppress(Exception):
        if backend is not None:
            backend.delete_password(_service(), name)
