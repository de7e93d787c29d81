"""The program on the inside of a managed Python runtime: reads `in/`, calls the handler, writes `out/`.

One self-contained file: standard library only, nothing of Kedge, Python 3.8 and newer. Sections:

    start        command line, streams, ways to leave
    run          import, inputs, call, SIGTERM
    outputs      what was returned → out/data.json and out/files/
    values       Python values → JSON
    failures     exceptions → out/_runner_error.json
    the shim     what `import kedge` gives inside
    annotations  text or objects → one form; classes with fields
    schemas      annotations → JSON Schema
    conversions  JSON → the Python object that an annotation names
    describe     a function → its ports; docstrings
    source       the same from source text alone (`describe_static`)

Started as `python -I -B runner.pyc run|describe|zygote INSTRUCTIONS` with the workspace as working directory.
It starts once for every run, so modules that are not always needed are imported where they are, and by
`standard()` once the package's own folder is on `sys.path`: a package may hold a `traceback.py`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import FrameType, ModuleType
    from typing import Any, Callable, Iterable, Iterator

    Schema = dict[str, Any]

try:
    WORKSPACE = os.path.abspath(os.environ.get("KEDGE_WORKSPACE") or os.curdir)
except OSError:  # imported for `describe_static` where the working directory is gone
    WORKSPACE = os.sep
OUT = os.path.join(WORKSPACE, "out")
BARE_PATH = list(sys.path)
PROGRESS_LIMIT = 64 * 1024  # bytes of one progress line: the contract's limit
THREADS_GRACE_S = 30.0  # non-daemon threads are waited for, as Python does, but not for ever
MESSAGE_LIMIT = 64 * 1024  # bytes of an error's message: enough to read, too few to choke on
TEXT_LIMIT = 256 * 1024  # bytes of any other text of an error, as of a traceback
ERROR_LIMIT = 1024 * 1024  # bytes of the error file: whoever reads it does not take one without end
PROBLEMS_LIMIT = 200  # problems in the error file
SHOWN_FAULTS = 3  # faults named in one output; a million NaN are not a million sentences
SENT = "call.pkl"  # in `in/`, of a function or source that came from the caller's own process
CALLER = "_kedge_call"  # Kedge's own module in the package of a decorated function
MAX_INT = 10**4300  # Python refuses to read longer integers from text (CVE-2020-10735)


# ---- start --------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """Runs or describes; returns the exit code."""
    commands = {"run": run, "describe": describe_all, "zygote": become_zygote}
    if len(argv) != 3 or argv[1] not in commands:
        print("usage: runner.py run|describe|zygote INSTRUCTIONS (a JSON object)", file=sys.stderr)
        return 2
    prepare_process()
    command, instructions = commands[argv[1]], read_json(argv[2])
    del argv[1:]  # the handler's own argparse must not meet Kedge's arguments
    return command(instructions)


def become_zygote(instructions: dict[str, Any]) -> int:
    """Hands this process to the program that imports once and forks a process for each call."""
    path, loaded = instructions["program"], set(sys.modules)
    zygote: Any = type(sys)("kedge_zygote")
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), vars(zygote))  # noqa: S102 - a file of Kedge's
    return int(zygote.main(sys.modules["__main__"], instructions, loaded))


def prepare_process() -> None:
    """Makes streams live and safe, and `import kedge` work. Also in children of multiprocessing."""
    streams: tuple[Any, Any] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is not None:  # None: started with that descriptor closed
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.meta_path.append(ShimFinder())


def read_json(text: str) -> Any:
    """`json.loads` without `json`, whose regular expressions cost a third of a bare start."""
    try:
        from _json import make_scanner

        text = text.strip(" \t\r\n")
        settings: Any = JsonSettings
        value, end = make_scanner(settings)(text, 0)
        if end == len(text):
            return value
    except (ImportError, AttributeError, StopIteration, ValueError):
        pass  # another Python, or bad text: the public module has the good message
    return standard("json").loads(text)


class JsonSettings:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012


def write_json(value: Any) -> str:
    """`json.dumps` of plain values; NaN, infinity and everything else is a ValueError or TypeError."""
    try:
        from _json import encode_basestring, make_encoder

        encoder = make_encoder(None, repr, encode_basestring, None, ": ", ", ", False, False, False)
    except (ImportError, TypeError):
        return str(standard("json").dumps(value, ensure_ascii=False, allow_nan=False))
    return "".join(encoder(value, 0))


def write_file(path: str, text: str) -> None:
    """Writes the whole file or nothing: a reader never sees half of it."""
    partial = "{}.{}.partial".format(path, os.getpid())
    with open(partial, "wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
    os.replace(partial, path)


def standard(name: str) -> Any:
    """A module of the standard library, also when the package has a file of that name."""
    kept = sys.path
    sys.path = BARE_PATH
    try:
        __import__(name)
        return sys.modules[name]
    finally:
        sys.path = kept


def flush_streams() -> None:
    """Flushes; a stream that cannot be is taken away, or Python would leave with exit code 120."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:
            setattr(sys, name, None)


def leave(code: int) -> int:
    """Ends as Python does, waiting for non-daemon threads, but not for longer than the grace."""
    CANCEL.leaving = True
    flush_streams()
    threading = sys.modules.get("threading")
    if threading is not None:
        here = threading.current_thread()
        if any(t is not here and not t.daemon for t in threading.enumerate()):
            watch = threading.Thread(target=cut_threads, args=(code,), daemon=True)
            watch.start()
    return code


def cut_threads(code: int) -> None:
    """Ends the process although threads are left; they had their grace."""
    threading, time = sys.modules["threading"], standard("time")
    time.sleep(THREADS_GRACE_S)
    left = [t.name for t in threading.enumerate() if not t.daemon and t.name != "MainThread"]
    say(
        "kedge: the function returned {:g} s ago and its threads still run ({}); ended them. "
        "hint: join them before returning, or make them daemon threads.".format(
            THREADS_GRACE_S, ", ".join(left)
        )
    )
    flush_streams()
    os._exit(code)


