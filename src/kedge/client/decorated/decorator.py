"""`kedge.function`: a Python function with what it needs, run in a runtime of its own."""

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from kedge.client import hints
from kedge.client.decorated.authored import authored
from kedge.client.decorated.declaration import declared
from kedge.client.decorated.remote import is_remote
from kedge.errors import KedgeError, Unavailable, UsageError
from kedge.task import Published

if TYPE_CHECKING:
    from kedge.client.decorated.calls import Calls, Service
    from kedge.client.decorated.declaration import Declaration
    from kedge.client.handle import Run

_PORT_NAME: Final = "port"  # of the parameter that makes a function serve
_PORT: Final = 8000
_HOST_NAME: Final = "host"
_HOST: Final = "127.0.0.1"
_NO_SERVER: Final = "there is no Kedge server yet to publish a function to"


def function(
    function: Callable[..., Any] | None = None,
    /,
    *,
    pip: "Iterable[str] | str | os.PathLike[str]" = (),
    apt: Iterable[str] = (),
    run_commands: Iterable[str] = (),
    copy: "Iterable[str | os.PathLike[str]] | Mapping[str, str]" = (),
    python_version: str | None = None,
    name: str | None = None,
    base_image: str | None = None,
    cpu: float | None = None,
    memory: int | None = None,
    timeout: float | None = None,
    gpu: int | None = None,
    network: bool = False,
    env: Mapping[str, str] | None = None,
    secrets: Iterable[str] | Mapping[str, str] = (),
    retries: int | Mapping[str, Any] | None = None,
    cache: bool | None = None,
    executor: str = "auto",
    unpickle: str = "safe",
    key: str | None = None,  # noqa: ARG001 - there is no server yet
    server: str | None = None,  # noqa: ARG001
) -> Any:
    """A decorator: the function can still be called here, and `.run(…)` runs it in a runtime of its own.

    Also with the function as the first argument, for one that is not decorated where it stands.

    Args:
        function: what is decorated, if it is given here.
        pip: requirement strings, or the path of a requirements or lock file.
        apt: Debian packages; these, `run_commands` and `base_image` need a container.
        run_commands: shell commands that are run when the image is built.
        copy: files and folders to ship; a list of paths relative to the function's file, or a dictionary
            of sources and destinations. They are in the working directory, and can be imported.
        python_version: minor version, such as "3.12"; only this program's own.
        name: of function and image; by default the function's.
        base_image: the image to build on; nothing is assumed to be in it.
        cpu: CPUs that a run may use.
        memory: MiB of memory.
        timeout: seconds that a run may take.
        gpu: number of GPUs.
        network: whether a run may use this machine's network.
        env: further variables.
        secrets: names of secrets, which are variables inside; or variables with names of secrets.
        retries, cache: as in a manifest; nothing acts on them yet.
        executor: `auto`, `sandbox`, `process`, `docker` or `podman`.
        unpickle: `safe` takes plain data, arrays, data frames and your own classes back from a run; `any`
            whatever there is, which can run code here.
        key, server: for `.deploy`.

    Raises:
        UsageError: options that mean nothing, all of them.

    >>> import kedge
    >>> @kedge.function(pip=["numpy"])
    ... def mean(values):
    ...     import numpy as np
    ...
    ...     return float(np.mean(values))
    >>> mean.run([1, 2, 3, 4, 5])
    3.0
    """
    options = {
        "pip": pip, "apt": apt, "run_commands": run_commands, "copy": copy,
        "python_version": python_version, "name": name, "base_image": base_image, "cpu": cpu,
        "memory": memory, "timeout": timeout, "gpu": gpu, "network": network, "env": env,
        "secrets": secrets, "retries": retries, "cache": cache, "executor": executor,
        "unpickle": unpickle,
    }  # fmt: skip
    if function is None:
        return lambda decorated: Decorated(decorated, options)
    return Decorated(function, options)


