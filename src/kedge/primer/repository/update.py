"""`kedge primer update`: the proto file and entry scripts of a repository, as this Kedge writes them."""

import os
from dataclasses import dataclass, field

from kedge.errors import PrimerError, Where
from kedge.primer.repository import proto_file
from kedge.primer.repository.entry import batch_file, entries, shell_script, text_of
from kedge.primer.repository.seal import opened, sealed, writer


@dataclass
class Update:
    """What changes: new texts by path, one line on each, and the scripts that somebody edited."""

    root: str
    files: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)


def planned(root: str, by: str, force: bool) -> Update:
    """What `kedge primer update` would write.

    An entry script or a `primer/uv.txt` that was edited stays as it is unless `force`d, since the old ones go
    on working.

    Args:
        root: the repository's folder, which has a proto file.
        by: who writes: a program and its version.
        force: whether files that were edited by hand are replaced too.

    Raises:
        PrimerError: the proto file was edited.
    """
    update = Update(root)
    _proto(update, by, force)
    wanted = {
        name: batch_file(entry) if name.endswith(".cmd") else shell_script(entry)
        for name, entry in entries(root).items()
    }
    if os.path.exists(os.path.join(root, proto_file.UV)):
        wanted[proto_file.UV] = sealed(proto_file.uv_lock(), "#", by)
    for name, new in wanted.items():
        text = text_of(os.path.join(root, name)) or ""
        if opened(text) == opened(new):
            continue
        if writer(text) is None and not force:
            update.edited.append(name)
            continue
        update.files[name] = new
        update.lines.append(f"{name}: as this Kedge writes it")
    return update


def write(update: Update) -> None:
    """Replace the files one by one; each is whole at any instant."""
    for path, text in update.files.items():
        target = os.path.join(update.root, path)
        new = f"{target}.new"
        try:
            with open(new, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            os.chmod(new, os.stat(target).st_mode & 0o777)
            os.replace(new, target)
        except OSError as error:
            raise PrimerError(
                f"`{error.filename}` cannot be written: {error.strerror}",
                where=Where(update.root),
                hint="what was written before it is whole; give the command again",
            ) from error


def _proto(update: Update, by: str, force: bool) -> None:
    path = os.path.join(update.root, proto_file.PATH)
    old, new = text_of(path) or "", proto_file.brought()
    if opened(old) == new:
        return
    wrote = writer(old)
    if wrote is None and not force:
        raise PrimerError(
            f"`{proto_file.PATH}` was edited by hand, or comes from elsewhere; nothing was written",
            where=Where(path),
            hint="--force replaces it; `git diff` shows then what was lost",
        )
    update.files[proto_file.PATH] = sealed(new, "#", by)
    before = f"layout {proto_file.layout(old)} of {wrote or 'nobody who is known'}"
    after = f"layout {proto_file.layout(new)} of {by}"
    update.lines.append(f"{proto_file.PATH}: {before} → {after}")
