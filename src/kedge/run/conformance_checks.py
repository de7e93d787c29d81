"""The rules of the contract that can be seen to hold: for each, from what was tried to a verdict in words."""

import os
import signal
from collections.abc import Sequence
from typing import Any, Final, Literal

from kedge.contract.collect import DATA_LIMIT
from kedge.contract.hostile import parse_object, read_file
from kedge.data import Data
from kedge.errors import RunFailed
from kedge.executor.landlock import abi
from kedge.ports import Ports
from kedge.run import record
from kedge.run.conformance_sight import Sight
from kedge.run.execution import file_facts

Verdict = Literal["passed", "failed", "not tried"]

_LONGER: Final = "give inputs that take longer: --long name=value"
_AT_ONCE_S: Final = 0.5  # in which a program that heeds SIGTERM has ended, most likely
_NAMED: Final = 5  # paths in one sentence before it counts the rest


class Check(Data):
    """One rule, and whether it was seen to hold.

    Args:
        check: its name.
        result: `not tried` where nothing could be seen of it.
        why: what was seen.
        hint: what to do about it.
    """

    check: str
    result: Verdict
    why: str
    hint: str | None = None


class Tried(Data):
    """One run that was looked at."""

    run: record.Run
    failure: RunFailed | None
    sight: Sight

    @property
    def kind(self) -> str | None:
        """The kind of its failure, None when it succeeded."""
        return self.failure.kind if self.failure is not None else None

    @property
    def answered(self) -> bool:
        """Whether it did its work, whatever its outputs are."""
        return self.kind in (None, "contract_error")

    @property
    def words(self) -> str:
        """Its failure as it is told."""
        return "; ".join(str(problem) for problem in self.failure.problems) if self.failure else ""

    @property
    def hint(self) -> str | None:
        """What its failure says is to be done."""
        return self.failure.problems[0].hint if self.failure else None


def not_started(first: Tried) -> tuple[Check, ...]:
    """The verdicts on a program that cannot be started."""
    others = ("inputs", "outputs", "failure", "sigterm", "writes", "user", "progress")
    return (
        Check("starts", "failed", first.words, first.hint),
        *(Check(name, "not tried", "it does not start") for name in others),
    )


def starts(first: Tried) -> Check:
    """Its program is there and can be started."""
    program = first.run.handler or "its entrypoint"
    return Check("starts", "passed", f"{program} was started by {first.run.executor}")


def inputs(first: Tried, second: Tried | None, freed: Tried | None) -> Check:
    """It takes what its ports admit, leaves it as it is, and knows nothing of the run before."""
    if freed is not None:
        return Check("inputs", "not tried", f"it failed for another reason: {first.words}")
    if second is None:
        return Check("inputs", "failed", f"it failed on its inputs: {first.words}", first.hint)
    if not second.answered:
        why = f"a second run with the same inputs failed: {second.words}"
        return Check("inputs", "failed", why, "keep nothing from one run for the next")
    for tried in (first, second):
        for entry in tried.run.input_files:
            if file_facts(entry["port"], entry["path"]) != dict(entry):
                why = f"the file of the input `{entry['port']}` is not as it was"
                return Check("inputs", "failed", why, "copy it to the scratch folder to change it")
    if difference := differing(shapes(first.run), shapes(second.run)):
        why = f"two runs with the same inputs gave different outputs: {difference}"
        hint = "keep nothing from one run for the next, and always write the same outputs"
        return Check("inputs", "failed", why, hint)
    return Check("inputs", "passed", "two runs with the same inputs gave outputs of the same shape")


def outputs(first: Tried, second: Tried | None, ports: Ports) -> Check:
    """What it writes is what it declares, all of it and nothing else."""
    if second is None or not second.answered:
        return Check("outputs", "not tried", "it gave none")
    for tried in (first, second):
        if tried.kind == "contract_error":
            return Check("outputs", "failed", tried.words, tried.hint)
    for tried in (first, second):
        if strays := undeclared(tried.run, ports):
            why = f"no port has the name of {_listed(strays)}"
            hint = "declare it, or write it to `out/artifacts/` or the scratch folder"
            return Check("outputs", "failed", why, hint)
        if tried.sight.left.others:
            why = f"not collected: {tried.sight.left.others[0]}"
            return Check("outputs", "failed", why, "write the content itself")
        if tried.sight.left.errors:
            why = f"it succeeded and left an error in `out/{tried.sight.left.errors[0][0]}`"
            return Check("outputs", "failed", why, "write that file only on failure")
    number = len(first.run.outputs) + len(first.run.output_files)
    why = f"{number} of {len(ports.properties)} declared outputs, and nothing else"
    if number == len(ports.properties):
        why = (
            "all declared outputs and nothing else" if number else "none is declared, none written"
        )
    return Check("outputs", "passed", why)


