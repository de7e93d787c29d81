"""Variables with their secrets filled in."""

import pytest

from kedge.errors import InputError
from kedge.run.secrets import filled


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_SECRET_LICENSE", "hunter2")
    monkeypatch.setenv("KEDGE_SECRET_EMPTY", "")
    env = {"MODE": "fast", "TOKEN": {"secret": "LICENSE"}, "NONE": {"secret": "EMPTY"}}
    assert filled(env) == {"MODE": "fast", "TOKEN": "hunter2", "NONE": ""}


def test_every_missing_secret_is_named_with_its_variable() -> None:
    with pytest.raises(InputError) as refused:
        filled({"A": {"secret": "ONE"}, "B": "text", "C": {"secret": "TWO"}})
    told = [(str(one.where), one.hint) for one in refused.value.problems]
    assert told == [
        ("env.A", "set the variable KEDGE_SECRET_ONE"),
        ("env.C", "set the variable KEDGE_SECRET_TWO"),
    ]
