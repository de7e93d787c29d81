"""From a run that ended to what the function gave: its value, or its own exception, raised here."""

import os
import threading
from contextlib import suppress
from typing import Any, Final, final

from kedge.client import hints
from kedge.client.decorated import unpickling
from kedge.client.decorated.remote import with_traceback
from kedge.client.decorated.unpickling import Known
from kedge.contract import pickled
from kedge.errors import (
    ContractError,
    FunctionError,
    OutOfDisk,
    OutOfMemory,
    Problem,
    RunFailed,
    RunTimeout,
)
from kedge.run import core, record

_ANY: Final = 'kedge.function(…, unpickle="any") takes whatever comes, from code that you trust'


_HINTS: Final[dict[type[RunFailed], str]] = {
    OutOfMemory: "give it more: kedge.function(…, memory=…) has the MiB that a run may use",
    RunTimeout: "give it longer: kedge.function(…, timeout=…) has the seconds that a run may take",
    OutOfDisk: "write less, or make room where KEDGE_HOME is",
}


class ResultError(FunctionError):
    """The function did its work, and what it gave cannot be brought back."""


@final
class Reading:
    """Reads the answer of one run, once; its file goes then, since the value is with the caller.

    Args:
        name: of the function.
        free: whether any class may come back.
        known: the caller's own classes.
    """

    def __init__(self, name: str, known: Known, *, free: bool) -> None:
        self._name = name
        self._free = free
        self._known = known
        self._lock = threading.Lock()
        self._found: tuple[Any, BaseException | None] | None = None

    def __call__(self, ended: core.Result) -> Any:
        """What the function gave.

        Raises:
            RunFailed: it failed, and there is no exception of its own.
            Exception: what the function raised.
        """
        with self._lock:
            if self._found is None:
                self._found = self._read(ended)
        value, error = self._found
        if error is not None:
            raise error.with_traceback(None)
        return value

    def item(self, path: str) -> Any:
        """What a generator yielded; read without a map, since it is still at work.

        Raises:
            FileNotFoundError: it is not there yet.
            ResultError: it cannot be brought back.
            ContractError: it is damaged.
        """
        answer, error = self._answer(path, None, mapped=False)
        if error is not None:
            raise error
        assert answer is not None
        return answer.value

    def _read(self, ended: core.Result) -> tuple[Any, BaseException | None]:
        failure = ended.failure
        if failure is not None and not isinstance(failure, FunctionError):
            return None, _in_the_authors_terms(failure)
        entry = ended.run.output_files.get(pickled.RESULT)
        path = record.paths(entry) if entry is not None else None
        if not isinstance(path, str):
            return None, failure
        try:
            answer, error = self._answer(path, ended.run.id, mapped=True)
        except FileNotFoundError:  # somebody has cleaned up
            return None, failure or _contract_error("it is gone", ended.run.id)
        with suppress(OSError):
            os.unlink(path)
        if failure is None:
            return (None, error) if error is not None else self._returned(answer, ended.run.id)
        if isinstance(error, ResultError) and answer is not None:
            return None, error
        if answer is not None and answer.kind == "exception":
            return None, with_traceback(answer.value, failure.traceback or "", failure.hint)
        return None, failure

    def _returned(
        self, answer: unpickling.Answer | None, run_id: str
    ) -> tuple[Any, BaseException | None]:
        if answer is None or answer.kind != "value":
            return None, _contract_error("it ended well and says that it did not", run_id)
        return answer.value, None

    def _answer(
        self, path: str, run_id: str | None, *, mapped: bool
    ) -> tuple[unpickling.Answer | None, RunFailed | None]:
        """What the file holds, and why that cannot be had; both, where it says so itself."""
        try:
            found = unpickling.read(path, self._known, free=self._free, mapped=mapped)
        except unpickling.RefusedError as error:
            return None, self._refused(error, run_id)
        except FileNotFoundError:
            raise
        except (pickled.FramesError, OSError) as error:
            return None, _contract_error(str(error), run_id)
        except Exception as error:  # noqa: BLE001 - what came may make anything be raised
            return None, self._broken(error, run_id)
        if found.kind != "unpicklable":
            return found, None
        way_out = f"; {_ANY}" if found.value and not self._free else ""
        refused = ResultError(
            f"what `{self._name}` returned cannot be sent back: {found.text}",
            hint=f"return plain data, an array or a data frame{way_out}",
            run_id=run_id,
        )
        hints.add_notes(refused)
        return found, refused

    def _refused(self, error: Exception, run_id: str | None) -> RunFailed:
        refused = ResultError(
            f"`{self._name}` gave something of the type {error}, which is not taken from a runtime",
            hint="return plain data, an array or a data frame; a class of an installed package is taken"
            f" where that is numpy, pandas or pyarrow, installed here; {_ANY}",
            run_id=run_id,
        )
        hints.add_notes(refused)
        return refused

    def _broken(self, error: Exception, run_id: str | None) -> RunFailed:
        broken = ResultError(
            f"what `{self._name}` gave cannot be put together here: {type(error).__name__}: {error}",
            hint="do both sides have the same version of the package that its class is from?",
            run_id=run_id,
        )
        hints.add_notes(broken)
        return broken


def _in_the_authors_terms(failure: RunFailed) -> RunFailed:
    """The failure with a hint about the options of `kedge.function`, of which the package was made."""
    (first, *_) = failure.problems
    hint = _HINTS.get(type(failure), first.hint)
    failure.hint = hint
    failure.problems = [Problem(first.message, first.where, hint)]
    vars(failure).pop("__notes__", None)
    hints.add_notes(failure)
    return failure


def _contract_error(why: str, run_id: str | None) -> ContractError:
    found = ContractError(
        f"the answer of the run is damaged: {why}",
        hint="does the function write to out/, or end its process itself?",
        run_id=run_id,
    )
    hints.add_notes(found)
    return found