def failure(failing: Tried | None) -> Check:
    """It says in a file why it failed."""
    advice = 'write {"error": "what happened", "type": "its kind"} to `out/_error.json`'
    if failing is None:
        hint = (
            "give inputs that it fails on with --failing name=value, or a test case with `raises`"
        )
        return Check("failure", "not tried", "no inputs are known that it fails on", hint)
    if failing.kind is None:
        hint = "end with another exit code than 0 when there is no result"
        return Check("failure", "failed", "it succeeded on the inputs that it should fail on", hint)
    assert failing.failure is not None
    code = failing.failure.evidence.get("exit_code")
    if code == 0:
        why = "it ended with 0, as if it had succeeded, on the inputs that it fails on"
        return Check("failure", "failed", why, "end with another exit code")
    if failing.kind not in ("function_error", "contract_error"):
        return Check("failure", "failed", failing.words, failing.hint)
    ending = f"it ended with {code}" if code is not None else "it was ended by a signal"
    if not failing.sight.left.errors:
        why = f"{ending} and left no error file: only the end of its log says why"
        return Check("failure", "failed", why, advice)
    name, error = failing.sight.left.errors[0]
    if isinstance(error, str):
        return Check("failure", "failed", f"`out/{name}` {error}", advice)
    wrong = [key for key in ("error", "type") if not _is_text(error.get(key))]
    if wrong:
        why = f"`{'` and `'.join(wrong)}` of `out/{name}` {'is' if len(wrong) == 1 else 'are'} no text"
        return Check("failure", "failed", why, advice)
    return Check("failure", "passed", f"{ending} and said why: {error['type']}")


def sigterm(first: Tried, asked: Tried | None, *, long: bool) -> Check:
    """Asked to stop, it ends by itself within its grace, and what it wrote is kept.

    Args:
        first: the first run.
        asked: the one that was asked to stop, None where there was none.
        long: whether that was given inputs that keep it busy, so that it had work left.
    """
    if asked is None and not first.answered:
        return Check("sigterm", "not tried", "it failed on its inputs")
    hint = "give inputs that keep it busy for seconds: --long name=value"
    last = first if asked is None else asked
    took = last.sight.took_s
    if asked is None or took is None or asked.failure is None or asked.kind != "cancelled":
        wall = last.run.measured.get("wall_s") or 0.0
        why = f"it ended after {wall:.1f} s, before it could be asked to stop"
        return Check("sigterm", "not tried", why, hint)
    grace = float(asked.run.resources["grace"])
    evidence = asked.failure.evidence
    # By the signal too: an engine may tell of an end only when its container was killed already.
    if evidence.get("killed_by") == "kedge" and evidence.get("signal") == signal.SIGKILL:
        return Check(
            "sigterm",
            "failed",
            f"it had not ended {grace:g} s after SIGTERM, its grace, and was killed",
            "a shell script starts its program with `exec`, or has a `trap` for TERM and waits for what"
            " it started in the background (`program & wait`); other programs have a handler that ends"
            " them, or none; `grace` in resources is how long it may take",
        )
    lost = [path for path in asked.sight.left.kept if not _is_kept(asked.run, path)]
    if lost:
        return Check("sigterm", "failed", f"the record lacks {_listed(lost)}")
    # How long two runs took says nothing sure of their ends: one may have waited for the machine.
    if evidence.get("exit_code") == 0 and (not long or took > _AT_ONCE_S):
        why = f"it ended {took:.1f} s after SIGTERM with 0, most likely since its work was done"
        return Check("sigterm", "not tried", why, hint)
    kept = _listed([f"out/{path}" for path in asked.sight.left.kept])
    why = f"it ended {took:.1f} s after SIGTERM; kept: {kept or 'nothing, since it wrote nothing'}"
    return Check("sigterm", "passed", why)


def writes(every: Sequence[Tried], freed: Tried | None, *, asked_for: bool) -> Check:
    """It writes to its own folders and nowhere else.

    Args:
        every: the runs.
        freed: one that succeeded, other than these, as the image's user and with a root that it may
            write to.
        asked_for: whether the manifest asks for such a root.
    """
    hint = "write to `$KEDGE_SCRATCH` or /tmp"
    changed = sorted({path for one in every for path in one.sight.changed or ()})
    if freed is not None and freed.sight.changed:
        why = f"it fails unless it may write to its image: {_listed(freed.sight.changed)}"
        hint += ", or say `writable: true` under `runtime` and open those folders to all"
        return Check("writes", "failed", why, hint)
    if asked_for and changed:
        why = f"`writable: true` is asked for, and it wrote {_listed(changed)}"
        return Check("writes", "failed", why, f"{hint}, and leave `writable` out")
    if asked_for:
        why = "`writable: true` is asked for, and it wrote only to its own folders"
        return Check("writes", "passed", why, "leave `writable` out")
    if not every[0].answered:
        return Check("writes", "not tried", "it failed on its inputs")
    open_places = sorted({path for one in every for path in one.sight.mounts or ()})
    if open_places:
        why = f"it can write to {_listed(open_places)}"
        return Check("writes", "failed", why, "leave VOLUME out of the image")
    if any(one.sight.shares_root for one in every):
        if not abi():
            why = "nothing here keeps it to its own folders"
            return Check("writes", "not tried", why, "run it in the sandbox: `kedge doctor`")
        return Check("writes", "passed", "Landlock keeps it to its own folders, and it ran so")
    if all(one.sight.mounts is None for one in every):
        return Check("writes", "not tried", "it ended before it could be looked at", _LONGER)
    return Check("writes", "passed", "everything else was read-only, and it ran so")