@final
class Decorated:
    """A function with what it needs. To call it is to call the function, here and now."""

    __kedge_decorated__ = True

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        with hints.shown():
            if isinstance(function, Decorated):
                function = function.__wrapped__
            if not callable(function) or isinstance(function, type):
                raise UsageError(
                    f"{function!r} is no function", hint="decorate a function: `def`, or a lambda"
                )
            self._declaration = declared(function, options)
        self._wrap(function)

    def _wrap(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__: Callable[..., Any] = function
        self._lock = threading.Lock()
        self._made: Calls | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the function, here."""
        return self.__wrapped__(*args, **named)

    def __get__(self, instance: Any, owner: type | None = None) -> "Decorated":
        """Bound to an object, as a function would be; the object travels with each call."""
        bind = getattr(self.__wrapped__, "__get__", None)
        if instance is None or bind is None:
            return self
        bound = object.__new__(Decorated)
        bound._declaration = self._declaration
        bound._wrap(bind(instance, owner))
        return bound

    def __reduce__(self) -> str:
        name: str | None = getattr(self.__wrapped__, "__qualname__", None)
        if name is None:
            raise TypeError(f"{self!r} cannot be pickled: it has no name in a module")
        return name

    def __repr__(self) -> str:
        return f"<kedge.function {self._declaration.name}>"

    def run(self, /, *args: Any, **named: Any) -> Any:
        """Run it in its runtime, and wait. What it prints appears here, as it comes.

        A generator function gives an iterator of what it yields, while it goes on. One that has a parameter
        `port` can be reached at that port of this machine meanwhile; `host` says at which of its addresses
        (127.0.0.1; all by "0.0.0.0"), where the function has no parameter of that name itself.

        Raises:
            Exception: what the function raises, with its remote traceback as a note.
            RunFailed: the run failed otherwise; the subclass says how.
            KedgeError: it could not be run.
        """
        try:
            return self._calls().run(*self._bound(args, named))
        except Exception as error:
            if isinstance(error, KedgeError) or is_remote(error):
                error.with_traceback(None)  # where in Kedge it was says nothing
            raise

    def submit(self, /, *args: Any, **named: Any) -> "Run":
        """Run it and go on; some at once, the others when it is their turn.

        Raises:
            UsageError: it is a generator function.
            KedgeError: it cannot be run.
        """
        self._refuse_items("submitted", "call `.run`, which gives them as they come")
        return self._calls().submit(*self._bound(args, named))

    def serve(self, /, *args: Any, port: int | None = None, **named: Any) -> Any:
        """`run` for what serves at a port until it is interrupted (Ctrl-C), which is its regular end here.

        Args:
            args, named: the function's arguments.
            port: where it is to be reached.

        Raises:
            UsageError: the function has no parameter `port`, or the port is in use.
            KedgeError: as `run` does.
        """
        self._check_serves()
        try:
            return self.run(*args, **self._with_port(port, len(args)), **named)
        except KeyboardInterrupt:
            return None

    def map(
        self,
        cases: Iterable[Any],
        *more: Iterable[Any],
        jobs: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = True,
    ) -> Iterator[Any]:
        """Run it for each of many arguments, some at once; their results as they come.

        Nothing is run before the first result is asked for. One that fails does not keep the others from
        running: the errors of all are raised together, at the end.

        Args:
            cases: the first argument of each call; `more` the others, as for Python's `map`.
            jobs: how many at once; None: as many as have the CPUs that the function may use.
            ordered: in the order of the arguments, else as they are done.
            return_exceptions: whether errors take the place of results.
            progress: whether to show a bar where standard error is a terminal.

        Raises:
            ExceptionGroup: the errors of the calls that failed, each with a note which that was.
            KedgeError: it could not be run.
        """
        columns = (cases, *more)
        lengths = [len(one) for one in columns if isinstance(one, Sized)]
        return self._mapped(
            zip(*columns, strict=False),
            min(lengths) if len(lengths) == len(columns) else None,
            jobs=jobs,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
        )

    def starmap(
        self,
        cases: Iterable[Iterable[Any]],
        *,
        jobs: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = True,
    ) -> Iterator[Any]:
        """`map` for arguments that come as tuples."""
        return self._mapped(
            cases,
            len(cases) if isinstance(cases, Sized) else None,
            jobs=jobs,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
        )

    def _mapped(
        self, cases: Iterable[Iterable[Any]], length: int | None, **wanted: Any
    ) -> Iterator[Any]:
        jobs = wanted["jobs"]
        with hints.shown():
            if jobs is not None and (
                isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1
            ):
                raise UsageError(f"`jobs` is {jobs!r}", hint="give a whole number above 0")
        self._refuse_items("mapped", "have it return a list, or call `.run` for each")
        from kedge.client.carrying import carried

        return carried(self._calls().map(cases, length=length, **wanted))

    def build(self, /, *args: Any, **named: Any) -> str:
        """Build an image that makes this one call wherever a container engine runs it, without Kedge.

        It prints what comes of the call as JSON and ends with 0, or with 1 when it fails; what serves, serves.

        Returns:
            Its tag, `kedge/<name>:deploy-<digest>`.

        Raises:
            Unavailable: no container engine works here.
            EnvironmentFailed: it cannot be built.
        """
        return self._calls().build(*self._bound(args, named))

    def lock(self, *, upgrade: bool | str = False) -> str | None:
        """Resolve what `pip` names, or look it up; the path of the lock, None when nothing is needed.

        The versions that were resolved first stay, for all functions that need the same. A file that `pip` names is
        not changed, and the exact versions in it stay.

        Args:
            upgrade: True takes newer versions of everything, a name of that package.

        Raises:
            EnvironmentFailed: it cannot be resolved.
        """
        return self._calls().lock(upgrade)

    @hints.shown()
    def deploy(self, /, *_args: Any, **_named: Any) -> NoReturn:
        """Publish it to a Kedge server.

        Raises:
            Unavailable: there is none yet.
        """
        raise Unavailable(_NO_SERVER, hint="`.build()` makes an image that runs anywhere")

    @property
    def _yields(self) -> bool:
        function = authored(self.__wrapped__)
        return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    def _with_port(self, port: int | None, given: int) -> dict[str, int]:
        """The argument that says where to serve; none where it is given by place, or the function has its own."""
        if port is not None:
            return {_PORT_NAME: port}
        parameters = self._parameters() or {}
        is_given = list(parameters).index(_PORT_NAME) < given
        has_own = parameters[_PORT_NAME].default is not inspect.Parameter.empty
        return {} if is_given or has_own else {_PORT_NAME: _PORT}

    @hints.shown()
    def _check_serves(self) -> None:
        if _PORT_NAME not in (self._parameters() or ()):
            raise UsageError(
                f"`{self._declaration.name}` has no parameter `port`, so it cannot be told where to serve",
                hint="def server(port): …",
            )

    @hints.shown()
    def _refuse_items(self, what: str, hint: str) -> None:
        """Refuse what would leave nobody to take the items of a generator."""
        if self._yields:
            raise UsageError(
                f"`{self._declaration.name}` is a generator function, which cannot be {what}",
                hint=hint,
            )

    def _parameters(self) -> Mapping[str, inspect.Parameter] | None:
        """Its parameters; None of a function that is written in C and does not say."""
        try:
            return inspect.signature(self.__wrapped__).parameters
        except (ValueError, TypeError):
            return None

    def _bound(
        self, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Published | None]:
        """The arguments, and where the function serves by them.

        Raises:
            TypeError: they do not fit, as a call would say.
        """
        parameters = self._parameters()
        if parameters is None:
            return args, named, None
        host = _HOST
        if _PORT_NAME in parameters and _HOST_NAME not in parameters:
            host = named.pop(_HOST_NAME, _HOST)
        try:
            bound = inspect.Signature(list(parameters.values())).bind(*args, **named)
        except TypeError as error:
            raise TypeError(f"`{self._declaration.name}`: {error}") from None
        bound.apply_defaults()
        port = bound.arguments.get(_PORT_NAME)
        if _PORT_NAME not in parameters or port is None:
            return args, named, None
        if type(port) is not int:
            with hints.shown():
                raise UsageError(
                    f"`port` is {port!r}, which is no port to serve at",
                    hint="give a whole number, or call a parameter otherwise that is for something else",
                )
        # It listens there itself; in a container that is not this machine.
        if _HOST_NAME in parameters:
            host = bound.arguments[_HOST_NAME] or _HOST
        return args, named, Published(port, host)

    def _calls(self) -> "Calls":
        """What runs it, made with the first run."""
        with self._lock:
            if self._made is None:
                from kedge.client.decorated.calls import Calls

                self._made = Calls(self.__wrapped__, self._declaration, yields=self._yields)
            return self._made


def service(function: Decorated, port: int, host: str | None = None) -> "Service":
    """A function as it is now, ready to serve at a port.

    Args:
        function: what has a parameter `port`.
        port: where it is to be reached.
        host: at which address of this machine; None: as the function says, or 127.0.0.1.

    Raises:
        UsageError: it has no parameter `port`.
        KedgeError: it cannot be made ready.
    """
    function._check_serves()
    named = {_PORT_NAME: port} | ({} if host is None else {_HOST_NAME: host})
    args, named, publish = function._bound((), named)
    assert publish is not None
    return function._calls().service(args, named, publish)


def declaration_of(function: Decorated) -> "Declaration":
    """What a function was declared to need."""
    return function._declaration
