"""A state: something that a project wants to be so, and the function that brings it about."""

TYPE_CHECKING = False  # without `typing`, which costs as much as all of a start with nothing to do
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import overload

    from kedge.primer.context import Context

    Function = Callable[[Context], object]


class State:
    """What `state` makes of a function. A ready-made one takes its name from the variable it is given to.

    Args:
        function: brings the state about; its context is the only argument.
        name: what it is called; None for that of the variable in the module of states.
        needs: states that are reached before it.
        inputs: files, folders and patterns (`*`, `?`, `**`) below the root: what it is made from.
        outputs: paths below the root that are there when it is reached.
        check: asked at each start; False when the state has to be reached anew.
        skip_if: a reason, or True, where the state is not wanted at all.
        always: reach it at each start.
        default: among the goals when none is named.
        replaces: the state that this one stands for, everywhere. Its needs and inputs are this one's too, and
            so are its outputs, check, skip_if, always and default unless they are given.
    """

    __slots__ = (
        "always", "check", "default", "function", "inputs", "name", "named", "needs", "outputs",
        "replaces", "skip_if",
    )  # fmt: skip

    def __init__(
        self,
        function: "Function",
        *,
        name: str | None = None,
        needs: "Iterable[State]" = (),
        inputs: "Iterable[str]" = (),
        outputs: "Iterable[str]" = (),
        check: "Callable[[Context], bool] | None" = None,
        skip_if: "Callable[[Context], str | bool | None] | None" = None,
        always: bool = False,
        default: bool = False,
        replaces: "State | None" = None,
    ) -> None:
        self.function = function
        self.named = name is not None
        self.name = function.__name__ if name is None else checked_name(name)
        self.replaces = replaces
        self.needs = states_of(self.name, needs)
        self.inputs = paths_of(self.name, "inputs", inputs)
        self.outputs = paths_of(self.name, "outputs", outputs)
        self.check = check
        self.skip_if = skip_if
        self.always = always
        self.default = default
        if replaces is not None:
            self.needs = (*self.needs, *(one for one in replaces.needs if one not in self.needs))
            self.inputs = tuple(dict.fromkeys([*self.inputs, *replaces.inputs]))
            self.outputs = self.outputs or replaces.outputs
            self.check = check or replaces.check
            self.skip_if = skip_if or replaces.skip_if
            self.always = always or replaces.always
            self.default = default or replaces.default

    def __repr__(self) -> str:
        return f"<state {self.name}>"

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def place(self) -> str:
        """File and line where its function stands."""
        code = getattr(self.function, "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else "somewhere"

    def reach(self, ctx: "Context") -> object:
        """Call the function as it is: for a state that replaces this one."""
        return self.function(ctx)


if TYPE_CHECKING:

    @overload
    def state(function: Function, /) -> State: ...
    @overload
    def state(
        *,
        needs: Iterable[State] = ...,
        inputs: Iterable[str] = ...,
        outputs: Iterable[str] = ...,
        check: Callable[[Context], bool] | None = ...,
        skip_if: Callable[[Context], str | bool | None] | None = ...,
        always: bool = ...,
        default: bool = ...,
        replaces: State | None = ...,
    ) -> Callable[[Function], State]: ...
    def state(*args: object, **options: object) -> object: ...

else:

    def state(function=None, /, **options):
        """Make a function a state; options are those of `State` but its name, which is the function's.

        >>> from kedge.primer import Context, state
        >>> @state(outputs=["greeting.txt"])
        ... def greeting(ctx: Context) -> None:
        ...     "A greeting is written."
        ...     (ctx.root / "greeting.txt").write_text("hello")
        >>> greeting
        <state greeting>
        """
        if function is not None:
            return State(function, name=function.__name__)
        return lambda function: State(function, name=function.__name__, **options)


def checked_name(name: str) -> str:
    """The name, if a file can be called so and a command line can say it."""
    if name.startswith("-") or not name.replace("-", "_").isidentifier():
        from kedge.errors import UsageError

        raise UsageError(f"{name!r} is no name of a state", hint="letters, digits, `_` and `-`")
    return name


def states_of(name: str, given: "Iterable[State]") -> "tuple[State, ...]":
    """What a state needs, if they are states."""
    found = tuple(dict.fromkeys((given,) if isinstance(given, State) else given))
    for one in found:
        if not isinstance(one, State):
            from kedge.errors import UsageError

            raise UsageError(
                f"`{name}` needs {one!r}, which is no state",
                hint="write the state itself, not its name; `@state` makes one of a function",
            )
    return found


def paths_of(name: str, which: str, given: "Iterable[str]") -> tuple[str, ...]:
    """Paths as they are declared, if they are a list of texts."""
    found = (given,) if isinstance(given, str) else tuple(given)
    if isinstance(given, str) or not all(isinstance(one, str) for one in found):
        from kedge.errors import UsageError

        raise UsageError(
            f"the {which} of `{name}` are {given!r}, not a list of texts",
            hint=f'write {which}=["{found[0] if found else ""}"]',
        )
    return found