def user(every: Sequence[Tried], freed: Tried | None, *, as_its_user: bool) -> Check:
    """It needs no account of its own, and none of its processes is root on this machine.

    Args:
        every: the runs.
        freed: as in `writes`.
        as_its_user: whether the manifest asks for the image's own user.
    """
    if freed is not None and not freed.sight.changed:
        hint = "open to all what it reads, or say `user: image` under `runtime`"
        return Check("user", "failed", "it fails unless it is the image's own user", hint)
    users = {number for one in every for number in one.sight.users}
    owners = {number for one in every for number in one.sight.owners}
    if 0 in users | owners:
        what = "its processes are" if 0 in users else "its files belong to"
        hint = "see `kedge doctor`: Kedge has no other account for it here"
        if as_its_user:
            hint = "name another user in the image (`USER 1000`), or leave `user: image` out"
        return Check("user", "failed", f"{what} root on this machine", hint)
    if not users | owners:
        return Check("user", "not tried", "it ended before it could be looked at", _LONGER)
    what = "its processes were" if users else "its files belonged to"
    return Check("user", "passed", f"{what} user {min(users or owners)} on this machine, not root")


def progress(every: Sequence[Tried]) -> Check:
    """What it writes of its progress can be read."""
    for one in every:
        if one.sight.left.malformed:
            hint = 'append one JSON object a line: {"step": 1, "total": 10, "message": "…"}'
            return Check("progress", "failed", one.sight.left.malformed, hint)
    lines = max(one.sight.left.lines for one in every)
    return Check("progress", "passed", f"{lines} events in a run" if lines else "none written")


def shapes(run: record.Run) -> dict[str, Any]:
    """The outputs of a run as the types of their values, and the extensions of files."""
    found: dict[str, Any] = {port: shape(value) for port, value in run.outputs.items()}
    for port, entry in run.output_files.items():
        paths = record.paths(entry)
        named = sorted(
            {_extension(path) for path in ([paths] if isinstance(paths, str) else paths)}
        )
        found[port] = f"file {'/'.join(named)}"
    return found


def shape(value: Any) -> Any:
    """What a value of JSON is made of; the items of a list may be of any number.

    >>> shape({"x": [1, 2.5], "label": "a"})
    {'x': 'list', 'label': 'text'}
    """
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "null"


def differing(one: Any, other: Any, path: str = "") -> str:
    """Where two shapes differ, as words; empty where they do not.

    >>> differing({"x": "number"}, {"x": "text"})
    '`x` was a number, then a text'
    """
    if one == other:
        return ""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            place = f"{path}.{name}" if path else name
            if name not in one or name not in other:
                return f"`{place}` came only {'the first' if name in one else 'the second'} time"
            if said := differing(one[name], other[name], place):
                return said
    words = ["an object" if isinstance(found, dict) else f"a {found}" for found in (one, other)]
    return f"`{path}` was {words[0]}, then {words[1]}"


def undeclared(run: record.Run, ports: Ports) -> list[str]:
    """What a run wrote that no port declares, as it was set aside when its outputs were taken."""
    aside = os.path.join(run.folder, "undeclared")
    found = []
    for place, _, names in os.walk(aside):
        below = os.path.relpath(place, aside)
        found += [os.path.normpath(os.path.join("out", below, name)) for name in names]
    if "out/data.json" in found:  # set aside for the sake of some of its values
        found.remove("out/data.json")
        values = parse_object(read_file(os.path.join(aside, "data.json"), DATA_LIMIT))
        found += [f"{name} in out/data.json" for name in values.keys() - ports.properties.keys()]
    return sorted(found)


def _is_kept(run: record.Run, path: str) -> bool:
    places = (run.folder, os.path.join(run.folder, "undeclared"))
    return any(os.path.lexists(os.path.join(place, path)) for place in places)


def _extension(path: str) -> str:
    name = os.path.basename(path)
    return name[name.find(".") :] if "." in name else "without extension"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(f"`{path}`" for path in paths[:_NAMED]) + more
