"""What calls a decorated function inside its runtime: it reads a call, and writes what came of it.

Kedge puts this file as `_kedge_call.py` into the package that it writes for a decorated function, beside
`_kedge_call.json` and cloudpickle; so it imports nothing of Kedge. Both sides use it: `write` and `read`
are how a call and an answer are laid out in a file.

    8 bytes    what this is, with the layout's number
    8 bytes    the length of the head, little-endian
    head       JSON; `parts` has the length of each part
    parts      each at a multiple of 64 bytes

The first parts are pickles (protocol 5), the others their buffers, so that an array is written once and
used where the file is mapped into memory.
"""

import errno
import io
import json
import os
import pickle
import sys
import time
from _thread import RLock
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, wraps
from importlib import import_module
from types import FunctionType
from typing import Any, Final, NoReturn

NAME: Final = "_kedge_call"  # of this module inside
DECORATED: Final = "__kedge_decorated__"  # an attribute of the class of what `kedge.function` makes
RUNNER: Final = "_kedge_runner"  # of the runner, in an image that stands alone
ALONE: Final = f"{NAME}.frames"  # of the call in such an image
CALL: Final = "call"  # the input
RESULT: Final = "result"  # the output
APART: Final = "apart"  # in the head of an exception: that its second part has what is in it apart
ITEMS: Final = "items"  # the output folder of what a generator yields, a file an item

# Of items that nobody has taken yet, before a generator waits.
_AHEAD: Final = 256
_AHEAD_BYTES: Final = 1 << 26

_MAGIC: Final = b"kedge\x00\x01\n"
_ALIGNED: Final = 64  # bytes: what vector instructions like best
_HEAD_LIMIT: Final = 1 << 24  # bytes
_MAPPED: Final = 1 << 16  # bytes from which on a file is mapped and not read
# A file of which so much is hole (one seek makes a terabyte) is not copied into memory.
_HOLLOW_BYTES: Final = 1 << 26
_HOLLOW_TIMES: Final = 16
_HOLLOW: Final = "most of it is a hole"
_NUMPY_1, _NUMPY_2 = "numpy.core.", "numpy._core."
_POLL_S: Final = 0.002  # seconds between two looks whether an item was taken
_SHOWN: Final = 2000  # characters of a text that is told about what could not be pickled
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_SOURCE_LIMIT: Final = 1 << 18  # characters of a file that tracebacks show lines of
_SOURCES_LIMIT: Final = 16  # files
_PART_BYTES: Final = 1 << 20  # of what is in an exception; of more the text has to do


class FramesError(ValueError):
    """A file is not what `write` wrote."""


# ---- files --------------------------------------------------------------------------------------------


def write(path: str, head: dict[str, Any], parts: Iterable[Any]) -> None:
    """Write a file at once: whoever looks sees all of it or nothing.

    Args:
        path: where.
        head: plain values; `parts` is added.
        parts: bytes, or what has a buffer that is in one piece.
    """
    views = [memoryview(part).cast("B") if part else memoryview(b"") for part in map(_raw, parts)]
    text = json.dumps(head | {"parts": [view.nbytes for view in views]}).encode()
    at = len(_MAGIC) + 8 + len(text)
    pieces = [memoryview(_MAGIC + len(text).to_bytes(8, "little") + text)]
    for view in views:
        padding = -at % _ALIGNED
        pieces += [memoryview(bytes(padding)), view]
        at += padding + view.nbytes
    partial = f"{path}.partial"
    try:
        with open(partial, "xb", buffering=0) as file:
            _write_all(file.fileno(), [piece for piece in pieces if piece.nbytes])
        os.rename(partial, path)
    except BaseException:
        try:
            os.unlink(partial)  # on a full disk it would keep everybody from writing
        except OSError:
            pass
        raise


