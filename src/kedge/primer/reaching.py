"""Whether states are as they should be, and making them so.

A state is fresh when it was reached with the key that it has, its outputs are there and its check says yes.
One that is not is reached under its lock, where it is looked at again: another start may have reached it.
"""

import os

from kedge.primer.context import Context
from kedge.primer.inputs import contents
from kedge.primer.keys import differences, digest_of, key_of
from kedge.primer.records import BEGUN, Record
from kedge.primer.source import source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kedge.primer.graph import Graph
    from kedge.primer.records import Place
    from kedge.primer.states import State

SKIPPED = "skipped"  # the digest of a state that is not wanted here


class Standing:
    """How one state stands.

    Args:
        key: the key that it has now.
        digest: the key's.
        reasons: why it is stale; empty for one that is not.
        value: what its function returned when it was reached, as JSON; None where it never was.
        skipped: why it is not wanted, None where it is.
        memory: what was read of its inputs, if that is new.
    """

    __slots__ = ("digest", "key", "memory", "reasons", "skipped", "value")

    def __init__(
        self,
        key: str,
        digest: str,
        reasons: list[str],
        value: str | None = None,
        skipped: str | None = None,
        memory: bytes | None = None,
    ) -> None:
        self.key = key
        self.digest = digest
        self.reasons = reasons
        self.value = value
        self.skipped = skipped
        self.memory = memory


class Start:
    """One start: a graph at a place, and how its states were found.

    Args:
        graph: the project's states.
        place: where the project is.
        goals: the states that are wanted.
        verbose: whether tools' output is shown, and what is skipped.
    """

    def __init__(
        self, graph: "Graph", place: "Place", goals: "list[State]", verbose: bool = False
    ) -> None:
        self.graph = graph
        self.goals = goals
        self.order = graph.order(goals)
        self.place = place
        self.verbose = verbose
        self.during: str | None = None  # the state whose functions are being called
        self.standings: dict[str, Standing] = {}
        self.given = frozenset(
            os.path.normpath(path) for state in graph.states.values() for path in state.outputs
        )
        # Before anything is executed, since that may change what functions use.
        self.sources = {state.name: source_of(state, place.root) for state in self.order}

    def reach(self, anew: bool = False) -> None:
        """Bring the goals about, and what they need first; `anew` the goals though they are fresh."""
        for state in self.order:
            self.during = state.name
            standing = self.look(state, anew and state in self.goals)
            if standing.memory is not None:
                self.place.remember(state.name, standing.memory, "inputs")
            if standing.reasons:
                standing = self.reach_locked(state, anew and state in self.goals)
            elif standing.skipped and self.verbose:
                self.context(state).say(f"skipped: {standing.skipped}")
            self.standings[state.name] = standing
        self.during = None

    def look(self, state: "State", anew: bool = False) -> Standing:
        """How a state stands; what it needs was looked at before. Executes its `skip_if` and `check` alone."""
        if state.skip_if is not None:
            why = state.skip_if(self.context(state))
            if why:
                said = why if isinstance(why, str) else "it is not wanted"
                return Standing("", SKIPPED, [], skipped=said)
        held, memory = "", None
        if state.inputs:
            known = self.place.read(state.name, "inputs")
            held, memory = contents(self.place.root, state.inputs, self.given, known)
        needs = {one.name: self.standings[one.name].digest for one in self.graph.needs(state)}
        key = key_of(self.sources[state.name], needs, held)
        data = self.place.read(state.name)
        record = Record.of(data)
        reasons = ["it is reached at each start"] if state.always else []
        reasons += ["it is asked for anew"] if anew else []
        if record is None:
            reasons.append(
                "it was never reached" if data is None else "it was begun and not finished"
            )
            return Standing(key, digest_of(key), reasons, memory=memory)
        if record.key != key:
            stale = {name for name, one in self.standings.items() if one.reasons}
            reasons += differences(record.key, key, stale)
            return Standing(key, digest_of(key), reasons, record.value, memory=memory)
        reasons += self.lacking(state)
        return Standing(key, record.digest, reasons, record.value, memory=memory)

    def lacking(self, state: "State") -> list[str]:
        """What a state has not, though it was reached: outputs, or what its check looks for."""
        root = self.place.root
        reasons = [
            f"output `{path}` is not there"
            for path in state.outputs
            if not os.path.exists(os.path.join(root, path))
        ]
        if not reasons and state.check is not None and not state.check(self.context(state)):
            reasons.append("its check says no")
        return reasons

    def context(self, state: "State") -> Context:
        """The context that a state's functions are given."""
        return Context(state, self)

    def reach_locked(self, state: "State", anew: bool) -> Standing:
        """Reach a state that was found stale, unless another start does it meanwhile."""
        from kedge.primer.interrupts import raised
        from kedge.primer.progress import Line, say

        lock = self.place.lock(state.name, lambda: say(f"{state.name}: another start reaches it"))
        try:
            standing = self.look(state, anew)
            if standing.reasons:
                self.place.write(state.name, BEGUN)
                with raised(), Line(state.name, standing.reasons[0], self.verbose):
                    value = as_json(state.function(self.context(state)))
                    self.demand(state)
                self.place.write(
                    state.name, Record(standing.key, standing.digest, value).to_bytes()
                )
                standing = Standing(standing.key, standing.digest, [], value)
        finally:
            os.close(lock)
        return standing

    def demand(self, state: "State") -> None:
        """Raise what a state has not though its function has just ended."""
        lacking = self.lacking(state)
        if lacking:
            from kedge.errors import ContractError

            raise ContractError(
                f"its function has ended, but {' and '.join(lacking)}",
                hint="what `outputs` and `check` say has to hold when the function has ended",
            )


def as_json(value: object) -> str:
    """What a state returned, as it is recorded."""
    import json

    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        from kedge.errors import ContractError

        raise ContractError(
            f"what it returned cannot be kept as JSON: {error}",
            hint="return texts, numbers, lists and objects of these, or nothing",
        ) from None
