"""What an entry script says of itself, when it is started with PRIMER_EXPLAIN."""

import json
import os
import subprocess
from typing import Any

from kedge.errors import PrimerError, Where
from kedge.primer.repository import proto_file
from kedge.primer.repository.entry import Entry, entries


def scripts(folder: str) -> dict[str, Entry]:
    """The entry scripts of the repository that a folder is in, for this machine, by their paths.

    Raises:
        PrimerError: there is none.
    """
    root = proto_file.repository_of(folder)
    batch = os.name == "nt"
    found = {
        os.path.join(root, name): entry
        for name, entry in entries(root).items()
        if name.endswith(".cmd") is batch
    }
    if not found:
        hint = "`kedge primer init --main package.module:function` makes one"
        raise PrimerError(f"`{root}` has no entry script", where=Where(root), hint=hint)
    return found


def script(named: str) -> tuple[str, Entry]:
    """The entry script at a path, or of that name in the repository that the current folder is in.

    Raises:
        PrimerError: it is none.
    """
    if os.path.isfile(named):
        near = scripts(os.path.dirname(named) or ".")
        found = {path: entry for path, entry in near.items() if os.path.samefile(path, named)}
    else:
        near = scripts(".")
        found = {path: entry for path, entry in near.items() if os.path.basename(path) == named}
    if not found:
        raise PrimerError(
            f"`{named}` is no entry script",
            where=Where(named),
            hint="`kedge primer explain` without a name explains all there are",
        )
    return next(iter(found.items()))


def explained(path: str) -> dict[str, Any]:
    """The document that an entry script prints; nothing is made or executed.

    What it has to say beside that goes to this process's standard error.

    Raises:
        PrimerError: it gave none.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PRIMER_REBUILD"}
    try:
        ended = subprocess.run(
            [path],
            env=variables | {"PRIMER_EXPLAIN": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise PrimerError(
            f"`{path}` cannot be started: {error.strerror}",
            where=Where(path),
            hint=f"`chmod +x {path}`" if isinstance(error, PermissionError) else None,
        ) from None
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        document = None
    if ended.returncode or not isinstance(document, dict):
        raise PrimerError(
            f"`{path}` ended with exit code {ended.returncode} and did not explain itself",
            where=Where(path),
            hint="what it said is above; `kedge primer update` refreshes an old proto file",
        )
    return document