def read(path: str, *, mapped: bool = True) -> tuple[dict[str, Any], list[memoryview]]:
    """The head and the parts, which can be written to and are nobody else's.

    Args:
        path: where.
        mapped: whether a large file may be mapped; not one that somebody could still make shorter.

    Raises:
        FramesError: it is not such a file, or not whole.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        info = os.fstat(descriptor)
        size, copied = info.st_size, max(_HOLLOW_BYTES, info.st_blocks * 512 * _HOLLOW_TIMES)
        if mapped and size >= _MAPPED:
            import mmap

            whole = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY))
        elif size > copied:
            raise FramesError(_HOLLOW)
        else:
            content = bytearray(size)
            whole = memoryview(content)[: _read_all(file, content)]
    head, parts = _parsed(whole)
    pickles = parts[: 2 if head.get(APART) else 1]  # which are never used where they are mapped
    if any(part.nbytes > copied for part in pickles):
        raise FramesError(_HOLLOW)
    return head, parts


def _parsed(whole: memoryview) -> tuple[dict[str, Any], list[memoryview]]:
    start = len(_MAGIC) + 8
    if bytes(whole[: len(_MAGIC)]) != _MAGIC or whole.nbytes < start:
        raise FramesError("it does not begin as a call or an answer does")
    at = start + int.from_bytes(whole[len(_MAGIC) : start], "little")
    if at > min(whole.nbytes, start + _HEAD_LIMIT):
        raise FramesError("it ends within its head")
    try:
        head = json.loads(bytes(whole[start:at]))
        lengths = head["parts"]
        sound = all(type(length) is int and length >= 0 for length in lengths)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise FramesError("its head cannot be read")
    parts = []
    for length in lengths:
        at += -at % _ALIGNED
        if at + length > whole.nbytes:
            raise FramesError("it ends before its last part does")
        parts.append(whole[at : at + length])
        at += length
    return head, parts


def _raw(part: Any) -> Any:
    return part.raw() if isinstance(part, pickle.PickleBuffer) else part


def _write_all(descriptor: int, pieces: list[memoryview]) -> None:
    while pieces:
        done = os.writev(descriptor, pieces[:64])
        while pieces and done >= pieces[0].nbytes:
            done -= pieces.pop(0).nbytes
        if done:
            pieces[0] = pieces[0][done:]


def _read_all(file: Any, into: bytearray) -> int:
    at = 0
    view = memoryview(into)
    while at < len(into) and (count := file.readinto(view[at:])):
        at += count
    return at


def sources(names: Iterable[str]) -> dict[str, str]:
    """The text of the files that code was read from, for tracebacks where they are not; as far as it can be had."""
    import linecache

    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        with suppress(Exception):  # a loader of somebody else's may raise anything
            linecache.checkcache(name)
            text = "".join(linecache.getlines(name))
            if text and len(text) <= _SOURCE_LIMIT and len(found) < _SOURCES_LIMIT:
                found[name] = text
    return found


# ---- on the inside ------------------------------------------------------------------------------------


class Plain:
    """A decorated function where it runs: every way to call it is a plain call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", "function")
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it, here."""
        return self.__wrapped__(*args, **named)

    run = __call__

    def __get__(self, instance: Any, owner: type | None = None) -> "Plain":
        """Bound to an object, as a function would be."""
        bind = getattr(self.__wrapped__, "__get__", None)
        return self if instance is None or bind is None else Plain(bind(instance, owner))

    def map(
        self,
        cases: Iterable[Any],
        *more: Iterable[Any],
        return_exceptions: bool = False,
        **_: Any,
    ) -> Iterator[Any]:
        """Call it for each, here, one after the other."""
        return self.starmap(zip(cases, *more, strict=False), return_exceptions=return_exceptions)

    def starmap(
        self, cases: Iterable[Iterable[Any]], *, return_exceptions: bool = False, **_: Any
    ) -> Iterator[Any]:
        """Call it with each, here, one after the other."""
        for case in cases:
            try:
                yield self.__wrapped__(*case)
            except Exception as error:
                if not return_exceptions:
                    raise
                yield error

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # of one that is being copied
            raise AttributeError(name)
        if name in ("submit", "serve", "build", "deploy", "lock"):
            raise AttributeError(
                f"inside a run `{name}` of a decorated function is not to be had: call the function"
            )
        return getattr(self.__wrapped__, name)


def call(call: Any) -> Any:
    """The handler: what the function gives for the call in a file, as the paths of the outputs."""
    if not _ready:  # else this is a fork of a process that is kept
        prepare()
    head, parts = read(os.fspath(call))
    answers = _Answers(head)
    try:
        function, args, named = _loaded(head, parts)
    except ImportError as error:  # of what the function's own module imports, and is not there
        answers.failure(error)
        raise error.with_traceback(None) from None
    try:
        value = function(*args, **named)
    except Exception as error:
        answers.failure(error)
        raise
    kind = type(value)
    if hasattr(kind, "__await__"):
        return answers.awaited(value)
    if hasattr(kind, "__aiter__") and head["items"]:
        return answers.iterated(value)
    if head["items"]:
        return answers.yielded(value)
    return answers.value(value)


def alone() -> int:
    """What an image does that was built from a function: the call that is in it; the exit code.

    Its result is printed as JSON by the rules of the runner, which is in the image too; of a generator, that
    of each item on a line.
    """
    import asyncio
    import signal

    runner: Any = import_module(RUNNER)

    def ended(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ended)  # the first process of a container has no other way to end
    function, args, named = _loaded(*read(os.path.join(_here(), ALONE)), _lasting)

    async def listed(values: Any) -> None:
        async for value in values:
            _print(value, runner)

    try:
        value = function(*args, **named)
        if hasattr(type(value), "__await__"):
            value = runner.call(lambda: value, {})
        if hasattr(type(value), "__aiter__"):
            asyncio.run(listed(value))
        elif hasattr(type(value), "__next__"):
            for one in value:
                _print(one, runner)
        else:
            _print(value, runner)
    except Exception as error:  # noqa: BLE001 - that it failed is said, as Python would
        print(runner.traceback_of(error), end="", file=sys.stderr)
        return 1
    return 0


def prepare() -> None:
    """What every call begins with: of a fork that waits for its call, before that comes."""
    _ready.append(True)
    _print_at_once()
    # To no effect but that the memory which this takes is the fork's own by then.
    pickle.loads(_sample())


_ready: Final[list[bool]] = []


@lru_cache(1)
def _sample() -> bytes:
    """A small function, as one comes with a call."""
    import cloudpickle

    return bytes(cloudpickle.dumps(lambda value: value, 5))


def _print_at_once() -> None:
    """Have what is printed arrive as it is, without waiting for the end of a line, and each print whole."""
    import builtins

    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is not None:
            getattr(sys, name).flush()
            setattr(sys, name, _Stream(number))
    builtins.print = _in_one_piece(builtins.print)


class _Stream(io.TextIOWrapper):
    """A stream of text whose every write is one to the system."""

    def __init__(self, number: int) -> None:
        super().__init__(_Raw(number), "utf-8", "backslashreplace", write_through=True)


class _Raw(io.FileIO):
    """Writes all of it, before what another thread writes."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._make_lock()
        os.register_at_fork(after_in_child=self._make_lock)  # whoever held it is not there

    def _make_lock(self) -> None:
        self._lock = RLock()

    def write(self, data: Any) -> int:
        """Write it; how many bytes that was."""
        view = memoryview(data).cast("B")
        with self._lock:
            _write_all(self.fileno(), [view] if view else [])
        return view.nbytes


