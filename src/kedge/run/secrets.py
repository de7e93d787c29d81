"""A package's variables with its secrets filled in, at the last moment and into nothing that is kept."""

import os
from collections.abc import Mapping
from typing import Any, Final

from kedge.errors import InputError, Problem, StoreError, Where
from kedge.task.payload import Secret

PREFIX: Final = "KEDGE_SECRET_"


def filled(env: Mapping[str, Any]) -> dict[str, str]:
    """The variables as texts; `{"secret": NAME}` becomes what `KEDGE_SECRET_NAME` or the store has, a `Secret`.

    Raises:
        InputError: secrets that are not set or cannot be read, all of them.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in env.items():
        if isinstance(value, str):
            found[name] = value
            continue
        secret = value["secret"]
        where = Where(path=f"env.{name}")
        try:
            text = _value(secret)
        except StoreError as error:
            problems.append(
                Problem(f"the secret `{secret}` cannot be read: {error.message}", where, error.hint)
            )
            continue
        if text is None:
            hint = f"keep it with `kedge secret set {secret}`, or set the variable {PREFIX}{secret}"
            problems.append(Problem(f"the secret `{secret}` is not set", where, hint))
        else:
            found[name] = Secret(text)
    if problems:
        raise InputError.of(problems, "the package's variables")
    return found


def _value(name: str) -> str | None:
    given = os.environ.get(PREFIX + name)
    if given is not None:
        return given
    from kedge.run import secret_store

    return secret_store.value(name)
