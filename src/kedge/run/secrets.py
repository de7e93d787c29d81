"""A package's variables with its secrets filled in, at the last moment and into nothing that is kept."""

import os
from collections.abc import Mapping
from typing import Any, Final

from kedge.errors import InputError, Problem, Where

_PREFIX: Final = "KEDGE_SECRET_"


def filled(env: Mapping[str, Any]) -> dict[str, str]:
    """The variables as texts; `{"secret": NAME}` becomes the value of `KEDGE_SECRET_NAME`.

    Raises:
        InputError: secrets that are not set, all of them.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in env.items():
        if isinstance(value, str):
            found[name] = value
            continue
        variable = _PREFIX + value["secret"]
        secret = os.environ.get(variable)
        if secret is None:
            problems.append(
                Problem(
                    f"the secret `{value['secret']}` is not set",
                    Where(path=f"env.{name}"),
                    f"set the variable {variable}",
                )
            )
        else:
            found[name] = secret
    if problems:
        raise InputError.of(problems, "the package's variables")
    return found