def _in_one_piece(original: Callable[..., None]) -> Callable[..., None]:
    """`print` as it is, which Python does in pieces: each value, what is between them, the end of the line."""

    @wraps(original)
    def once(*values: Any, file: Any = None, flush: bool = False, **how: Any) -> None:
        target = sys.stdout if file is None else file
        if isinstance(target, _Stream):
            text = io.StringIO()
            original(*values, file=text, **how)
            target.write(text.getvalue())
        else:
            original(*values, file=file, flush=flush, **how)

    return once


def _print(value: Any, runner: Any) -> None:
    """Print a result as JSON."""
    problems: list[tuple[str, str]] = []
    plain = runner.Plain(problems).of(value, RESULT)
    if problems:
        raise ValueError("; ".join(problem for problem, _ in problems))
    print(runner.write_json(plain), flush=True)


def _loaded(
    head: dict[str, Any], parts: list[memoryview], loads: Callable[..., Any] = pickle.loads
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A call: the function, the arguments."""
    for name, text in head["sources"].items():
        _show_source(name, text)
    count = head["function"]
    function = _read(loads, parts[0], parts[2 : 2 + count])
    args, named = _read(loads, parts[1], parts[2 + count :])
    return function, args, named


def _read(loads: Callable[..., Any], data: Any, buffers: list[Any]) -> Any:
    """What was pickled, maybe beside a numpy of which some modules have other names than here."""
    while True:
        try:
            return loads(data, buffers=buffers)
        except ModuleNotFoundError as error:
            name = error.name or ""
            if not name.startswith(_NUMPY_2) or name in sys.modules:
                raise
            sys.modules[name] = import_module(name.replace(_NUMPY_2, _NUMPY_1, 1))


def _lasting(data: Any, *, buffers: Any) -> Any:
    """What was pickled with its sets in an order of their own, beside the pickle's other objects."""
    sets: dict[int, Any] = {}

    class Reader(pickle.Unpickler):
        def persistent_load(self, told: Any) -> Any:
            """A set, or one that is there already and may be being filled."""
            number, is_frozen, members = told
            if is_frozen:
                return sets.setdefault(number, frozenset(members or ()))
            found = sets.setdefault(number, set())
            found.update(members or ())
            return found

    return Reader(io.BytesIO(data), buffers=buffers).load()


class _Answers:
    """How what came of a call is written down."""

    def __init__(self, head: dict[str, Any]) -> None:
        self._free = head["unpickle"] == "any"
        self._without_numpy = not head["numpy"]
        self._path = os.path.join(_out(), RESULT)

    def value(self, value: Any) -> dict[str, str]:
        """Write what was returned."""
        try:
            parts = self._pickled(value)
        except Exception as error:  # noqa: BLE001 - whatever its class raises
            self._unpicklable(value, error)
        self._write(self._path, parts)
        return {RESULT: self._path}

    def failure(self, error: Exception) -> None:
        """Write what was raised; for whoever cannot take all of that in parts too; else its text alone goes back."""
        whole: list[Any] = []
        apart: list[Any] = []
        with suppress(Exception):  # whatever its class raises
            whole = self._pickled(error)
        if not whole or not _are_plain(*error.args, *vars(error).values()):
            with suppress(Exception):
                apart = [self._dumped(error, None, self._apart)]
        if whole or apart:
            head = {"kind": "exception", APART: bool(whole and apart)}
            with suppress(OSError):  # the disk is full
                write(self._path, head, [*whole[:1], *apart, *whole[1:]])
                _sent.append(error)

    async def awaited(self, value: Any) -> dict[str, str]:
        """Await it and write what comes."""
        try:
            found = await value
        except Exception as error:
            self.failure(error)
            raise
        return self.value(found)

    def yielded(self, values: Any) -> dict[str, str]:
        """Write each item as it comes, never far ahead of whoever takes them."""
        items = _Items(self)
        try:
            for value in values:
                items.add(value)
                while items.are_many():
                    time.sleep(_POLL_S)
        except ResultNotSentError:
            items.wait()
            raise
        except Exception as error:
            self.failure(error)
            items.wait()
            raise
        items.wait()
        return self.value(None) | {ITEMS: items.folder}

    async def iterated(self, values: Any) -> dict[str, str]:
        """The same, of an asynchronous generator."""
        import asyncio

        items = _Items(self)
        try:
            async for value in values:
                items.add(value)
                while items.are_many():
                    await asyncio.sleep(_POLL_S)
        except ResultNotSentError:
            items.wait()
            raise
        except Exception as error:
            self.failure(error)
            items.wait()
            raise
        items.wait()
        return self.value(None) | {ITEMS: items.folder}

    def item(self, path: str, value: Any) -> None:
        """Write one item."""
        try:
            parts = self._pickled(value)
        except Exception as error:  # noqa: BLE001 - whatever its class raises
            self._unpicklable(value, error)
        self._write(path, parts)

    def _write(self, path: str, parts: list[Any]) -> None:
        try:
            write(path, {"kind": "value"}, parts)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            size = sum(memoryview(_raw(part)).nbytes for part in parts)
            wrong = NoRoomError(f"what it returned, of {size / 1e6:.1f} MB, does not fit there")
            _sent.append(wrong)
            raise wrong from None

    def _pickled(self, value: Any) -> list[Any]:
        """The pickle, and its buffers."""
        buffers: list[Any] = []
        return [self._dumped(value, buffers.append), *buffers]

    def _dumped(
        self,
        value: Any,
        buffer: Callable[[Any], Any] | None = None,
        apart: Callable[[Any], Any] | None = None,
    ) -> memoryview:
        file = io.BytesIO()
        if self._free:
            _free_pickler(file, buffer, apart).dump(value)
        else:
            _Pickler(file, buffer, apart, without_numpy=self._without_numpy).dump(value)
        return file.getbuffer()

    def _apart(self, value: Any) -> Any:
        """Something in an exception, so that it can be taken or left."""
        if _are_plain(value):
            return value
        data, text = None, f"`{type(value).__qualname__}`"
        with suppress(Exception):  # whatever its class raises
            data = bytes(self._dumped(value))
        with suppress(Exception):
            text = str(value)[:_SHOWN]
        return _Part(data, text)

    def _unpicklable(self, value: Any, error: Exception) -> NoReturn:
        """Say what cannot be sent back, as an error of its own: the function did its work."""
        kind = type(value)
        said: dict[str, Any] = {
            "kind": "unpicklable",
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "why": f"{type(error).__name__}: {error}"[:_SHOWN],
            "any": False,  # whether it could be sent with `unpickle="any"`
        }
        with suppress(Exception):
            _free_pickler(io.BytesIO(), None, None).dump(value)
            said["any"] = True
        write(self._path, said, [])
        wrong = ResultNotSentError(
            f"what it returned, of type `{said['type']}`, cannot be sent back: {said['why']}"
        )
        _sent.append(wrong)
        raise wrong from None


_sent: Final[list[Exception]] = []


def is_sent(error: BaseException) -> bool:
    """Whether the caller gets an exception itself, and need not read of it in what was printed."""
    return any(one is error for one in _sent)


class ResultNotSentError(Exception):
    """What a function returned cannot be sent back: it cannot be pickled."""


class NoRoomError(ResultNotSentError):
    """The disk has no room for what a function returned."""


class _Items:
    """The items of a generator that nobody has taken yet; whoever takes one removes its file."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
        self.folder = os.path.join(_out(), ITEMS)
        self._count = 0
        os.makedirs(self.folder, exist_ok=True)

    def add(self, value: Any) -> None:
        """Write the next item."""
        self._answers.item(os.path.join(self.folder, item_name(self._count)), value)
        self._count += 1

    def are_many(self) -> bool:
        """Whether more are there than are to be made ahead."""
        sizes = []
        for entry in os.scandir(self.folder):
            try:
                sizes.append(entry.stat().st_size)
            except FileNotFoundError:  # it was taken just now
                continue
        return len(sizes) >= _AHEAD or (len(sizes) > 1 and sum(sizes) > _AHEAD_BYTES)

    def wait(self) -> None:
        """Wait until the last one was taken."""
        while any(True for _ in os.scandir(self.folder)):
            time.sleep(_POLL_S)


def item_name(number: int) -> str:
    """The file of the item of that number, from 0."""
    return f"{number:012d}"


class _Pickler(pickle.Pickler):
    """Pickles by value what has no code, and classes by their names."""

    def __init__(
        self,
        file: Any,
        buffer: Callable[[Any], Any] | None,
        apart: Callable[[Any], Any] | None,
        *,
        without_numpy: bool,
    ) -> None:
        super().__init__(file, 5, buffer_callback=buffer)
        self._apart = apart
        self._without_numpy = without_numpy

    def reducer_override(self, thing: Any) -> Any:
        """How `thing` is written, where that is not as it says itself."""
        if isinstance(thing, type):
            if _is_found_by_name(thing):
                return NotImplemented
            return named, (_tracked(thing), thing.__module__, thing.__qualname__)
        if isinstance(thing, Exception):
            return exception_reduced(thing, self._apart)
        if hasattr(thing, "__slots__"):
            return _slotted_reduced(thing)
        if self._without_numpy:
            numpy = sys.modules.get("numpy")
            if numpy is not None and isinstance(thing, numpy.generic):
                plain = thing.item()
                if not isinstance(plain, numpy.generic):
                    return itself, (plain,)
        return NotImplemented


def _free_pickler(
    file: Any,
    buffer: Callable[[Any], Any] | None,
    apart: Callable[[Any], Any] | None,
) -> Any:
    """cloudpickle's, which writes exceptions as the other does."""
    import cloudpickle

    class Free(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, thing: Any) -> Any:
            reduced = NotImplemented
            if isinstance(thing, Exception):
                reduced = exception_reduced(thing, apart)
            elif hasattr(thing, "__slots__") and not isinstance(thing, type):
                reduced = _slotted_reduced(thing)
            return super().reducer_override(thing) if reduced is NotImplemented else reduced

    return Free(file, 5, buffer)


def exception_reduced(error: Exception, apart: Callable[[Any], Any] | None) -> Any:
    """How an exception is written whose class has an `__init__` of its own, with arguments of its own.

    Python itself would call that with those of `Exception`. With `apart` so is any, with what that makes of each
    thing that is in it.
    """
    kind = type(error)
    ways = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
    if any(isinstance(getattr(kind, name, None), FunctionType) for name in ways) or not (
        isinstance(kind.__init__, FunctionType) or apart
    ):
        return NotImplemented
    reduced: Any = error.__reduce_ex__(5)
    made, args, *rest = reduced
    if made is not kind:
        return NotImplemented
    state = rest[0] if rest else None
    if apart is not None:
        if not isinstance(error, ExceptionGroup):  # whose exceptions come here themselves
            args = tuple(map(apart, args))
        kept = {name: apart(one) for name, one in (state or {}).items()}
        state = {name: one for name, one in kept.items() if getattr(one, "data", "") is not None}
    return raised, (kind, args), state, None, None, restored


class _Part:
    """Something in an exception: its pickle, None where it has none, and a text for whoever does not take that."""

    def __init__(self, data: bytes | None, text: str) -> None:
        self.data = data
        self.text = text

    def __reduce__(self) -> Any:
        if self.data is None or len(self.data) > _PART_BYTES:
            return itself, (self.text,)
        return part, (self.data, self.text)


def _are_plain(*values: Any) -> bool:
    return all(type(value) in (str, bytes, int, float, bool, type(None)) for value in values)


def _slotted_reduced(thing: Any) -> Any:
    """How an object is written whose class has slots where the caller is, and none here: cloudpickle's have not."""
    kind = type(thing)
    ways = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
    if (
        not hasattr(thing, "__dict__")
        or any(isinstance(getattr(kind, name, None), FunctionType) for name in ways)
        or _is_found_by_name(kind)
    ):
        return NotImplemented
    reduced: Any = thing.__reduce_ex__(5)
    if not isinstance(reduced, tuple) or len(reduced) < 3 or not isinstance(reduced[2], tuple):
        return NotImplemented
    attributes, slots = reduced[2]
    return (*reduced[:2], (None, {**(attributes or {}), **slots}), *reduced[3:])


def _tracked(kind: type) -> Any:
    """What cloudpickle knows a class by that came by value; None of any other."""
    import cloudpickle

    return cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(kind)


def raised(kind: Any, args: Any) -> Exception:
    """An exception as it was, without what its class does when it is made."""
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise pickle.UnpicklingError("what it says was raised is no exception")
    error: Exception = kind.__new__(kind, *args)
    makers = (vars(one).get("__init__") for one in kind.__mro__)
    plain: Any = next(one for one in makers if one and not isinstance(one, FunctionType))
    plain(error, *args)
    return error


def restored(error: Any, state: Any) -> None:
    """Give an exception its attributes, whether its class lets them be set or not."""
    if not isinstance(error, Exception):
        raise pickle.UnpicklingError("it has the attributes of an exception, and is none")
    for name, value in state.items():
        try:
            object.__setattr__(error, name, value)
        except (AttributeError, TypeError):
            vars(error)[name] = value


def named(number: str | None, module: str, name: str) -> Any:  # noqa: ARG001
    """A class that only the caller has under its name; the caller has its own way to find it."""
    raise pickle.UnpicklingError(f"`{module}.{name}` is a class of the caller's")


def part(data: bytes, text: str) -> Any:  # noqa: ARG001
    """What is in a pickle within an exception's, or the text; the caller has its own way to tell."""
    return text


def itself(value: Any) -> Any:
    """What something else was made into, such as a scalar where there is no numpy."""
    return value


def _is_found_by_name(thing: type) -> bool:
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing


def _out() -> str:
    return os.path.join(os.environ["KEDGE_WORKSPACE"], "out", "files")


def _show_source(name: str, text: str) -> None:
    """Have tracebacks show the lines of a file that is not here."""
    import linecache

    if not os.path.exists(name):
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)


def _here() -> str:
    return os.path.dirname(os.path.abspath(__file__))


def _show_what_is_shipped() -> None:
    """Have cloudpickle found, behind what the environment has."""
    place = os.path.join(_here(), "_kedge")
    if place not in sys.path:
        sys.path.append(place)


def function(target: Any = None, **_options: Any) -> Any:
    """`kedge.function` in a module that is shipped."""
    return Plain if target is None else Plain(target)


def _have_modules_decorate() -> None:
    """Have what a shipped module decorates be called as what came with the call is."""
    import_module("kedge").function = function  # type: ignore[attr-defined]


def _import_ahead() -> None:
    """Import what the function will, so that forks of this process find it there."""
    with open(os.path.join(_here(), f"{NAME}.json")) as file:
        names = json.load(file)["modules"]
    for name in names:
        try:
            import_module(name)
        except (Exception, SystemExit):  # noqa: BLE001 - the function meets it where it imports
            pass


if __name__ == "__main__":
    sys.path.insert(0, _here())
    __import__(RUNNER).prepare_process()
    # Under the name by which pickles know it.
    sys.exit(__import__(NAME).alone())
if __name__ == NAME:
    _show_what_is_shipped()
    _have_modules_decorate()
    _import_ahead()
    _sample()
