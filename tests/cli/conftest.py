"""The command line inside the test's own process, where nothing is run and a process costs too much."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from kedge.cli.app import main


class Said(NamedTuple):
    """A command's exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Calls a command in this process."""

    def calls(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        code = left.value.code
        return Said(code if isinstance(code, int) else 1, written.out, written.err)

    return calls