def say(text: str) -> None:
    """Prints to standard error, whatever the function has done to `sys.stderr`."""
    data = (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.flush()
    except Exception:
        try:
            os.write(2, data)
        except OSError:
            pass  # closed: the error file still says it


# ---- run ----------------------------------------------------------------------------------------------


class Cancelled(BaseException):
    """The run was asked to stop. A BaseException, so that `except Exception` does not swallow it.

    What tidies up catches it and raises it again.

    >>> from kedge import Cancelled
    >>> def solve(step):
    ...     try:
    ...         step()
    ...     except Cancelled:
    ...         print("what there is so far is kept")
    ...         raise
    """


class PlainError(Exception):
    """Something wrong that has no traceback worth showing: the sentence is all there is to say."""

    def __init__(
        self, kind: str, message: str, hint: str = "", problems: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.problems = problems  # (sentence, path of the output) where there are several


class Cancel:
    """What SIGTERM does, which depends on how far the run is."""

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}  # the signal mask of each thread that is forking
        self.asked = False  # only the first signal raises: the second must not break a `finally`
        # The outcome is being written down: that is quick, and not interrupted.
        self.settling = False
        self.leaving = False  # the outcome is on disk; only threads are waited for
        self.armed = False
        self.loop: Any = None
        self.task: Any = None

    def arm(self) -> None:
        """Takes over SIGTERM in this process, once, and not in its forks: those end by it as any process does.

        Python forgets a signal that comes while a fork is being born, and whoever sent it, a pool of
        processes for one, would wait for ever. So it is held back until the fork has its own handler.
        """
        if self.armed:  # before the module was imported of which this is a fork
            return
        self.armed = True
        _signal: Any = __import__("_signal")  # the C module: `signal` itself imports enum
        get_ident = __import__("_thread").get_ident
        number = _signal.SIGTERM

        def hold() -> None:
            self.held[get_ident()] = _signal.pthread_sigmask(_signal.SIG_BLOCK, [number])

        def release() -> None:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self.held.pop(get_ident(), ()))

        def release_fork() -> None:
            if _signal.getsignal(number) == self.arrived:  # else the function has its own
                _signal.signal(number, _signal.SIG_DFL)
            release()

        _signal.signal(number, self.arrived)
        os.register_at_fork(before=hold, after_in_parent=release, after_in_child=release_fork)

    def arrived(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if self.leaving:
            os._exit(143)
        if self.asked or self.settling:
            return
        self.asked = True
        if (
            self.task is not None
            and sys.modules["asyncio"].current_task(self.loop) is not self.task
        ):
            # The loop waits, or runs a callback, where it would log an exception and go on.
            self.loop.call_soon_threadsafe(self.task.cancel)
            return
        raise cancelled_class()()


def cancelled_class() -> type[BaseException]:
    """The `Cancelled` that the function's `except` clause names: the installed kedge's or the shim's."""
    found = getattr(sys.modules.get("kedge"), "Cancelled", None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else Cancelled


CANCEL = Cancel()


def run(instructions: dict[str, Any]) -> int:
    """One call of the handler, from `in/` to `out/`; returns the exit code."""
    CANCEL.arm()
    stage = "call"
    try:
        try:
            needed = ["pathlib"] if instructions.get("inputs") else []
            needed += DESCRIBING if instructions.get("convert") else []
            for name in needed:
                standard(name)
            if WORKSPACE not in sys.path:  # it is, in a fork of what has imported the module
                sys.path.insert(0, WORKSPACE)
            if "sent" in instructions:
                function, inputs = sent_call(instructions["sent"], instructions["outputs"])
            else:
                stage = "import"
                function = find_function(instructions["handler"])
                stage = "call"
                inputs = read_inputs(function, instructions)
            value = call(function, inputs)
            store_outputs(value, instructions.get("outputs", {}), instructions.get("open", False))
            CANCEL.settling = True
            return leave(0)
        except BaseException as error:
            CANCEL.settling = True
            return leave(failed(error, stage, instructions["handler"]))
    except cancelled_class() as error:  # the signal came between those two lines
        return leave(failed(error, stage, instructions["handler"]))


def find_function(handler: str) -> Callable[..., Any]:
    """The function that `module:function` names; a PlainError says why it is none."""
    module_name, _, name = handler.partition(":")
    if not module_name or not name:
        message = "`{}` is not of the form module:function".format(handler)
        raise PlainError("HandlerError", message, "Write it as in `bolts:size`.")
    if "." in name:
        raise PlainError(
            "HandlerError", "`{}` is a method or an attribute".format(handler), WRAP_IT
        )
    __import__(module_name)
    module = sys.modules[module_name]
    if not hasattr(module, name):
        place = getattr(module, "__file__", None) or "the standard library"
        near = standard("difflib").get_close_matches(name, dir(module), n=1)
        hint = "Did you mean `{}`?".format(near[0]) if near else "Define it there."
        if not place.startswith(WORKSPACE):
            hint = "`{}` was found in {}, not in the package; rename yours.".format(
                module_name, place
            )
        raise PlainError("HandlerError", "module `{}` has no `{}`".format(module_name, name), hint)
    found = getattr(module, name)
    refused = refusal(found)
    if refused:
        raise PlainError(
            "HandlerError", "`{}` is {}, not a function".format(handler, refused), WRAP_IT
        )
    return found  # type: ignore[no-any-return]


WRAP_IT = "Write a module-level function (`def`) that calls it, and name that one."


def unwrapped(function: Any) -> Any:
    """The function below decorators that keep `__wrapped__`, as `inspect.unwrap` finds it."""
    for _ in range(sys.getrecursionlimit()):
        if not hasattr(function, "__wrapped__") or isinstance(function, type):
            return function
        function = function.__wrapped__
    return None


def refusal(found: Any) -> str | None:
    """What `found` is, when it is not a function that can be a handler."""
    if isinstance(found, type):
        return "a class"
    inner = unwrapped(found)
    kind = type(inner)
    if kind is type(refusal):
        return "a lambda" if inner.__name__ == "<lambda>" else None
    if (kind.__module__, kind.__name__) == ("functools", "partial"):
        return "a partial"
    if kind.__name__ in ("method", "builtin_function_or_method", "method-wrapper"):
        return "a method" if kind.__name__ == "method" else "a built-in function"
    return "a {}".format(kind.__name__)


def parameters_of(function: Any) -> tuple[list[str], list[str], bool]:
    """Names of parameters, of those without a default, and whether there is `**kwargs`."""
    inner = unwrapped(function)
    code = inner.__code__
    positional = list(code.co_varnames[: code.co_argcount])
    keyword = list(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
    bare = positional[: len(positional) - len(inner.__defaults__ or ())]
    bare += [name for name in keyword if name not in (inner.__kwdefaults__ or {})]
    return positional + keyword, bare, bool(code.co_flags & 8)  # CO_VARKEYWORDS


def sent_call(
    sent: dict[str, Any], declared: dict[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What the caller has pickled: a function, or source, and arguments by name; for a Python like the caller's."""
    sys.path[:] = sent["path"]
    pickle = standard("pickle")
    with open(os.path.join(WORKSPACE, "in", SENT), "rb") as file:
        for name, text in pickle.load(file).items():  # which tracebacks show lines of
            standard("linecache").cache[name] = (len(text), None, text.splitlines(True), name)
        what, arguments = pickle.load(file)
    for name, place in sent["paths"].items():
        arguments[name] = standard("pathlib").Path(WORKSPACE, place)
    for name, place in sent["objects"].items():
        with open(os.path.join(WORKSPACE, place), "rb") as file:
            arguments[name] = pickle.load(file)
    if not isinstance(what, str):
        return what, arguments
    return (lambda **names: executed(what, sent["name"], names, declared)), arguments


def executed(
    source: str, name: str, names: dict[str, Any], declared: Iterable[str]
) -> dict[str, Any]:
    """The declared outputs among the names that source leaves; `name` is its file in tracebacks."""
    exec(compile(source, name, "exec"), names)  # noqa: S102 - it is what is asked for
    left = {port: port.replace("-", "_") for port in declared}
    return {port: names[name] for port, name in left.items() if name in names}


def read_inputs(function: Callable[..., Any], instructions: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments: values, paths of files, arrays and tables."""
    with open(os.path.join(WORKSPACE, "in", "data.json"), encoding="utf-8") as file:
        values: dict[str, Any] = read_json(file.read())
    folder = os.path.join(WORKSPACE, "in", "files")
    staged = {}
    if os.path.isdir(folder):
        staged = {name.partition(".")[0]: os.path.join(folder, name) for name in os.listdir(folder)}
    names, bare, extra = parameters_of(function)
    for port, kind in instructions.get("inputs", {}).items():
        if port in staged:
            values[port] = read_file(kind, staged[port], function, port)
        elif kind == "array" and values.get(port) is not None:
            values[port] = needs_numpy(port).asarray(values[port])
        elif port not in values and port in bare:
            values[port] = None  # an optional file without a default: `mesh: Path | None`
    for port in [port for port in values if "-" in port]:
        name = port.replace("-", "_")
        if name in names and name not in values and not (extra and port in names):
            values[name] = values.pop(port)
    for name in instructions.get("convert", ()):
        if name in values:
            values[name] = convert_input(function, name, values[name])
    return values


def read_file(kind: str, path: str, function: Callable[..., Any], port: str) -> Any:
    """A staged file as the handler takes it."""
    from pathlib import Path

    if kind == "files":
        return [Path(path, name) for name in sorted(os.listdir(path))]
    if kind == "array":
        return needs_numpy(port).load(path, mmap_mode="r", allow_pickle=False)
    if kind == "table":
        return read_table(path, function, port)
    return Path(path)


def needs_numpy(port: str) -> Any:
    """numpy, or a PlainError that says which port wants it."""
    try:
        return __import__("numpy")
    except ImportError as error:
        message = "`{}` is an Array, and numpy cannot be imported: {}".format(port, error)
        raise PlainError(
            "ImportError", message, "Add numpy to the package's `requirements`."
        ) from None


def read_table(path: str, function: Callable[..., Any], port: str) -> Any:
    """A table by the library that the annotation names, else by the first that is there."""
    wanted = annotated_module(function, port)
    arrow = not path.lower().endswith(".parquet")
    for library in sorted(("pandas", "pyarrow", "polars"), key=lambda name: name != wanted):
        try:
            module = __import__(library)
            if library == "polars":
                return module.read_ipc(path) if arrow else module.read_parquet(path)
            if library == "pandas":
                return module.read_feather(path) if arrow else module.read_parquet(path)
            if not arrow:
                return __import__("pyarrow.parquet").parquet.read_table(path, memory_map=True)
            return __import__("pyarrow.ipc").ipc.open_file(module.memory_map(path)).read_all()
        except ImportError as error:
            reason = error
    message = "`{}` is a Table, and it cannot be read: {}".format(port, reason)
    raise PlainError(
        "ImportError", message, "Add pandas and pyarrow, or pyarrow, to `requirements`."
    )


def annotated_module(function: Callable[..., Any], port: str) -> str:
    """The library whose class annotates a parameter: `pandas` for `pd.DataFrame | None`."""
    inner = unwrapped(function)
    try:
        scope = Scope(inner.__globals__, inner.__globals__.get("__file__"))
        core = bare(annotations_of(inner).get(port, object), scope)[0]
        names = [qualified(one) for one in (core, *split(core)[1]) if one is not None]
        return next((name.partition(".")[0] for name in names if name), "")
    except UnreadableError:
        return ""


def call(function: Callable[..., Any], inputs: dict[str, Any]) -> Any:
    """The handler's value; what can be awaited is."""
    value = function(**inputs)
    if not hasattr(type(value), "__await__"):
        return value
    asyncio = standard("asyncio")

    async def awaited() -> Any:
        CANCEL.task, CANCEL.loop = asyncio.current_task(), asyncio.get_running_loop()
        try:
            return await value
        finally:
            CANCEL.task = None

    try:
        return asyncio.run(awaited())
    except asyncio.CancelledError:
        if CANCEL.asked:
            raise cancelled_class()() from None
        raise


# ---- outputs ------------------------------------------------------------------------------------------


def store_outputs(value: Any, declared: dict[str, Any], is_open: bool) -> None:
    """Writes what the handler returned to `out/`; a PlainError names everything that cannot be."""
    problems: list[tuple[str, str]] = []
    outputs = {}
    for key, item in keyed(value, declared, is_open, problems).items():
        port = Plain([]).key(key)
        if port is None:
            problems.append(("an output is named {}, which is not text".format(repr(key)[:80]), ""))
        else:
            outputs[port] = item
    for port in [port for port in declared if "-" in port and port not in outputs]:
        if port.replace("-", "_") in outputs:
            outputs[port] = outputs.pop(port.replace("-", "_"))
    data = {}
    files = Files(problems)
    for port, item in outputs.items():
        kind = declared.get(port, {}).get("kind", "value")
        if port not in declared and hasattr(item, "__fspath__") and os.path.isfile(item):
            kind = "file"  # an open output that is a file is kept as one: its path means nothing outside
        if kind == "value":
            data[port] = Plain(problems).of(item, port)
        elif item is not None or kind == "pickle":  # None: not given, which an optional file may be
            files.store(kind, port, item, declared.get(port, {}).get("extensions", ()))
    if not problems:
        try:
            write_file(os.path.join(OUT, "data.json"), write_json(data))
        except (OSError, RecursionError) as error:
            problems.append(("the outputs cannot be written: {}".format(message_of(error)), ""))
    if problems:
        lines = [message for message, _ in problems]
        head = "{} problems in what was returned:\n  ".format(len(lines)) if len(lines) > 1 else ""
        raise PlainError("ContractError", head + "\n  ".join(lines), problems=problems)


def keyed(
    value: Any, declared: dict[str, Any], is_open: bool, problems: list[tuple[str, str]]
) -> dict[str, Any]:
    """The returned value as outputs by name. Wrapping goes by what is declared, not by the value."""
    mapping = fields_of_value(value)
    only = next(iter(declared)) if len(declared) == 1 else None
    if only and not is_open:
        return mapping if mapping is not None and set(mapping) == {only} else {only: value}
    if mapping is not None and is_open:
        whole = isinstance(value, dict) or hasattr(value, "keys")
        if whole or not set(declared).isdisjoint(mapping):
            return mapping
    elif mapping is not None and (declared or not mapping):
        return mapping
    if value is None:
        return {}
    if is_open:
        return {only or "result": value}
    what = "`{}`".format(type(value).__name__)
    if declared:
        names = ", ".join("`{}`".format(name) for name in declared)
        problems.append(("returned a {}, not a dict with the outputs {}".format(what, names), ""))
    else:
        problems.append(("returned a {}, but no outputs are declared (-> None)".format(what), ""))
    return {}


def fields_of_value(value: Any) -> dict[str, Any] | None:
    """A dict, or an object with fields, as a dict one level deep; None for everything else."""
    kind = type(value)
    if hasattr(kind, "model_dump"):
        return dict(value.model_dump(mode="json", by_alias=True))
    if hasattr(kind, "__dataclass_fields__"):
        fields = kind.__dataclass_fields__.values()
        names = [f.name for f in fields if f._field_type.name == "_FIELD"]  # not ClassVar, InitVar
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return {name: getattr(value, name) for name in kind._fields}
    # A data frame has keys too, and `to_dict`: it is no dictionary.
    like_dict = hasattr(kind, "keys") and hasattr(kind, "__getitem__")
    if isinstance(value, dict) or (like_dict and not hasattr(kind, "to_dict")):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118
    if hasattr(kind, "__fields_set__") and hasattr(kind, "json"):  # pydantic 1
        return dict(read_json(value.json(by_alias=True)))
    return None


class Files:
    """File outputs on their way to `out/files/`."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        self.moved: dict[str, str] = {}
        self.folder = os.path.join(OUT, "files")

    def store(self, kind: str, port: str, value: Any, extensions: Iterable[str]) -> None:
        """Puts one port's file or files in place, or notes why that cannot be."""
        try:
            if kind in ("array", "table") and not is_path(value):
                os.makedirs(self.folder, exist_ok=True)
                (save_array if kind == "array" else save_table)(port, value, self.folder)
            elif kind == "pickle":
                save_object(port, value, self.folder)
            elif kind == "files" and isinstance(value, (list, tuple, set, frozenset)):
                self.several(port, sorted(value) if hasattr(value, "union") else value, extensions)
            elif not is_path(value):
                message = "output `{}` is a {}: return its path, not a `{}`"
                self.problem(message, port, kind.capitalize(), type(value).__name__)
            elif kind in ("folder", "files"):
                self.move(os.fspath(value), os.path.join(self.folder, port), port, True)
            else:
                self.one(port, os.fspath(value), extensions)
        except (OSError, ValueError, TypeError, ImportError) as error:
            reason = message_of(error)
            self.problem("output `{}` cannot be stored: {}", port, reason)

    def problem(self, message: str, port: str, *values: object) -> None:
        """Notes what is wrong with an output."""
        self.problems.append((message.format(port, *values), port))

    def one(self, port: str, path: str, extensions: Iterable[str]) -> None:
        """One file: it takes the port's name and keeps its extension."""
        extension = extension_of(path, extensions)
        if extension is None:
            allowed = ", ".join("." + name.lstrip(".") for name in extensions)
            self.problem("output `{}` takes {}, not `{}`", port, allowed, os.path.basename(path))
        else:
            self.move(path, os.path.join(self.folder, port + extension), port)

    def several(self, port: str, values: Iterable[Any], extensions: Iterable[str]) -> None:
        """Files in a folder of the port's name; a name begins with its position where order needs it."""
        paths = []
        for value in values:
            if not is_path(value):
                message = "output `{}` is a list of files: return paths, not a `{}`"
                self.problem(message, port, type(value).__name__)
                return
            paths.append(os.fspath(value))
        folder = os.path.join(self.folder, port)
        os.makedirs(folder, exist_ok=True)
        names = [os.path.basename(path) for path in paths]
        if names != sorted(set(names)):  # lists are read back in the order of names
            width = len(str(len(names) - 1))
            names = ["{:0{}}-{}".format(at, width, name) for at, name in enumerate(names)]
        for path, name in zip(paths, names):  # noqa: B905 (3.8)
            if extension_of(path, extensions) is None:
                base = os.path.basename(path)
                self.problem("output `{}` does not take the extension of `{}`", port, base)
            else:
                self.move(path, os.path.join(folder, name), port)

    def move(self, source: str, target: str, port: str, is_folder: bool = False) -> None:
        """Renames what lies under `out/`, copies the rest (a rename between mounts fails)."""
        real = os.path.realpath(source)
        real = self.moved.get(real, real)
        if not (os.path.isdir(real) if is_folder else os.path.isfile(real)):
            found = "does not exist" if not os.path.exists(real) else "is no regular file"
            found = "is not a folder" if is_folder and os.path.exists(real) else found
            self.problem("output `{}` is `{}`, which {}", port, source[:200], found)
        elif os.path.realpath(target).startswith(real + os.sep):
            self.problem("output `{}` is `{}`, which holds the outputs themselves", port, source)
        elif real != os.path.realpath(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            inside = real.startswith(os.path.realpath(OUT) + os.sep)
            if inside and real not in self.moved.values():
                os.rename(real, target)
            elif os.path.isdir(real):
                standard("shutil").copytree(real, target, symlinks=True)
            else:
                standard("shutil").copyfile(real, target)
        self.moved[os.path.realpath(source)] = os.path.realpath(target)


def is_path(value: Any) -> bool:
    return isinstance(value, str) or hasattr(type(value), "__fspath__")


COMPRESSIONS = ("gz", "bz2", "xz", "zst", "lz4", "br", "z")


def extension_of(path: str, extensions: Iterable[str]) -> str | None:
    """The extension to keep, as spelt in `path`; None when it is not among those that are allowed."""
    name = os.path.basename(path)
    allowed = ["." + extension.lstrip(".").lower() for extension in extensions]
    for extension in sorted(allowed, key=len, reverse=True):
        if name.lower().endswith(extension):
            return name[-len(extension) :]
    if allowed:
        return None
    stem, extension = os.path.splitext(name)
    before = os.path.splitext(stem)[1] if extension[1:].lower() in COMPRESSIONS else ""
    return before + extension if before[1:].isalnum() else extension


def save_array(port: str, value: Any, folder: str) -> None:
    """Writes an array as `.npy`, which is mapped into memory when it is read."""
    numpy = needs_numpy(port)
    array = numpy.asanyarray(value)
    if array.dtype.hasobject:
        raise TypeError("its elements are Python objects, which .npy files do not carry")
    numpy.save(os.path.join(folder, port + ".npy"), array, allow_pickle=False)


def save_object(port: str, value: Any, folder: str) -> None:
    """Pickles an object; what the function's `__main__` defines goes into the file with it."""
    cloudpickle, path = __import__("cloudpickle"), os.path.join(folder, port + ".pkl")
    with open(path, "wb") as file:
        try:
            cloudpickle.dump(value, file)
        except OSError:
            raise
        except Exception as error:
            os.unlink(path)  # half of it is none
            raise TypeError("it cannot be pickled: {}".format(message_of(error))) from None


def save_table(port: str, value: Any, folder: str) -> None:
    """Writes a data frame (pandas, polars) or an Arrow table as Parquet."""
    path = os.path.join(folder, port + ".parquet")
    if hasattr(value, "to_parquet"):
        try:
            value.to_parquet(path)
        except ImportError:  # pandas has six lines to say about it
            message = "`{}` is a data frame, and without pyarrow it cannot be written".format(port)
            raise PlainError(
                "ImportError", message, "Add pyarrow to the package's `requirements`."
            ) from None
    elif hasattr(value, "write_parquet"):
        value.write_parquet(path)
    elif type(value).__module__.startswith("pyarrow"):
        __import__("pyarrow.parquet").parquet.write_table(value, path)
    else:
        raise TypeError("a `{}` is not a data frame or an Arrow table".format(type(value).__name__))


# ---- values -------------------------------------------------------------------------------------------


class EnoughFaultsError(Exception):
    """So many faults in one output that more would not help."""


class Plain:
    """Python values as plain JSON ones; what cannot be is a sentence in `problems`."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        self.above: set[int] = set()  # the containers that the present value stands in
        self.faults = 0

    def of(self, value: Any, port: str) -> Any:
        """The value of output `port` as JSON."""
        self.faults = 0
        try:
            return self.value(value, (port,))
        except EnoughFaultsError:
            self.problems[-1] = (self.problems[-1][0] + " (and there may be more)", port)
        except RecursionError:
            self.problems.append(("output `{}` is nested too deeply for JSON".format(port), port))
        finally:
            self.above.clear()
        return None

    def value(self, value: Any, path: tuple[Any, ...]) -> Any:
        """One value, anywhere inside."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is float:
            return value if value - value == 0 else self.fault(path, "is " + float_name(value))
        if kind is int:
            short = -MAX_INT < value < MAX_INT
            return value if short else self.fault(path, "is an integer of more than 4300 digits")
        if kind is str:
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    return self.fault(path, "is not valid Unicode (it holds a lone surrogate)")
            return value
        if kind is list and value and type(value[0]) is float and set(map(type, value)) == {float}:
            from math import isfinite

            if all(map(isfinite, value)):
                return value  # a million numbers: checked at C speed
        if id(value) in self.above:
            return self.fault(path, "contains itself")
        self.above.add(id(value))
        try:
            return self.made_plain(value, kind, path)
        finally:
            self.above.discard(id(value))

    def made_plain(self, value: Any, kind: type, path: tuple[Any, ...]) -> Any:
        """A value that is not plain yet, by what its class is or derives from."""
        if kind is list or kind is tuple:
            return [self.value(item, (*path, at)) for at, item in enumerate(value)]
        if kind is dict:
            return self.mapping(value, path)
        if hasattr(kind, "model_dump") or not issubclass(kind, dict):
            fields = fields_of_value(value)
            if fields is not None:
                return self.mapping(fields, path)
        for base in kind.__mro__:
            name = base.__module__ + "." + base.__qualname__
            if name in SCALARS:
                return self.value(SCALARS[name](value), path)
            if name == "datetime.datetime" and value != value:  # pandas' NaT
                return self.fault(path, "is NaT (not a time)")
            if name in TIMES:
                return value.isoformat()
            if name == "enum.Enum":
                return self.enumerated(value, path)
            if name == "builtins.dict":
                return self.mapping(value, path)
            if name in ("builtins.list", "builtins.tuple", "collections.deque"):
                return [self.value(item, (*path, at)) for at, item in enumerate(value)]
            if name in ("builtins.set", "builtins.frozenset"):
                return [self.value(item, (*path, at)) for at, item in enumerate(in_order(value))]
            if name == "numpy.generic":
                return self.numpy_scalar(value, path)
            if name == "numpy.ndarray":
                return self.numpy_array(value, path)
        if hasattr(kind, "__fspath__"):
            return self.value(os.fspath(value), path)
        if hasattr(kind, "tolist"):  # array.array, tensors, Series
            return self.value(value.tolist(), path)
        if kind.__name__ in ("range", "dict_keys", "dict_values"):
            return [self.value(item, (*path, at)) for at, item in enumerate(value)]
        return self.fault(
            path, "is a `{}`, which JSON cannot carry{}".format(*refused_value(value))
        )

    def mapping(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A dict; its keys become text, and two that become the same text are a fault."""
        made: dict[str, Any] = {}
        for key, item in value.items():
            text = (
                self.value(str.__str__(key), (*path, "a key"))
                if isinstance(key, str)
                else self.key(key)
            )
            if text is None and isinstance(key, str):
                continue  # not valid Unicode, which has been said
            if text is None:
                shown = repr(key)[:80]
                self.fault(
                    path, "has the key {}: a `{}`, not text".format(shown, type(key).__name__)
                )
            elif text in made:
                self.fault(path, "has two keys that both read `{}` as text".format(text))
            else:
                made[text] = self.value(item, (*path, key))
        return made

    def key(self, key: Any) -> str | None:
        """A dict's key as text, None when it has no evident one."""
        if isinstance(key, str):
            return str.__str__(key)
        plain = Plain([]).of(key, "") if not isinstance(key, (bool, float, tuple)) else None
        return str(plain) if isinstance(plain, (str, int)) else None

    def enumerated(self, value: Any, path: tuple[Any, ...]) -> Any:
        """An enum's member: its value where that is plain, else its name."""
        inner = value.value
        plain = inner is None or isinstance(inner, (str, int, float))
        return self.value(inner, path) if plain else value.name

    def numpy_scalar(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A numpy scalar; its dtype's kind is one letter."""
        letter = value.dtype.kind
        if letter in "biu":
            return value.item()
        if letter == "f":
            return self.value(float(value), path)
        if letter == "M":
            return str(value) if value == value else self.fault(path, "is NaT (not a time)")
        if letter == "m" and value == value:
            return self.value(value.astype("timedelta64[us]").item(), path)
        return self.fault(path, "is a `numpy.{}`, which JSON cannot carry".format(value.dtype.name))

    def numpy_array(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A numpy array as nested lists; the first element that is not finite is named."""
        letter = value.dtype.kind
        if letter in "biu":
            return value.tolist()
        if letter == "f":
            numpy = sys.modules["numpy"]
            wrong = numpy.argwhere(~numpy.isfinite(value))
            if hasattr(value, "mask"):
                return self.value(value.tolist(), path)  # what is masked is None
            if len(wrong):
                for at in wrong[:SHOWN_FAULTS]:
                    bad = float_name(float(value[tuple(at)]))
                    self.fault((*path, *map(int, at)), "is " + bad)
                return None
            return value.astype(float).tolist()
        if value.ndim == 0:
            return self.value(value[()], path)
        return [self.value(item, (*path, at)) for at, item in enumerate(value)]

    def fault(self, path: tuple[Any, ...], what: str) -> None:
        """Notes that the value at `path` cannot be carried."""
        inner = "".join(
            ".{}".format(step) if isinstance(step, str) else "[{!r}]".format(step)
            for step in path[1:]
        )
        self.problems.append(("output `{}{}` {}".format(path[0], inner, what), path[0] + inner))
        self.faults += 1
        if self.faults >= SHOWN_FAULTS:
            raise EnoughFaultsError


SCALARS: dict[str, Callable[[Any], Any]] = {
    "builtins.str": str.__str__,
    "builtins.int": int.__pos__,
    "builtins.float": float.__pos__,
    "decimal.Decimal": float,
    "fractions.Fraction": float,
    "uuid.UUID": str,
    "datetime.timedelta": lambda value: duration_text(value),
}
TIMES = ("datetime.datetime", "datetime.date", "datetime.time")


def refused_value(value: Any) -> tuple[str, str]:
    """The class's name, and what to do instead."""
    name = type(value).__name__
    if hasattr(value, "__next__") or hasattr(value, "__anext__"):
        return name, ": return a list of its items"
    if name == "complex":
        return name, ": return its real and imaginary parts"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return name, ": write a file and return its path, or return base64 text"
    if hasattr(value, "to_dict"):
        return name, ": declare the output as a Table, or return a dict or a list"
    return name, ""


def float_name(value: float) -> str:
    return "NaN" if value != value else "infinity" if value > 0 else "-infinity"


def in_order(values: Any) -> list[Any]:
    """A set's members sorted where they can be, so that equal sets make equal outputs."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (type(value).__name__, repr(value)))


def duration_text(value: Any) -> str:
    """A timedelta in ISO 8601: `P1DT2H3M4.5S`."""
    sign = "-" if value.days < 0 else ""
    value = abs(value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = "{}D".format(value.days) if value.days else ""
    time = "".join("{}{}".format(n, unit) for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if value.microseconds:
        time += "{}.{:06d}".format(seconds, value.microseconds).rstrip("0") + "S"
    elif seconds or not (days or time):
        time += "{}S".format(seconds)
    return sign + "P" + days + ("T" + time if time else "")


# ---- failures -----------------------------------------------------------------------------------------


def failed(error: BaseException, stage: str, handler: str) -> int:
    """Records why the run failed, in `out/_runner_error.json` and on standard error; the exit code."""
    code = 1
    kind, message, hint, trace = type(error).__qualname__, message_of(error), "", ""
    if isinstance(error, PlainError):
        kind, message, hint = error.kind, error.message, error.hint
    elif isinstance(error, SystemExit):
        code, message = exit_of(error, stage)
        trace = traceback_of(error)
    else:
        if isinstance(error, cancelled_class()):
            code, message = 143, message if str(error) else "the run was asked to stop"
        elif isinstance(error, KeyboardInterrupt):
            code, message = 130, "the run was interrupted"
        elif stage == "import":
            message = "module `{}` cannot be imported: {}".format(
                handler.partition(":")[0], message
            )
        trace = traceback_of(error)
        hint = hint_for(error, handler)
    record: dict[str, Any] = {"error": message, "type": kind}
    if trace:
        record["traceback"] = trace
    if hint:
        record["hint"] = hint
    problems = list(getattr(error, "problems", ())) if isinstance(error, PlainError) else []
    if problems:
        record["problems"] = [
            {"message": text, "path": path or None} for text, path in problems[:PROBLEMS_LIMIT]
        ]
    is_sent = getattr(sys.modules.get(CALLER), "is_sent", None)
    if code != 143 and not (is_sent and is_sent(error)):
        flush_streams()
        say(
            trace if trace and not isinstance(error, SystemExit) else "{}: {}".format(kind, message)
        )
        if hint:
            say("hint: " + hint)
    try:
        time = standard("time")
        record["ts"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_file(os.path.join(OUT, "_runner_error.json"), fitting(record))
    except OSError as reason:
        say("kedge: the error could not be written to out/: {}".format(reason))
    return code


def fitting(record: dict[str, Any]) -> str:
    """The JSON of an error, its texts cut until all of it is within the limit."""
    limit = TEXT_LIMIT
    while True:
        text = write_json(printable(record, limit))
        if len(text.encode()) <= ERROR_LIMIT:
            return text
        limit //= 2  # JSON writes a control character as six: only the whole can be measured


def printable(value: Any, limit: int = TEXT_LIMIT) -> Any:
    """Plain values whose texts are valid Unicode within a limit: lone surrogates are written out."""
    if isinstance(value, str):
        return cut(value, limit)
    if isinstance(value, dict):
        return {key: printable(one, limit) for key, one in value.items()}
    return [printable(one, limit) for one in value] if isinstance(value, list) else value


def cut(text: str, limit: int) -> str:
    """The text; of one that is longer than `limit` bytes its beginning and its end."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        mark = "\n[… {} bytes are left out here …]\n"
        half = (limit - len(mark.format(len(data)).encode())) // 2
        left_out = mark.format(len(data) - 2 * half).encode()
        data = data[:half] + left_out + data[-half:]
    return data.decode("utf-8", "ignore")  # a character may have been cut in two


def exit_of(error: SystemExit, stage: str) -> tuple[int, str]:
    """Exit code and sentence for `sys.exit(…)`: leaving without a result is a failure in any case."""
    doing = "while its module was imported" if stage == "import" else "before it returned"
    code = error.code
    if isinstance(code, int) and not isinstance(code, bool):
        return (code & 255) or 1, "the function called sys.exit({}) {}".format(code, doing)
    if code is None:
        return 1, "the function called sys.exit() {}".format(doing)
    return 1, message_of(error)


def message_of(error: BaseException) -> str:
    """The exception's text; its class where it has none or cannot say it."""
    try:
        return cut(str(error), MESSAGE_LIMIT) or type(error).__qualname__
    except BaseException:
        return "{} (its __str__ failed)".format(type(error).__qualname__)


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it, without frames of the runner and the import system."""
    try:
        traceback = standard("traceback")
        report = traceback.TracebackException(type(error), error, error.__traceback__)
        seen: set[int] = set()
        pending = [report]
        while pending:  # chained exceptions and groups, to any depth
            one = pending.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            one.stack[:] = users_frames(one.stack)
            pending += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]
        if not report.stack and len(seen) == 1 and not getattr(report, "exceptions", None):
            return "".join(report.format_exception_only())
        return "".join(report.format())
    except BaseException as reason:  # out of memory, or an exception that fights being shown
        return "{}: {}\n(no traceback: {})\n".format(
            type(error).__qualname__, message_of(error), type(reason).__name__
        )


def users_frames(stack: Iterable[Any]) -> list[Any]:
    """Frames from the user's first one on; asyncio stands between it and the runner."""
    own = (main.__code__.co_filename, os.path.join(WORKSPACE, CALLER + ".py"))
    frames = [
        f for f in stack if f.filename not in own and not f.filename.startswith("<frozen importlib")
    ]
    asyncio = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep
    for at, frame in enumerate(frames):
        if not frame.filename.startswith(asyncio):
            return frames[at:]
    return frames


def hint_for(error: BaseException, handler: str) -> str:
    """What to do about errors whose reason lies in the runtime, not in the code."""
    pending: list[Any] = [error]
    for one in pending:  # grows while it is walked
        if len(pending) < 100:
            pending += [e for e in (one.__cause__, one.__context__) if e is not None]
            pending += getattr(one, "exceptions", ())
        if isinstance(one, ImportError):
            return import_hint(one, handler)
    return ""


def import_hint(error: ImportError, handler: str) -> str:
    """What to do about a module that is not there."""
    name = error.name or ""
    if name == "kedge" and "cannot import name" in str(error):
        return "Inside a run `kedge` has: {}.".format(", ".join(sorted(SHIM)))
    if not isinstance(error, ModuleNotFoundError) or not name:
        return ""
    top = name.partition(".")[0]
    path = os.path.join(WORKSPACE, *name.split("."))
    if handler.startswith((name + ".", name + ":")) or os.path.exists(os.path.join(WORKSPACE, top)):
        return "The package has no file {}.py.".format(os.path.relpath(path, WORKSPACE))
    if top in getattr(sys, "stdlib_module_names", ()):
        return "This Python was built without `{}`.".format(top)
    if not handler:
        return (
            "What is imported has to be installed, or in a folder of the caller's `sys.path` that a run may see; "
            "no run sees your home, Kedge's folder or /tmp as a whole."
        )
    if handler.startswith(CALLER):
        return "Add what provides `{}` to `pip`.".format(top)
    return "Add what provides `{}` to the package's `requirements`.".format(top)


# ---- the shim -----------------------------------------------------------------------------------------


class ShimFinder:
    """Last on `sys.meta_path`: `import kedge` finds an installed one first, else this shim."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        """The shim's specification."""
        if name != "kedge":
            return None
        specification = (
            type(sys.__spec__) if sys.__spec__ else standard("importlib.machinery").ModuleSpec
        )
        return specification(name, self, origin="the Kedge runner")  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """Python's own kind of module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fills the module."""
        module.__doc__ = "What a function finds of Kedge inside its runtime."
        module.__dict__.update(SHIM)
        module.__dict__["__all__"] = sorted(SHIM)
        module.__dict__["__getattr__"] = missing_name


def missing_name(name: str) -> Any:
    """Module `__getattr__` of the shim."""
    raise AttributeError(
        "inside a run, module 'kedge' has no attribute '{}'; it has: {} "
        "(for more, add kedge to the package's `requirements`)".format(
            name, ", ".join(sorted(SHIM))
        )
    )


def progress(step: Any = None, total: Any = None, message: Any = None, **more: Any) -> None:
    """Tells how far the run is. Never fails a run; outside of one it does nothing.

    Args:
        step: the step that is done, a number.
        total: how many there are.
        message: what is done, a text.
        more: anything else to be kept with it, by name.

    >>> from kedge import progress
    >>> progress(3, 10, "meshing", residual=1e-3)
    """
    named = {"step": step, "total": total, "message": message}
    event: dict[str, Any] = {}
    for key, value in {**named, **more}.items():
        if value is None and key in named:
            continue
        faults: list[tuple[str, str]] = []
        plain = Plain(faults).of(value, key)
        event[key] = plain if not faults else shown(value)
    line = progress_line(event)
    if len(line) > PROGRESS_LIMIT:
        event = {
            key: event[key] for key in ("step", "total") if type(event.get(key)) in (int, float)
        }
        line = progress_line({**event, "message": shown(message or "")[:4096], "truncated": True})
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        file = os.open(os.path.join(OUT, "progress.jsonl"), flags, 0o666)
        try:
            os.write(file, line)  # one write: lines of threads and processes do not mix
        finally:
            os.close(file)
    except OSError:
        pass  # run alone, without out/; or a full disk, which the results will meet too


def shown(value: Any) -> str:
    """Any value as text, also one that refuses."""
    try:
        return str(value)
    except Exception:
        return "<{}>".format(type(value).__name__)


def progress_line(event: dict[str, Any]) -> bytes:
    return (write_json(event) + "\n").encode("utf-8", "backslashreplace")


class Unit:
    """The unit of a number, in an annotation.

    Args:
        unit: such as `mm`, `N/mm**2`.

    >>> from typing import Annotated
    >>> from kedge import Unit
    >>> def area(width: Annotated[float, Unit("mm")]) -> Annotated[float, Unit("mm**2")]:
    ...     return width * width
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def __repr__(self) -> str:
        return "Unit({!r})".format(self.unit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unit) and other.unit == self.unit

    def __hash__(self) -> int:
        return hash(("Unit", self.unit))


class File:
    """A file, in an annotation: `File`, `File["step", "iges"]`. The function gets a `pathlib.Path`."""

    __kedge_kind__ = "file"
    extensions: tuple[str, ...] = ()

    def __class_getitem__(cls, extensions: Any) -> type:
        names = extensions if isinstance(extensions, tuple) else (extensions,)
        names = tuple(str(name).lstrip(".").lower() for name in names)
        return type("{}[{}]".format(cls.__name__, ", ".join(names)), (cls,), {"extensions": names})


class Folder(File):
    """A folder, in an annotation. The function gets its `pathlib.Path`."""

    __kedge_kind__ = "folder"


def out_path(port: str, extension: str = "") -> Any:
    """The `pathlib.Path` where the file of an output belongs. Big results go straight there.

    Args:
        port: the name of the output.
        extension: of the file, with its dot or without.

    Raises:
        ValueError: that is not the name of a port.

    >>> from kedge import out_path
    >>> out_path("mesh", ".med").name
    'mesh.med'
    """
    if not port or "/" in port or "." in port:
        raise ValueError("`{}` is not the name of an output port".format(port))
    from pathlib import Path

    folder = os.path.join(OUT, "files")
    os.makedirs(folder, exist_ok=True)
    return Path(folder, port + ("." + extension.lstrip(".") if extension else ""))


def function(target: Any = None, **_options: Any) -> Any:
    """`kedge.function`: inside a run it leaves the function as it is."""
    if target is None:
        return lambda decorated: decorated
    return target


SHIM = {
    "Cancelled": Cancelled,
    "File": File,
    "Folder": Folder,
    "Unit": Unit,
    "function": function,
    "out_path": out_path,
    "progress": progress,
}
for _shown in SHIM.values():
    _shown.__module__ = "kedge"  # as which it is known, in tracebacks too


# ---- annotations --------------------------------------------------------------------------------------

DESCRIBING = [
    "ast", "collections.abc", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions",
    "inspect", "pathlib", "re", "typing", "uuid",
]  # fmt: skip
TYPING = ("typing", "typing_extensions")
QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar", "InitVar")
SEQUENCES = (
    "builtins.list", "collections.deque", "collections.abc.Sequence", "collections.abc.MutableSequence",
    "collections.abc.Collection", "collections.abc.Iterable",
)  # fmt: skip
SETS = ("builtins.set", "builtins.frozenset", "collections.abc.Set", "collections.abc.MutableSet")
MAPPINGS = (
    "builtins.dict", "collections.OrderedDict", "collections.defaultdict",
    "collections.abc.Mapping", "collections.abc.MutableMapping",
)  # fmt: skip


class UnreadableError(Exception):
    """An annotation that says nothing Kedge can use; the text says why."""


class Form:
    """A generic annotation read from text; looks like typing's own, on every Python version."""

    def __init__(self, origin: Any, args: tuple[Any, ...], metadata: tuple[Any, ...] = ()) -> None:
        self.__origin__ = origin
        self.__args__ = args
        if metadata:
            self.__metadata__ = metadata


class Scope:
    """Where names in an annotation's text are looked up: a module that has been imported."""

    def __init__(self, names: dict[str, Any], file: str | None = None) -> None:
        self.names = names
        self.file = file
        self.read: dict[str, Any] = {}
        self.source: SourceScope | None = None

    def find(self, dotted: str) -> Any:
        """The object that a dotted name means; LookupError when there is none."""
        import builtins

        first, *rest = dotted.split(".")
        if first in self.names:
            found = self.names[first]
        elif hasattr(builtins, first):
            found = getattr(builtins, first)
        else:  # imported under `if TYPE_CHECKING:` only
            if self.source is None and self.file and self.file.endswith(".py"):
                try:
                    self.source = SourceScope(WORKSPACE, self.names.get("__name__", ""), self.file)
                except (OSError, SyntaxError, ValueError):
                    raise LookupError(dotted) from None
            if self.source is None:
                raise LookupError(dotted)
            return self.source.find(dotted)
        for name in rest:
            if not hasattr(found, name):
                raise LookupError(dotted)
            found = getattr(found, name)
        return found

    def value(self, node: ast.expr) -> Any:
        """The value of an expression that is not a type: `Unit("mm")`, `Field(ge=0)`."""
        import ast

        return eval(compile(ast.Expression(node), "<annotation>", "eval"), self.names)

    def annotation(self, text: str) -> Any:
        """The annotation that `text` spells."""
        import ast

        if text not in self.read:
            try:
                node = ast.parse("(\n{}\n)".format(text.strip()), mode="eval").body
                self.read[text] = built(node, self)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                raise UnreadableError("`{}` is not an annotation".format(text[:80])) from None
        return self.read[text]


def built(node: ast.expr, scope: Scope) -> Any:
    """An annotation's syntax as objects, without asking this Python whether it can evaluate it."""
    import ast

    if isinstance(node, ast.Constant) and (node.value is None or node.value is Ellipsis):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return scope.annotation(node.value)
    if isinstance(node, (ast.Name, ast.Attribute)):
        dotted = dotted_name(node)
        try:
            return scope.find(dotted)
        except LookupError:
            raise UnreadableError("`{}` is not defined".format(dotted)) from None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Form(union_form(), (part_of(node.left, scope), part_of(node.right, scope)))
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(built(item, scope) for item in node.elts)
    if isinstance(node, ast.Subscript):
        return subscripted(node, scope)
    if isinstance(node, ast.Call):
        try:
            return scope.value(node)
        except Exception as reason:
            raise UnreadableError(message_of(reason)) from None
    raise UnreadableError("a {} is not an annotation".format(type(node).__name__))


def subscripted(node: ast.Subscript, scope: Scope) -> Any:
    """`origin[args]`; Literal and Annotated hold values besides types."""
    import ast

    origin = built(node.value, scope)
    inner: Any = node.slice
    if type(inner).__name__ == "Index":  # Python 3.8
        inner = inner.value
    parts: list[ast.expr] = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    name = special_name(origin)
    if name == "Literal":
        return Form(origin, tuple(literal_value(part, scope) for part in parts))
    if name == "Annotated":
        metadata = []
        for part in parts[1:]:
            try:
                metadata.append(scope.value(part))
            except Exception:
                metadata.append(UnreadableError(ast.dump(part)))  # what it would say stays unsaid
        return Form(built(parts[0], scope), (), tuple(metadata))
    if name == "Optional":
        return Form(union_form(), (part_of(parts[0], scope), None))
    if hasattr(origin, "__kedge_kind__"):
        return origin[tuple(literal_value(part, scope) for part in parts)]
    args = tuple(part_of(part, scope) for part in parts)
    if name == "Union":
        return Form(origin, args)
    return Form(getattr(origin, "__origin__", None) or origin, args)


def part_of(node: ast.expr, scope: Scope) -> Any:
    """A part of an annotation; one that cannot be read is a value too, and harms no other part."""
    try:
        return built(node, scope)
    except UnreadableError as reason:
        return reason


def literal_value(node: ast.expr, scope: Scope) -> Any:
    """A value spelt in an annotation: a literal, or an enum's member by name."""
    import ast

    try:
        return ast.literal_eval(node)
    except ValueError:
        return built(node, scope)


def dotted_name(node: ast.expr) -> str:
    """`a.b.c` as text; UnreadableError for anything that is not names and dots."""
    import ast

    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return dotted_name(node.value) + "." + node.attr
    raise UnreadableError("a {} is not a name".format(type(node).__name__))


def union_form() -> Any:
    import typing

    return typing.Union


def special_name(form: Any) -> str:
    """`Literal` for typing.Literal and its like, and for what the backports call so; else empty."""
    if getattr(form, "__module__", "") in TYPING or type(form).__module__ in TYPING:
        return str(getattr(form, "_name", None) or getattr(form, "__name__", None) or "")
    return ""


def qualified(thing: Any) -> str:
    """`module.name` of a class, empty for what is not one."""
    if not isinstance(thing, (type, SourceClass)):
        return ""
    module = thing.__module__
    if module.startswith("pathlib."):  # 3.13 keeps its classes in a private module
        module = "pathlib"
    return "{}.{}".format(module, thing.__qualname__)


def split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a generic annotation; `(annotation, ())` for a plain one."""
    if type(annotation).__name__ == "UnionType":  # int | str, 3.10 to 3.13
        return union_form(), annotation.__args__
    origin = getattr(annotation, "__origin__", None)
    args = getattr(annotation, "__args__", None if isinstance(annotation, type) else ())
    if origin is None or not isinstance(
        args, tuple
    ):  # a class of such forms has these as descriptors
        return annotation, ()
    return origin, tuple(None if arg is type(None) else arg for arg in args)


def bare(annotation: Any, scope: Scope) -> tuple[Any, Scope, list[Any], list[str]]:
    """An annotation without text, aliases, Annotated and qualifiers, which come back beside it."""
    metadata: list[Any] = []
    qualifiers: list[str] = []
    for _ in range(50):
        kind = type(annotation).__name__
        if isinstance(annotation, UnreadableError):
            raise annotation
        if isinstance(annotation, str):
            annotation = scope.annotation(annotation)
        elif hasattr(annotation, "__forward_arg__"):
            module = getattr(annotation, "__forward_module__", None)
            if isinstance(module, str) and module in sys.modules:
                scope = scope_of_module(module)
            annotation = annotation.__forward_arg__
        elif hasattr(annotation, "__metadata__"):
            metadata[:0] = annotation.__metadata__
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        elif kind == "TypeAliasType":  # type X = ...
            scope = scope_of_module(annotation.__module__)
            annotation = alias_value(annotation)
        elif kind == "TypeVar":
            limits = getattr(annotation, "__constraints__", ())
            annotation = Form(union_form(), limits) if limits else annotation.__bound__ or object
        else:
            origin, args = split(annotation)
            name = special_name(origin)
            if name in QUALIFIERS and args:
                qualifiers.append(name)
                annotation = args[0]
            elif type(annotation).__name__ == "InitVar":
                annotation = annotation.type
            elif type(origin).__name__ == "TypeAliasType":
                annotation = alias_value(origin, args)
            elif name in ("Union", "Literal") and not args:
                raise UnreadableError("`{}` alone says nothing".format(name))
            else:
                return annotation, scope, metadata, qualifiers
    raise UnreadableError("it refers to itself")


def alias_value(alias: Any, args: tuple[Any, ...] = ()) -> Any:
    """What `type X = …` stands for, with its parameters filled in where Python can."""
    try:
        value = alias.__value__
    except NameError as reason:
        raise UnreadableError(message_of(reason)) from None
    try:
        return value[args] if args else value
    except TypeError:
        return value


def scope_of_module(name: str) -> Scope:
    """The scope of an imported module, the same one every time."""
    if name not in SCOPES:
        module = sys.modules.get(name)
        SCOPES[name] = Scope(getattr(module, "__dict__", {}), getattr(module, "__file__", None))
    return SCOPES[name]


SCOPES: dict[str, Scope] = {}


def annotations_of(thing: Any) -> dict[str, Any]:
    """The annotations of a function or of a class itself, those that fail as forward references."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return dict(annotationlib.get_annotations(thing, format=annotationlib.Format.FORWARDREF))
    if isinstance(thing, type):
        return dict(vars(thing).get("__annotations__", {}))  # its own, not a base's
    return dict(getattr(thing, "__annotations__", None) or {})


class Field:
    """One field of a class with fields."""

    def __init__(
        self, name: str, annotation: Any, scope: Scope, required: bool, default: Any = ...
    ) -> None:
        self.name = name
        self.annotation = annotation
        self.scope = scope
        self.required = required
        self.default = default


def fields_of(kind: Any) -> list[Field] | None:
    """The fields of a TypedDict, dataclass or NamedTuple; None for every other class."""
    if isinstance(kind, SourceClass):
        return kind.fields()
    if not isinstance(kind, type):
        return None
    if issubclass(kind, dict) and hasattr(kind, "__total__"):
        scope = scope_of_module(kind.__module__)
        needed = getattr(kind, "__required_keys__", None)
        fields = []
        for name, annotation in annotations_of(kind).items():
            required = kind.__total__ if needed is None else name in needed
            fields.append(Field(name, annotation, scope, bool(required)))
        return [with_qualifiers(field) for field in fields]
    if "__dataclass_fields__" in dir(kind):
        import dataclasses

        fields = []
        for one in dataclasses.fields(kind):
            scope = scope_of_module(kind.__module__)
            for base in kind.__mro__:
                if one.name in base.__dict__.get("__dataclass_fields__", {}):
                    scope = scope_of_module(base.__module__)  # the last: where it was written
            default: Any = ... if one.default is dataclasses.MISSING else one.default
            required = default is ... and one.default_factory is dataclasses.MISSING
            if one.init:
                fields.append(Field(one.name, one.type, scope, required, default))
        return fields
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        scope = scope_of_module(kind.__module__)
        known = annotations_of(kind)
        for base in kind.__mro__:
            known = {**annotations_of(base), **known} if hasattr(base, "_fields") else known
        defaults = getattr(kind, "_field_defaults", {})
        return [
            Field(
                name, known.get(name, object), scope, name not in defaults, defaults.get(name, ...)
            )
            for name in kind._fields
        ]
    return None


def with_qualifiers(field: Field) -> Field:
    """A TypedDict's field; Required and NotRequired inside text are not seen by typing itself."""
    try:
        _, _, _, qualifiers = bare(field.annotation, field.scope)
    except UnreadableError:
        return field  # its schema will say so
    if "NotRequired" in qualifiers:
        field.required = False
    elif "Required" in qualifiers:
        field.required = True
    return field


def members_of(kind: Any) -> list[tuple[str, Any]] | None:
    """Names and JSON values of an enum's members; names stand in for values that are not plain."""
    if isinstance(kind, SourceClass):
        return kind.members()
    import enum

    if not isinstance(kind, type) or not issubclass(kind, enum.Enum):
        return None
    pairs = [(member.name, member.value) for member in kind]
    plain = all(value is None or isinstance(value, (str, int, float)) for _, value in pairs)
    return [(name, Plain([]).of(value, name) if plain else name) for name, value in pairs]


# ---- schemas ------------------------------------------------------------------------------------------

PLAIN_TYPES: dict[str, Schema] = {
    "builtins.int": {"type": "integer"},
    "builtins.float": {"type": "number"},
    "builtins.str": {"type": "string"},
    "builtins.bool": {"type": "boolean"},
    "builtins.NoneType": {"type": "null"},
}
CONVERTED_TYPES: dict[str, Schema] = {
    "datetime.date": {"type": "string", "format": "date"},
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "datetime.time": {"type": "string", "format": "time"},
    "datetime.timedelta": {"type": "string", "format": "duration"},
    "decimal.Decimal": {"type": "number"},
    "fractions.Fraction": {"type": "number"},
    "uuid.UUID": {"type": "string", "format": "uuid"},
}
PATHS = (
    "pathlib.Path",
    "pathlib.PurePath",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "os.PathLike",
)
FILE: Schema = {"type": "string", "format": "binary"}
BOUNDS = (
    ("ge", "minimum", "number"),
    ("gt", "exclusiveMinimum", "number"),
    ("le", "maximum", "number"),
    ("lt", "exclusiveMaximum", "number"),
    ("multiple_of", "multipleOf", "number"),
    ("min_length", "min", "length"),
    ("max_length", "max", "length"),
    ("pattern", "pattern", "text"),
)


class Reader:
    """Annotations → schemas. What cannot be read becomes `{}` and a warning, and harms no other.

    `files` says whether a file may stand where the annotation stands: 2 for a port of its own, 1 for
    the items of a port's list, 0 elsewhere (a path inside a structure travels as text).
    """

    def __init__(self, output: bool) -> None:
        self.output = output
        self.warnings: list[dict[str, str]] = []
        self.path: list[str] = []
        self.converts = False  # whether the value has to be made from JSON
        self.optional = False  # a file that may be None, which is the port not being given
        self.above: list[int] = []

    def port(self, name: str, annotation: Any, scope: Scope) -> Schema:
        """The schema of one port; `converts` and `optional` speak of it afterwards."""
        self.path, self.converts, self.optional = [name], False, False
        return self.schema(annotation, scope, 2)

    def warn(self, message: str) -> None:
        """Notes something about what is being read."""
        self.warnings.append({"path": ".".join(self.path), "message": message})

    def schema(self, annotation: Any, scope: Scope, files: int = 0) -> Schema:
        """The schema of one annotation, wherever it stands."""
        try:
            core, scope, metadata, _ = bare(annotation, scope)
            if id(core) in self.above or len(self.above) > 30:
                raise UnreadableError("it contains itself, and inside itself it is not followed")
            marker = [m for m in metadata if hasattr(m, "__kedge_kind__")]
            made = self.core(marker[0] if marker else core, scope, files)
        except UnreadableError as reason:
            self.warn("{}; any value is accepted".format(reason))
            return {}
        self.annotate(made, metadata)
        return made

    def within(self, core: Any, annotation: Any, scope: Scope, files: int = 0) -> Schema:
        """The schema of a part of `core`."""
        self.above.append(id(core))
        try:
            return self.schema(annotation, scope, files)
        finally:
            self.above.pop()

    def core(self, core: Any, scope: Scope, files: int) -> Schema:
        """The schema of an annotation without wrapping, by what it is."""
        if core is None or core is type(None):
            return {"type": "null"}
        if core is object or special_name(core) == "Any":
            return {}
        origin, args = split(core)
        special, name = special_name(origin), qualified(origin)
        if special == "Union":
            return self.union(core, args, scope, files)
        if special == "Literal":
            return self.literal(args)
        if hasattr(origin, "__kedge_kind__") or name in PATHS:
            return self.file(origin, files)
        if name in PLAIN_TYPES:
            return dict(PLAIN_TYPES[name])
        if name in CONVERTED_TYPES:
            self.converts = True
            return dict(CONVERTED_TYPES[name])
        if name in SEQUENCES:
            self.converts = self.converts or name == "collections.deque"
            items = self.within(core, args[0], scope, max(files - 1, 0)) if args else {}
            return {"type": "array", "items": items} if items else {"type": "array"}
        if name in SETS:
            self.converts = True
            items = self.within(core, args[0], scope) if args else {}
            return {"type": "array", **({"items": items} if items else {}), "uniqueItems": True}
        if name == "builtins.tuple":
            return self.fixed(core, args, scope)
        if name in MAPPINGS:
            return self.mapping(core, args, scope)
        members = members_of(origin)
        if members is not None:
            self.converts = True
            return {"enum": [v for _, v in members], "x-enum-names": [n for n, _ in members]}
        if hasattr(origin, "model_json_schema") or hasattr(origin, "__fields_set__"):
            return self.pydantic(origin)
        fields = fields_of(origin)
        if fields is not None:
            return self.struct(core, origin, fields)
        return self.foreign(origin, args, name, files)

    def union(self, core: Any, args: tuple[Any, ...], scope: Scope, files: int) -> Schema:
        """`anyOf`; a file or nothing is a file, and a path given as text or Path is a file."""
        arms: list[Schema] = []
        for arg in args:
            one = self.within(core, arg, scope, files)
            if not one:
                return {}
            arms += [arm for arm in one.get("anyOf", [one]) if arm not in arms]
        if {"type": "number"} in arms and {"type": "integer"} in arms:
            arms.remove({"type": "integer"})
        big = [arm for arm in arms if is_big(arm)]
        rest = [arm for arm in arms if arm not in big and arm != {"type": "null"}]
        if files == 2 and len(big) == 1 and all(arm == {"type": "string"} for arm in rest):
            self.optional = {"type": "null"} in arms
            return big[0]
        return arms[0] if len(arms) == 1 else {"anyOf": arms}

    def literal(self, values: tuple[Any, ...]) -> Schema:
        """`enum`, with the values of an enum's members."""
        made = []
        for value in values:
            if hasattr(value, "value") and hasattr(value, "name"):
                self.converts = True
                value = dict(members_of(type(value)) or {}).get(value.name, value.value)
            if value is not None and not isinstance(value, (str, int, float)):
                raise UnreadableError("the literal `{!r}` has no form in JSON".format(value))
            made.append(value)
        return {"enum": made}

    def file(self, origin: Any, files: int) -> Schema:
        """A file or a folder; as text where no file may stand."""
        if not files:
            self.converts = True
            self.warn("a Path inside a structure travels as text; make it a port to send the file")
            return {"type": "string"}
        if getattr(origin, "__kedge_kind__", "") == "folder":
            return {**FILE, "x-type": "Folder"}
        extensions = list(getattr(origin, "extensions", ()))
        return {**FILE, "x-extensions": extensions} if extensions else dict(FILE)

    def fixed(self, core: Any, args: tuple[Any, ...], scope: Scope) -> Schema:
        """A list of any length, or of given items."""
        self.converts = True
        if len(args) == 2 and args[1] is Ellipsis:
            items = self.within(core, args[0], scope)
            return {"type": "array", "items": items} if items else {"type": "array"}
        if not args or args == ((),):
            return {"type": "array"}
        made = [self.within(core, arg, scope) for arg in args]
        size = {"minItems": len(made), "maxItems": len(made)}
        if all(one == made[0] for one in made):
            return {"type": "array", "items": made[0], **size}
        return {"type": "array", "prefixItems": made, "items": False, **size}

    def mapping(self, core: Any, args: tuple[Any, ...], scope: Scope) -> Schema:
        """An object with any keys; JSON's keys are text, and others are made from it."""
        if len(args) != 2:
            return {"type": "object"}
        kept = self.converts
        self.converts = False
        key = self.within(core, args[0], scope)
        self.converts = kept or self.converts or key.get("type") in ("integer", "number")
        if key.get("type") in ("array", "object", "boolean", "null"):
            self.warn("keys are text in JSON, and cannot be made from the annotation's")
        values = self.within(core, args[1], scope)
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}

    def struct(self, core: Any, origin: Any, fields: list[Field], files: int = 0) -> Schema:
        """A class with fields; `files` is 2 where each field is a port."""
        typed_dict = getattr(origin, "__total__", None) is not None
        self.converts = self.converts or not typed_dict
        described = read_docstring(getattr(origin, "__doc__", None) or "")[1]
        properties: Schema = {}
        required = []
        for field in fields:
            self.path.append(field.name)
            self.optional = False
            one = self.within(core, field.annotation, field.scope, files)
            self.path.pop()
            if field.name in described:
                one.setdefault("description", described[field.name])
            if field.default is not ...:
                add_default(one, field.default)
            properties[field.name] = one
            if (field.required or (self.output and not typed_dict)) and not (
                files and self.optional
            ):
                required.append(field.name)
        made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if required or files:  # outputs: without `required` at all, every one of them is expected
            made["required"] = required
        return made

    def pydantic(self, model: Any) -> Schema:
        """A model's own schema, with its definitions written out where they are used."""
        self.converts = True
        try:
            if hasattr(model, "model_json_schema"):
                mode = "serialization" if self.output else "validation"
                whole = model.model_json_schema(mode=mode)
            else:
                whole = model.schema()
        except Exception as reason:
            raise UnreadableError(
                "pydantic has no schema for it: {}".format(message_of(reason))
            ) from None
        known = {**whole.get("definitions", {}), **whole.get("$defs", {})}
        made = self.inlined(whole, known, ())
        return made if isinstance(made, dict) else {}

    def inlined(self, part: Any, known: Schema, above: tuple[str, ...]) -> Any:
        """A schema without references and without pydantic's titles, which repeat the names."""
        if isinstance(part, list):
            return [self.inlined(item, known, above) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            name = part["$ref"].rpartition("/")[2]
            if name in above or name not in known:
                self.warn("`{}` contains itself; inside itself any value is accepted".format(name))
                return {}
            rest = {key: value for key, value in part.items() if key != "$ref"}
            return {**self.inlined(known[name], known, (*above, name)), **rest}
        made = {}
        for key, value in part.items():
            if key == "properties":
                made[key] = {name: self.inlined(one, known, above) for name, one in value.items()}
            elif key in ("default", "enum", "const", "examples"):
                made[key] = value
            elif key not in ("$defs", "definitions", "title"):
                made[key] = self.inlined(value, known, above)
        return made

    def foreign(self, origin: Any, args: tuple[Any, ...], name: str, files: int) -> Schema:
        """Classes of libraries that are known by name, and subclasses of the plain types."""
        module, _, last = name.rpartition(".")
        top = module.partition(".")[0]
        if top == "numpy" and last in ("ndarray", "NDArray"):
            return self.array(args, files)
        if top == "numpy" and not last.startswith("complex"):
            for prefix, kind in NUMPY_SCALARS:
                if last.startswith(prefix):
                    return {"type": kind}
        if top in ("pandas", "pyarrow", "polars") and last in ("DataFrame", "Table"):
            if files == 2:
                return {**FILE, "x-type": "Table", "x-extensions": ["parquet", "arrow"]}
            raise UnreadableError("a `{}` inside a structure cannot be carried".format(last))
        bases = (
            origin.ancestors()
            if isinstance(origin, SourceClass)
            else getattr(origin, "__mro__", ())
        )
        if isinstance(origin, (type, SourceClass)):
            for plain in (bool, int, float, str):
                if plain in bases:
                    self.converts = True
                    return dict(PLAIN_TYPES["builtins." + plain.__name__])
        shown = (
            name or special_name(origin) or getattr(origin, "__name__", None) or repr(origin)[:80]
        )
        raise UnreadableError("`{}` has no form in JSON".format(shown.replace("builtins.", "")))

    def array(self, args: tuple[Any, ...], files: int) -> Schema:
        """A numpy array: a file of its own as a port, plain lists inside a structure."""
        if files != 2:
            self.warn("an array inside a structure travels as nested lists")
            return {"type": "array"}
        dtype = dimensions = ""
        for arg in args:
            origin, inner = split(arg)
            if qualified(origin) == "numpy.dtype" and inner:
                origin = split(inner[0])[0]
            if qualified(origin) == "builtins.tuple" and inner and Ellipsis not in inner:
                dimensions = ", {}".format(len(inner))
            name = qualified(origin)
            if name.startswith("numpy.") and not getattr(origin, "__abstractmethods__", None):
                dtype = name[len("numpy.") :].rstrip("_")
        if dtype in ABSTRACT_DTYPES:
            self.warn("the array's element type is not said; float64 is taken")
            dtype = "float64"
        if dtype not in DTYPES:
            raise UnreadableError("an array of `{}` cannot be carried".format(dtype))
        return {**FILE, "x-type": "Array[{}{}]".format(dtype, dimensions), "x-extensions": ["npy"]}

    def annotate(self, made: Schema, metadata: list[Any]) -> None:
        """What Annotated adds: a description, a unit, bounds. All by duck type: no library is asked."""
        arms = [arm for arm in made.get("anyOf", [made]) if arm.get("type") != "null"]
        for one in flattened(metadata):
            text = one if isinstance(one, str) else getattr(one, "documentation", None)
            text = text or getattr(one, "description", None)
            if isinstance(text, str) and text:
                made.setdefault("description", text)
            unit = getattr(one, "unit", None)
            if unit is not None:
                for arm in arms:
                    arm["x-unit"] = str(unit)
            for attribute, keyword, applies in BOUNDS:
                bound = getattr(one, attribute, None)
                if bound is not None and not callable(bound):
                    for arm in arms:
                        add_bound(arm, keyword, applies, bound)
            if isinstance(one, UnreadableError):
                self.warn("a part of Annotated cannot be read: {}".format(one))


DTYPES = (
    "float16", "float32", "float64", "complex64", "complex128", "bool",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
ABSTRACT_DTYPES = ("", "generic", "number", "inexact", "floating")
NUMPY_SCALARS = (
    ("float", "number"), ("double", "number"), ("half", "number"), ("longdouble", "number"),
    ("uint", "integer"), ("int", "integer"), ("signedint", "integer"), ("unsignedint", "integer"),
    ("bool", "boolean"), ("str", "string"), ("number", "number"),
)  # fmt: skip


def is_big(schema: Schema) -> bool:
    """Whether the value travels as a file or files."""
    schema = schema.get("items") or schema
    return schema.get("format") == "binary"


def flattened(metadata: Iterable[Any]) -> Iterator[Any]:
    """Metadata one by one: pydantic's `Field(...)` holds others in `metadata`."""
    for one in metadata:
        yield one
        inner = getattr(one, "metadata", None)
        if isinstance(inner, (list, tuple)):
            yield from inner


def add_bound(schema: Schema, keyword: str, applies: str, bound: Any) -> None:
    """One bound on a schema of a type that it fits."""
    kind = schema.get("type")
    if applies == "length":
        suffix = {"string": "Length", "array": "Items", "object": "Properties"}.get(str(kind))
        if suffix and isinstance(bound, int):
            schema[keyword + suffix] = bound
    elif applies == "text":
        if kind == "string" and isinstance(bound, str):
            schema[keyword] = bound
    elif kind in ("number", "integer") and isinstance(bound, (int, float)) and bound - bound == 0:
        schema[keyword] = bound


def add_default(schema: Schema, default: Any) -> None:
    """`default` where JSON can say it, else a word in the description."""
    if default is None and (is_big(schema) or (schema and "anyOf" not in schema)):
        return  # `x: float = None`: left out rather than null, which the type does not admit
    faults: list[tuple[str, str]] = []
    text = None
    if hasattr(default, "__fspath__") or isinstance(default, UnreadableError):
        text = str(default)
    else:
        is_member = hasattr(type(default), "__members__")
        members = dict(members_of(type(default)) or {}) if is_member else {}
        plain = members.get(default.name) if is_member else Plain(faults).of(default, "default")
        if faults or is_big(schema):
            text = repr(default)
        else:
            schema["default"] = plain
    if text is not None:
        words = schema.get("description", "")
        schema["description"] = (words + " " if words else "") + "(default: {})".format(text[:200])


# ---- conversions --------------------------------------------------------------------------------------


class MismatchError(ValueError):
    """A value that is not what its annotation says."""


def convert_input(function: Callable[..., Any], name: str, value: Any) -> Any:
    """The Python object for input `name`, as the parameter's annotation has it."""
    inner = unwrapped(function)
    annotation = annotations_of(inner).get(name, object)
    scope = Scope(inner.__globals__, inner.__globals__.get("__file__"))
    try:
        return made_python(value, annotation, scope, name)
    except MismatchError as error:
        raise PlainError("InputError", str(error)) from None
    except UnreadableError:
        return value  # described as any value, and given as it came


def made_python(value: Any, annotation: Any, scope: Scope, path: str) -> Any:
    """`value` from JSON as the object that `annotation` names; MismatchError says where it cannot be."""
    core, scope, _, _ = bare(annotation, scope)
    origin, args = split(core)
    special, name = special_name(origin), qualified(origin)
    if core is None or core is type(None):
        return expect(value is None, value, "null", path)
    if special == "Union":
        return first_that_fits(value, args, scope, path)
    if special == "Literal":
        for one in args:
            if value == dict(members_of(type(one)) or {}).get(getattr(one, "name", ""), one):
                return one
        return expect(False, value, "one of {}".format(", ".join(map(repr, args))), path)
    if name in PLAIN_TYPES:
        kind = {"float": (int, float)}.get(origin.__name__, origin)
        fits = isinstance(value, kind) and (origin is bool or not isinstance(value, bool))
        expect(fits, value, "a `{}`".format(origin.__name__), path)
        return float(value) if origin is float else value
    if name in CONVERTED_TYPES:
        return converted(value, origin, name, path)
    if name in PATHS:
        return standard("pathlib").Path(expect(isinstance(value, str), value, "a path", path))
    if name in SEQUENCES + SETS + ("builtins.tuple",):
        expect(isinstance(value, list), value, "a list", path)
        return made_sequence(value, origin, name, args, scope, path)
    if name in MAPPINGS:
        expect(isinstance(value, dict), value, "an object", path)
        key, item = args if len(args) == 2 else (object, object)
        pairs = {
            made_key(k, key, scope, path): made_python(v, item, scope, "{}.{}".format(path, k))
            for k, v in value.items()
        }
        return pairs if name == "builtins.dict" or "abc" in name else made_mapping(origin, pairs)
    members = members_of(origin)
    if members is not None:
        for member, plain in members:
            if plain == value and isinstance(plain, bool) is isinstance(value, bool):
                return origin[member]
        known = ", ".join(repr(plain) for _, plain in members)
        return expect(False, value, "one of {}".format(known), path)
    if hasattr(origin, "model_validate"):
        return origin.model_validate(value)
    if hasattr(origin, "parse_obj") and hasattr(origin, "__fields_set__"):
        return origin.parse_obj(value)
    fields = fields_of(origin)
    if fields is not None:
        expect(isinstance(value, dict), value, "an object", path)
        made = {
            field.name: made_python(
                value[field.name], field.annotation, field.scope, "{}.{}".format(path, field.name)
            )
            for field in fields
            if field.name in value
        }
        unknown = [key for key in value if key not in made]
        missing = [field.name for field in fields if field.required and field.name not in made]
        expect(not unknown, unknown[:1], "a field of `{}`".format(origin.__name__), path)
        expect(not missing, value, "an object with `{}`".format(", ".join(missing)), path)
        return made if issubclass(origin, dict) else origin(**made)
    if isinstance(origin, type) and issubclass(origin, (int, float, str)):
        return origin(value)
    return value


def expect(fits: bool, value: Any, what: str, path: str) -> Any:
    """`value` when it fits; else a MismatchError that says what was expected."""
    if not fits:
        raise MismatchError("input `{}` is {}, not {}".format(path, repr(value)[:80], what))
    return value


def first_that_fits(value: Any, args: tuple[Any, ...], scope: Scope, path: str) -> Any:
    """The value as the first member of a union that takes it."""
    reasons = []
    for arg in args:
        try:
            return made_python(value, arg, scope, path)
        except MismatchError as reason:
            reasons.append(str(reason))
    raise MismatchError(reasons[-1] if len(reasons) == 1 or None not in args else reasons[0])


def made_sequence(
    value: list[Any], origin: Any, name: str, args: tuple[Any, ...], scope: Scope, path: str
) -> Any:
    """A list, tuple, set, frozenset or deque with its items converted."""
    kinds: Iterable[Any] = [args[0] if args else object] * len(value)
    if name == "builtins.tuple" and args and args[-1] is not Ellipsis and args != ((),):
        expect(len(value) == len(args), value, "a list of {} items".format(len(args)), path)
        kinds = args
    items = [
        made_python(item, kind, scope, "{}[{}]".format(path, at))
        for at, (item, kind) in enumerate(zip(value, kinds))  # noqa: B905 (3.8)
    ]
    if name in SETS:
        return frozenset(items) if name == "builtins.frozenset" else set(items)
    return items if name == "builtins.list" or "abc" in name else origin(items)


def made_key(key: str, annotation: Any, scope: Scope, path: str) -> Any:
    """A key, which is text in JSON, as the annotation has it."""
    kind = qualified(split(bare(annotation, scope)[0])[0])
    if kind in ("builtins.int", "builtins.float"):
        try:
            return int(key) if kind == "builtins.int" else float(key)
        except ValueError:
            expect(False, key, "a key that is a number", path)
    return made_python(key, annotation, scope, path)


def made_mapping(origin: Any, pairs: dict[Any, Any]) -> Any:
    """An OrderedDict or defaultdict (whose factory nobody named)."""
    return origin(None, pairs) if origin.__name__ == "defaultdict" else origin(pairs)


def converted(value: Any, kind: Any, name: str, path: str) -> Any:
    """Dates, times, durations, decimals, fractions and UUIDs."""
    last = kind.__name__
    if name in ("decimal.Decimal", "fractions.Fraction"):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return kind(str(expect(fits, value, "a number", path)))
    what = {"date": "a date (2024-12-31)", "datetime": "a date and time (2024-12-31T12:00:00)"}
    what.update(time="a time (12:00:00)", timedelta="a duration (P1DT12H or PT0.5S)")
    expected = what.get(last, "a `{}`".format(last))
    expect(isinstance(value, str), value, expected, path)
    try:
        if last == "timedelta":
            return read_duration(value, kind)
        if last == "UUID":
            return kind(value)
        return kind.fromisoformat(value if last == "date" else iso_for_all(value))
    except (ValueError, OverflowError):
        return expect(False, value, expected, path)


def iso_for_all(text: str) -> str:
    """ISO time as every Python reads it: before 3.11 neither `Z` nor odd numbers of decimals."""
    import re

    text = re.sub(r"[zZ]$", "+00:00", text)
    return re.sub(r"\.(\d+)", lambda found: "." + found.group(1)[:6].ljust(6, "0"), text)


def read_duration(text: str, kind: Any) -> Any:
    """An ISO 8601 duration; years and months have no fixed length and are refused."""
    import re

    pattern = r"([+-]?)P(?:{0}W)?(?:{0}D)?(?:T(?:{0}H)?(?:{0}M)?(?:{0}S)?)?".format(
        r"(\d+(?:[.,]\d+)?)"
    )
    found = re.fullmatch(pattern, text)
    if found is None or text[-1] in "PT":
        raise ValueError(text)
    weeks, days, hours, minutes, seconds = (
        float((part or "0").replace(",", ".")) for part in found.groups()[1:]
    )
    made = kind(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -made if found.group(1) == "-" else made


# ---- describe -----------------------------------------------------------------------------------------

OPEN_OUTPUTS: Schema = {"type": "object", "additionalProperties": True}
LITERAL_TEXT = "the default is not a literal"


class Parameter:
    """One parameter of a function, wherever it was read from."""

    def __init__(self, name: str, kind: str, annotation: Any = ..., default: Any = ...) -> None:
        self.name = name
        self.kind = kind  # inspect's name of it: POSITIONAL_ONLY, VAR_KEYWORD, ...
        self.annotation = annotation  # ... for none
        self.default = default  # ... for none


def describe_all(instructions: dict[str, Any]) -> int:
    """Describes every handler into `out/data.json`. One that cannot be imported harms no other."""
    for name in DESCRIBING:
        __import__(name)
    sys.path.insert(0, WORKSPACE)
    functions = {name: describe_one(handler) for name, handler in instructions["handlers"].items()}
    version = "{}.{}.{}".format(*sys.version_info[:3])
    write_file(
        os.path.join(OUT, "data.json"), write_json({"functions": functions, "python": version})
    )
    flush_streams()
    # What the modules left running, or registered for the exit, is no part of the answer.
    os._exit(0)


def describe_one(handler: str) -> dict[str, Any]:
    """One handler's ports, or the error that its module ends with when it is imported."""
    sys.path[:] = [WORKSPACE, *[path for path in sys.path if path != WORKSPACE]]
    try:
        os.chdir(WORKSPACE)  # the module before may have gone elsewhere
        return describe_function(find_function(handler))
    except PlainError as failure:
        return refused_handler(failure.message, failure.hint)
    except SystemExit as error:
        return {"error": error_record(error, exit_of(error, "import")[1], "")}
    except BaseException as error:
        return {"error": error_record(error, message_of(error), hint_for(error, handler))}


def error_record(error: BaseException, message: str, hint: str) -> dict[str, Any]:
    """The error object of a module that could not be imported."""
    record = {"type": type(error).__qualname__, "error": message, "traceback": traceback_of(error)}
    if hint:
        record["hint"] = hint
    return dict(printable(record))


def refused_handler(message: str, hint: str) -> dict[str, Any]:
    """The description of what cannot be a handler: the reason, and ports that allow anything."""
    return {
        "inputs": dict(OPEN_OUTPUTS),
        "outputs": dict(OPEN_OUTPUTS),
        "description": "",
        "convert": [],
        "warnings": [],
        "problems": [{"message": message, "hint": hint}],
    }


def describe_function(function: Any) -> dict[str, Any]:
    """The ports of an imported function."""
    import inspect

    inner = unwrapped(function)
    scope = Scope(inner.__globals__, inner.__globals__.get("__file__"))
    if sys.version_info >= (3, 14):
        import annotationlib

        lazily = annotationlib.Format.FORWARDREF
        signature = inspect.signature(function, annotation_format=lazily)
    else:
        signature = inspect.signature(function)
    parameters = [
        Parameter(
            one.name,
            one.kind.name,
            ... if one.annotation is one.empty else one.annotation,
            ... if one.default is one.empty else one.default,
        )
        for one in signature.parameters.values()
    ]
    returned = signature.return_annotation
    if returned is signature.empty:
        returned = ...
    return describe_parts(parameters, returned, inspect.getdoc(inner) or "", scope)


def describe_parts(
    parameters: list[Parameter], returned: Any, documentation: str, scope: Scope
) -> dict[str, Any]:
    """The description of a function from its parts; the one place where ports are made."""
    description, described, described_return = read_docstring(documentation)
    problems: list[dict[str, str]] = []
    convert: list[str] = []
    properties: Schema = {}
    required: list[str] = []
    extra: Any = False
    reader = Reader(output=False)
    for one in parameters:
        if one.kind == "VAR_KEYWORD":
            extra = True
            if one.annotation is not ...:
                extra = reader.port(one.name, one.annotation, scope) or True
            continue
        if one.kind in REFUSED_KINDS:
            problems.append(refused_parameter(one))
            continue
        if one.annotation is ...:
            reader.path, reader.converts, reader.optional = [one.name], False, False
            reader.warn("no annotation; any value is accepted")
            schema: Schema = {}
        else:
            schema = reader.port(one.name, one.annotation, scope)
        if described.get(one.name):
            schema.setdefault("description", described[one.name])
        if one.default is not ...:
            add_default(schema, one.default)
        elif not reader.optional:
            required.append(one.name)
        if reader.converts:
            convert.append(one.name)
        properties[one.name] = schema
    inputs: Schema = {"type": "object", "properties": properties, "additionalProperties": extra}
    if required:
        inputs["required"] = required
    writer = Reader(output=True)
    outputs = output_ports(writer, returned, scope)
    only = outputs.get("properties", {}).get("result")
    if only is not None and described_return:
        only.setdefault("description", described_return)
    return {
        "inputs": inputs,
        "outputs": outputs,
        "description": description,
        "convert": convert,
        "warnings": reader.warnings + writer.warnings,
        "problems": problems,
    }


REFUSED_KINDS = ("VAR_POSITIONAL", "POSITIONAL_ONLY")


def refused_parameter(one: Parameter) -> dict[str, str]:
    """Why a parameter without a usable name cannot be an input."""
    if one.kind == "VAR_POSITIONAL":
        message = "`*{0}` takes values without names, and inputs are given by name".format(one.name)
        return {"message": message, "hint": "Use a list: `{0}: list[float]`.".format(one.name)}
    message = "`{}` is positional-only, and inputs are given by name".format(one.name)
    return {"message": message, "hint": "Remove the `/` from the signature."}


def output_ports(reader: Reader, returned: Any, scope: Scope) -> Schema:
    """The outputs that a return annotation declares."""
    if returned is ...:
        return dict(OPEN_OUTPUTS)
    reader.path = ["return"]
    try:
        core, inner, _, _ = bare(returned, scope)
        origin, args = split(core)
        if qualified(origin) in ("collections.abc.Coroutine", "collections.abc.Awaitable") and args:
            return output_ports(reader, args[-1], inner)
    except UnreadableError as reason:
        reader.warn("{}; any outputs are accepted".format(reason))
        return dict(OPEN_OUTPUTS)
    none = {"type": "object", "properties": {}, "additionalProperties": False}
    if core is None or core is type(None) or special_name(core) in ("NoReturn", "Never"):
        return none
    if core is object or special_name(core) == "Any":
        return dict(OPEN_OUTPUTS)
    if qualified(origin) in MAPPINGS:
        values = reader.port("return", args[1], inner) if len(args) == 2 else {}
        return {"type": "object", "additionalProperties": values or True}
    fields = fields_of(origin)
    if fields is not None:
        reader.path = []
        return reader.struct(core, origin, fields, 2)
    if hasattr(origin, "model_json_schema") or hasattr(origin, "__fields_set__"):
        try:
            made = reader.pydantic(origin)
        except UnreadableError as reason:
            reader.warn("{}; any outputs are accepted".format(reason))
            return dict(OPEN_OUTPUTS)
        if made.get("type") == "object" and "properties" in made:
            made.setdefault("additionalProperties", False)
            return made
    result = reader.port("result", returned, scope)
    made = {**none, "properties": {"result": result}}
    return made if reader.optional else {**made, "required": ["result"]}


PARAMETER_SECTIONS = (
    "args", "arguments", "parameters", "params", "keyword args", "keyword arguments",
    "other parameters", "attributes", "fields",
)  # fmt: skip
RETURN_SECTIONS = ("returns", "return")
OTHER_SECTIONS = (
    "raises", "yields", "yield", "note", "notes", "example", "examples", "see also", "references",
    "warning", "warnings", "warns", "todo", "methods", "usage",
)  # fmt: skip


def read_docstring(text: str) -> tuple[str, dict[str, str], str]:
    """Description, parameters' descriptions and the return value's, in Google, NumPy or Sphinx style."""
    import inspect
    import re

    entry = re.compile(r"\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?:\s+(.*)|$)")
    numpy_entry = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
    field = re.compile(r":(\w+)(?:\s+([^:]*?))?\s*:(?:\s+(.*)|$)")
    lines = inspect.cleandoc(text).splitlines()
    description: list[str] = []
    found: dict[str, list[str]] = {}
    returned: list[str] = []
    section, style, level = "", "", 0
    current: list[str] | None = description
    at = 0
    while at < len(lines):
        line, stripped = lines[at], lines[at].strip()
        below = lines[at + 1].strip() if at + 1 < len(lines) else ""
        title = stripped.rstrip(":").lower()
        known = title in PARAMETER_SECTIONS + RETURN_SECTIONS + OTHER_SECTIONS
        sphinx = field.match(line)
        if known and not line[:1].isspace() and re.match(r"-{3,}$", below):
            section, style, current, at = title, "numpy", None, at + 1
        elif known and not line[:1].isspace() and stripped.endswith(":"):
            section, style, current, level = title, "google", None, 0
        elif sphinx and sphinx.group(1) in (
            "param",
            "parameter",
            "arg",
            "argument",
            "key",
            "keyword",
        ):
            section, style = "sphinx", "sphinx"
            name = (sphinx.group(2) or "").split(" ")[-1].lstrip("*")
            current = found.setdefault(name, [sphinx.group(3) or ""])
        elif sphinx and not sphinx.group(2) and sphinx.group(1) in RETURN_SECTIONS:
            section, style = "sphinx", "sphinx"
            returned = current = [sphinx.group(3) or ""]
        elif (sphinx and style == "sphinx") or (
            sphinx and sphinx.group(1) in ("type", "rtype", "raises")
        ):
            section, style, current = "sphinx", "sphinx", None
        elif not section or not stripped:
            if not section:
                description.append(line)
            elif style == "sphinx":
                current = None
        elif section in PARAMETER_SECTIONS:
            indent = len(line) - len(line.lstrip())
            if style == "google":
                level = level or indent
                match = entry.match(stripped) if indent == level else None
                if indent == 0:  # the section is over, and text goes on
                    section, current = "", description
                    description.append(line)
                elif match:
                    current = found.setdefault(match.group(1), [match.group(2) or ""])
                elif current is not None:
                    current.append(stripped)
            else:
                match = numpy_entry.match(stripped) if indent == 0 else None
                if match:
                    current = []
                    for name in match.group(1).split(","):
                        found.setdefault(name.strip().lstrip("*"), current)
                elif current is not None:
                    current.append(stripped)
        elif section in RETURN_SECTIONS and (style == "google" or line[:1].isspace()):
            match = entry.match(stripped) if style == "google" and not returned else None
            returned.append(match.group(2) or "" if match else stripped)
        elif style == "sphinx" and current is not None and line[:1].isspace():
            current.append(stripped)
        at += 1
    names = {name: " ".join(filter(None, parts)) for name, parts in found.items()}
    names = {name: " ".join(words.split()) for name, words in names.items() if words.strip()}
    return "\n".join(description).strip(), names, " ".join(" ".join(returned).split())


# ---- source -------------------------------------------------------------------------------------------


def describe_static(root: str, handler: str) -> dict[str, Any]:
    """A function's ports from its source text alone; nothing of the package is executed.

    The same shape as an entry of `describe`. `root` is the package's folder, `handler` is
    `module:function`. A module that is not there or does not parse gives `{"error": {...}}`.
    """
    import ast

    module_name, _, name = handler.partition(":")
    if not module_name or not name or "." in name:
        return refused_handler("`{}` is not of the form module:function".format(handler), WRAP_IT)
    try:
        scope = SourceScope(root, module_name)
        for _ in range(20):  # from .inner import size
            node = scope.bound.get(name)
            if not isinstance(node, ast.ImportFrom):
                break
            name = next(a.name for a in node.names if (a.asname or a.name) == name)
            scope = scope.sibling(scope.absolute(node))
        found = scope.bound.get(name)
        if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return describe_source(found, scope)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        text = "module `{}` cannot be read: {}".format(module_name, message_of(error))
        return {"error": error_record(error, text, "")}
    if found is None:
        return refused_handler(
            "module `{}` has no `{}`".format(module_name, name), "Define it there."
        )
    kind = "a class" if isinstance(found, ast.ClassDef) else "not written as a `def`"
    return refused_handler("`{}` is {}".format(handler, kind), WRAP_IT)


def describe_source(
    node: ast.FunctionDef | ast.AsyncFunctionDef, scope: SourceScope
) -> dict[str, Any]:
    """The description of a function's syntax."""
    import ast

    spec = node.args
    for variable in getattr(node, "type_params", ()):  # def f[T: float](…)
        bound = getattr(variable, "bound", None)
        scope.made[variable.name] = scope.text(bound) if bound else object
    parameters: list[Parameter] = []
    positional = [(one, "POSITIONAL_ONLY") for one in spec.posonlyargs]
    positional += [(one, "POSITIONAL_OR_KEYWORD") for one in spec.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(spec.defaults))
    defaults += spec.defaults
    rows = [(one, kind, default) for (one, kind), default in zip(positional, defaults)]  # noqa: B905 (3.8)
    if spec.vararg:
        rows.append((spec.vararg, "VAR_POSITIONAL", None))
    rows += [(o, "KEYWORD_ONLY", d) for o, d in zip(spec.kwonlyargs, spec.kw_defaults)]  # noqa: B905 (3.8)
    if spec.kwarg:
        rows.append((spec.kwarg, "VAR_KEYWORD", None))
    for one, kind, default in rows:
        annotation = scope.text(one.annotation) if one.annotation else ...
        parameters.append(Parameter(one.arg, kind, annotation, scope.default(default)))
    returned = scope.text(node.returns) if node.returns else ...
    return describe_parts(parameters, returned, ast.get_docstring(node) or "", scope)


class SourceClass:
    """A class that is known from source text, or only by name."""

    def __init__(
        self, module: str, name: str, scope: SourceScope | None = None, node: Any = None
    ) -> None:
        self.__module__ = module
        self.__qualname__ = self.__name__ = name
        self.scope = scope
        self.node = node
        # `typed_dict`, `dataclass`, `named_tuple`, `enum`, or a plain type that it derives from.
        self.kind = ""
        self.bases: list[Any] = []
        if node is not None and scope is not None:
            import ast

            self.__doc__ = ast.get_docstring(node)
            self.classify(node, scope)

    def classify(self, node: ast.ClassDef, scope: SourceScope) -> None:
        """Finds out what kind of class it is from its bases and decorators."""
        for expression in node.bases:
            try:
                self.bases.append(built(expression, scope))
            except UnreadableError:
                self.bases.append(None)
        for base in self.bases:
            origin = split(base)[0]
            name = special_name(origin) or getattr(origin, "__name__", "")
            if isinstance(origin, SourceClass) and origin.kind:
                self.kind = self.kind or origin.kind
            elif name in ("TypedDict", "NamedTuple"):
                self.kind = "typed_dict" if name == "TypedDict" else "named_tuple"
            elif qualified(origin).startswith("enum."):
                self.kind = "enum"
            elif name == "BaseModel":
                self.kind = "dataclass"
        for decorator in node.decorator_list:
            target: Any = getattr(decorator, "func", decorator)
            if (getattr(target, "attr", "") or getattr(target, "id", "")) == "dataclass":
                self.kind = "dataclass"
        if self.kind == "typed_dict":
            self.__total__ = all(
                key.arg != "total" or getattr(key.value, "value", True) for key in node.keywords
            )

    def ancestors(self) -> list[Any]:
        """The classes it derives from, as far as they are known."""
        made: list[Any] = []
        for base in self.bases:
            made += [base, *(base.ancestors() if isinstance(base, SourceClass) else ())]
        return made

    def fields(self) -> list[Field] | None:
        """The fields, those of bases first."""
        import ast

        if self.kind not in ("typed_dict", "dataclass", "named_tuple") or self.scope is None:
            return None
        made: dict[str, Field] = {}
        for base in self.bases:
            for field in base.fields() or () if isinstance(base, SourceClass) else ():
                made[field.name] = field
        for line in self.node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                text = self.scope.text(line.annotation)
                if "ClassVar" in text or line.target.id == "model_config":
                    continue
                required = self.kind != "typed_dict" and line.value is None
                required = required or (self.kind == "typed_dict" and self.__total__)
                default = self.scope.default(line.value)
                # As `field(default_factory=list)` is.
                hidden = isinstance(default, UnreadableError) and "(" in str(default)
                field = Field(
                    line.target.id, text, self.scope, required, ... if hidden else default
                )
                made[field.name] = with_qualifiers(field) if self.kind == "typed_dict" else field
        return list(made.values())

    def members(self) -> list[tuple[str, Any]] | None:
        """Names and values of an enum's members."""
        import ast

        if self.kind != "enum" or self.scope is None:
            return None
        pairs: list[tuple[str, Any]] = []
        for line in self.node.body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                name = line.targets[0].id
                value = self.scope.default(line.value)
                if isinstance(value, UnreadableError) and str(value).endswith("auto()"):
                    value = len(pairs) + 1
                if not name.startswith("_"):
                    pairs.append((name, value))
        plain = all(value is None or isinstance(value, (str, int, float)) for _, value in pairs)
        return pairs if plain else [(name, name) for name, _ in pairs]


class Word:
    """A call in Annotated that is known by its keywords: `Field(ge=0)`, `Unit("mm")`."""


POSITIONAL_WORDS = {
    "Unit": ("unit",), "Ge": ("ge",), "Gt": ("gt",), "Le": ("le",), "Lt": ("lt",), "Doc": ("documentation",),
    "MultipleOf": ("multiple_of",), "MinLen": ("min_length",), "MaxLen": ("max_length",),
    "Len": ("min_length", "max_length"), "Interval": ("gt", "ge", "lt", "le"),
}  # fmt: skip


class SourceScope(Scope):
    """A module's names from its source text. Standard library names are real objects, others are not."""

    def __init__(self, root: str, module: str, file: str | None = None) -> None:
        import ast
        import tokenize

        super().__init__({}, file)
        self.root = root
        self.module = module
        self.bound: dict[str, ast.stmt] = {}
        self.made: dict[str, Any] = {}
        self.stars: list[str] = []  # modules of `from … import *`
        # Shared by all that were read from here.
        self.loaded: dict[str, SourceScope] = {module: self}
        base = os.path.join(root, *module.split("."))
        self.is_package = file is None and not os.path.isfile(base + ".py")
        self.file = file or (os.path.join(base, "__init__.py") if self.is_package else base + ".py")
        with tokenize.open(self.file) as source:
            self.bind(ast.parse(source.read(), self.file).body)

    def sibling(self, module: str) -> SourceScope:
        """Another module of the package, read once."""
        if module not in self.loaded:
            made = SourceScope(self.root, module)
            made.loaded = self.loaded
            self.loaded[module] = made
        return self.loaded[module]

    def bind(self, body: Iterable[ast.stmt]) -> None:
        """Collects what module-level statements define, the last one winning, as when they run."""
        import ast

        for line in body:
            if isinstance(line, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.bound[line.name] = line
            elif isinstance(line, (ast.Import, ast.ImportFrom)):
                for alias in line.names:
                    plain = isinstance(line, ast.Import) and not alias.asname
                    name = alias.name.partition(".")[0] if plain else alias.asname or alias.name
                    self.bound[name] = line
                    if alias.name == "*" and isinstance(line, ast.ImportFrom):
                        self.stars.append(self.absolute(line))
            elif isinstance(line, (ast.Assign, ast.AnnAssign)):
                targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.bound[target.id] = line
            elif type(line).__name__ == "TypeAlias":
                self.bound[line.name.id] = line  # type: ignore[attr-defined]
            else:
                for part in ("body", "handlers", "orelse", "finalbody"):
                    inner = getattr(line, part, ())
                    for one in inner:
                        self.bind(one.body if isinstance(one, ast.ExceptHandler) else [one])

    def absolute(self, node: ast.ImportFrom) -> str:
        """The module that a `from … import` names, relative ones resolved."""
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        parts = parts[: len(parts) - node.level + (1 if self.is_package else 0)]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def text(self, node: ast.expr) -> str:
        """An expression's text, by which it is remembered."""
        import ast

        if sys.version_info >= (3, 9):
            return ast.unparse(node)
        with open(str(self.file), encoding="utf-8") as source:
            return ast.get_source_segment(source.read(), node) or ""

    def default(self, node: ast.expr | None) -> Any:
        """A default's value, `...` for none, UnreadableError with its text for what is not a literal."""
        import ast

        if node is None:
            return ...
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            pass
        if isinstance(node, ast.Attribute):
            try:
                kind = built(node.value, self)
                return dict(members_of(kind) or {})[node.attr]
            except (UnreadableError, KeyError):
                pass
        return UnreadableError(self.text(node))

    def find(self, dotted: str) -> Any:
        """What a dotted name means."""
        import builtins

        first, *rest = dotted.split(".")
        if first in self.made or first in self.bound:
            found = self.meaning(first)
        elif isinstance(getattr(builtins, first, None), type):
            found = getattr(builtins, first)
        else:
            found = self.starred(first)
        for name in rest:
            if isinstance(found, str):
                found = member(self, found, name)
            elif isinstance(found, SourceClass):
                members = dict(found.members() or {})
                module = found.__module__ + "." + found.__name__
                found = members[name] if name in members else SourceClass(module, name)
            elif hasattr(found, name):
                found = getattr(found, name)
            else:
                raise LookupError(dotted)
        return found

    def starred(self, name: str) -> Any:
        """A name that came with `from … import *`."""
        for module in reversed(self.stars):
            try:
                found = member(self, module, name)
            except LookupError:
                continue
            if not (isinstance(found, SourceClass) and found.node is None):
                return found
        raise LookupError(name)

    def meaning(self, name: str) -> Any:
        """What a name of this module is: an object, a SourceClass, or a module's name."""
        import ast

        if name in self.made:
            return self.made[name]
        # While it is found out: an alias of itself.
        self.made[name] = SourceClass(self.module, name)
        node = self.bound[name]
        found: Any
        if isinstance(node, ast.Import):
            alias = next(a for a in node.names if (a.asname or a.name.partition(".")[0]) == name)
            found = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom):
            alias = next(a for a in node.names if (a.asname or a.name) == name)
            module = self.absolute(node)
            own = module == self.module  # `from . import x` in the package itself: x is a module
            found = "{}.{}".format(module, alias.name) if own else member(self, module, alias.name)
        elif isinstance(node, ast.ClassDef):
            found = SourceClass(self.module, name, self, node)
        else:
            value = getattr(node, "value", None)
            if value is None:
                raise LookupError(name)
            found = self.alias(value)
        self.made[name] = found
        return found

    def alias(self, node: ast.expr) -> Any:
        """What an assignment makes: another type's name, a NewType, an annotation."""
        import ast

        if isinstance(node, ast.Call):
            made = special_name(built(node.func, self)) or dotted_name(node.func).rpartition(".")[2]
            if made == "NewType" and len(node.args) == 2:
                return built(node.args[1], self)
            if made == "TypeVar":
                return object
            raise UnreadableError("it is made by a call of `{}`".format(made))
        return built(node, self)

    def value(self, node: ast.expr) -> Any:
        """An item of Annotated, by its form; nothing is called."""
        import ast

        if not isinstance(node, ast.Call):
            try:
                return ast.literal_eval(node)
            except ValueError:
                return built(node, self)
        name = dotted_name(node.func).rpartition(".")[2]
        word = Word()
        for attribute, part in zip(POSITIONAL_WORDS.get(name, ()), node.args):  # noqa: B905 (3.8)
            setattr(word, attribute, ast.literal_eval(part))
        for keyword in node.keywords:
            if keyword.arg:
                setattr(word, keyword.arg, self.default(keyword.value))
        return word


REAL_MODULES = (
    "typing",
    "typing_extensions",
    *(name for name in DESCRIBING if name not in ("ast", "re")),
)
REAL_MODULES += ("builtins", "collections", "os", "types", "numbers")


def member(scope: SourceScope, module: str, name: str) -> Any:
    """`name` of `module`, as far as it can be known without importing anything of the package."""
    if module == "kedge" and name in SHIM:
        return SHIM[name]
    path = os.path.join(scope.root, module.replace(".", os.sep))
    if os.path.isdir(path) or os.path.isfile(path + ".py"):
        try:
            return scope.sibling(module).find(name)
        except (LookupError, OSError, SyntaxError, ValueError):
            inner = os.path.join(path, name)
            if os.path.isdir(inner) or os.path.isfile(inner + ".py"):
                return "{}.{}".format(module, name)
            raise LookupError(name) from None
    if module not in REAL_MODULES:
        return SourceClass(module, name)
    real = __import__("typing" if module == "typing_extensions" else module, fromlist=["*"])
    if not hasattr(real, name):
        return SourceClass(module, name)
    found = getattr(real, name)
    return "{}.{}".format(module, name) if type(found) is type(sys) else found


if __name__ == "__main__":
    sys.exit(main(sys.argv))
elif __name__ == "__mp_main__":  # a process that the function started by multiprocessing
    prepare_process()
