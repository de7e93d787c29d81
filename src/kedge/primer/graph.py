"""States and what they need: who stands for whom, which are goals, in which order they are reached."""

from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType


class Graph:
    """The states of a project, each under its name, replaced ones resolved.

    Args:
        states: those that the project names; what they need and replace is found from them.

    Raises:
        UsageError: names that two have, two that replace the same one, or states that need each other.
    """

    __slots__ = ("_instead", "_known", "states")

    def __init__(self, states: "Iterable[State]") -> None:
        found = everything(states)
        self._instead: dict[State, State] = {}
        for one in found:
            if one.replaces is not None:
                other = self._instead.setdefault(one.replaces, one)
                if other is not one:
                    wrong(
                        f"`{other.name}` and `{one.name}` both replace `{one.replaces.name}`",
                        "let one of them replace the other",
                    )
        self.states: dict[str, State] = {}
        for one in found:
            if one not in self._instead:
                other = self.states.setdefault(one.name, one)
                if other is not one:
                    wrong(
                        f"two states are called `{one.name}`: {other.place} and {one.place}",
                        "rename one; a ready-made state is called as the variable it is given to",
                    )
        self._known = {one.name: self.standing(one) for one in found} | self.states
        self.order(list(self.states.values()))  # no circle, also among what nobody asks for

    @staticmethod
    def of(module: "ModuleType") -> "Graph":
        """The graph of all states that a module has in its variables, and of what they need and replace."""
        states = named(vars(module))
        for one in everything(states):
            named(getattr(one.function, "__globals__", {}))  # where its module names what it needs
        return Graph(states)

    def standing(self, state: State) -> State:
        """The state itself, or the one that replaces it."""
        while state in self._instead:
            state = self._instead[state]
        return state

    def needs(self, state: State) -> list[State]:
        """What a state needs, replaced ones resolved."""
        return list(dict.fromkeys(self.standing(one) for one in state.needs))

    def goals(self, names: "Iterable[str]" = ()) -> list[State]:
        """The states that are named; without names the default ones, or else all that no other needs.

        Raises:
            UnknownName: a name that no state has.
        """
        named = list(names)
        if not named:
            needed = {need for one in self.states.values() for need in self.needs(one)}
            default = [one for one in self.states.values() if one.default]
            return default or [one for one in self.states.values() if one not in needed]
        for name in named:
            if name not in self._known:
                unknown(name, list(self._known))
        return list(dict.fromkeys(self._known[name] for name in named))

    def order(self, goals: "Iterable[State]") -> list[State]:
        """The goals and all that they need, what is needed first.

        Raises:
            UsageError: states that need each other in a circle.
        """
        done: dict[State, None] = {}
        for goal in goals:
            path = {goal: iter(self.needs(goal))}  # from the goal down to where the search is
            while path:
                state = next(reversed(path))
                need = next(path[state], None)
                if need is None:
                    done[state] = path.pop(state)  # type: ignore[assignment]
                elif need in path:
                    names = [one.name for one in path]
                    circle = " → ".join([*names[names.index(need.name) :], need.name])
                    wrong(
                        f"states need each other in a circle: {circle}",
                        "one of them has to do without the next",
                    )
                elif need not in done:
                    path[need] = iter(self.needs(need))
        return list(done)


def named(variables: "Mapping[str, object]") -> list[State]:
    """The states among variables; those without a name get that of their variable."""
    states = []
    for variable, value in variables.items():
        if isinstance(value, State):
            if not value.named:
                value.name, value.named = variable, True
            states.append(value)
    return states


def everything(states: "Iterable[State]") -> list[State]:
    """The states, and whatever they need and replace."""
    found: dict[State, None] = {}
    waiting = list(states)[::-1]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += one.needs if one.replaces is None else (*one.needs, one.replaces)
    return list(found)


def wrong(what: str, hint: str) -> None:
    """Raise that a graph makes no sense."""
    from kedge.errors import UsageError

    raise UsageError(what, hint=hint)


def unknown(name: str, known: list[str]) -> None:
    """Raise that there is no such state, with the nearest names that there are."""
    from difflib import get_close_matches

    from kedge.errors import UnknownName

    near = get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known)
    names = ", ".join(f"`{one}`" for one in near)
    hint = f"there is {names}" if near else "the module has no states yet"
    raise UnknownName(f"there is no state `{name}`", hint=hint)
