"""Taking what a run wrote out of its workspace, and judging it by the contract.

The code that wrote `out/` is not trusted and may have left anything there. What is wanted is moved into
the run's own folder first, and looked at in there, where nobody else can exchange it.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kedge.contract.hostile import (
    RefusedError,
    described,
    open_folder,
    parse_object,
    read_file,
    shown,
)
from kedge.contract.ownership import Adopted, LeftOut, Takeover
from kedge.data import Data, field
from kedge.errors import Problem, StoreError, Where
from kedge.ports import Ports, check_outputs, check_port_name, kind_of

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace

DATA_LIMIT: Final = 64 << 20  # bytes of data.json: what is bigger belongs in a file

_KNOWN: Final = frozenset(
    ("data.json", "files", "artifacts", "progress.jsonl", "_error.json", "_runner_error.json")
)
# What a runner that was killed had not finished (`write_file` in runner.py), by its process.
_UNFINISHED: Final = re.compile(r"(data|_runner_error)\.json\.[0-9]+\.partial")
_FOLDERS: Final = ("folder", "files")  # kinds of ports that come as a folder
_NAMED: Final = 5  # names in one message before it counts the rest
_PROBLEMS: Final = 100  # of a list of a hundred thousand wrong files, enough to see what is wrong


class Collected(Data):
    """What a run wrote.

    Args:
        data: outputs that are not files, by port.
        files: path of each File or Folder output by port; of a list of files, their paths.
        artifacts: `uri`, `size` and `sha256` of each free file by its path below `artifacts/`.
        problems: everything that breaks the contract.
        warnings: sentences about what does not.
    """

    data: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str | list[str]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judged(answer: Mapping[str, Any], outputs: Ports) -> Collected:
    """What a run gave that wrote nothing: values, checked against its ports."""
    return Collected(dict(answer), problems=_first(check_outputs(outputs, answer, {})))


def collect(
    workspace: "Workspace",
    outputs: Ports,
    into: str,
    *,
    answers: bool = False,
    answer: Mapping[str, Any] | None = None,
) -> Collected:
    """Move what a run wrote under `into` and check it against its ports.

    File outputs go to `into/files/` and artifacts to `into/artifacts/` under the names they have; what no
    port declares goes to `into/undeclared/`, and a data.json that cannot be used to `into/`. All of it
    then belongs to the calling user. The processes of the run must be gone.

    Args:
        workspace: where it ran.
        outputs: its output ports.
        into: an absolute folder of the run's record, on the same disk; made when it is missing.
        answers: whether a program that did its work wrote a data.json whatever its ports are, as the
            managed runner does: without one, the function never returned.
        answer: the values, where they are in no data.json.

    Raises:
        StoreError: `into` cannot be written.
    """
    try:
        os.makedirs(into, 0o700, exist_ok=True)
        with contextlib.ExitStack() as opened:
            collection = _Collection(workspace.folder, outputs, into, opened, answers=answers)
            return collection.run(answer)
    except (OSError, RefusedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"the outputs cannot be kept in `{into}`: {reason}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error


class _Collection:
    """One call of `collect`: the folders it holds open, and what it found so far."""

    def __init__(
        self,
        workspace: str,
        outputs: Ports,
        into: str,
        opened: contextlib.ExitStack,
        *,
        answers: bool,
    ) -> None:
        self._answers = answers
        self._outputs = outputs
        self._into = into
        self._closing = opened
        self._found = Collected()
        self._strays = LeftOut()
        self._paths: dict[str, list[str]] = {}  # of files, by the port they came for
        self._judged: set[str] = set()  # ports whose problem is told already
        self._workspace = self._open(workspace, None)
        self._targets = {"": self._open(into, None)}

    def run(self, answer: Mapping[str, Any] | None) -> Collected:
        try:
            out = self._open("out", self._workspace)
        except RefusedError as refused:
            self._problem(
                f"the folder `out` {refused}", None, "write into `out`, but leave the folder itself"
            )
            return self._found
        self._takeover = Takeover(os.fstat(out).st_uid)
        if answer is None:
            self._take_data(out)
        else:
            self._found.data.update(answer)
        self._take_files(out)
        self._take_artifacts(out)
        with os.scandir(out) as entries:
            for entry in entries:
                if entry.name not in _KNOWN and not _UNFINISHED.fullmatch(entry.name):
                    self._take_stray(out, "", entry.name)
        self._check()
        self._set_aside_values(out)
        self._warn()
        return self._found

    def _take_data(self, out: int) -> None:
        values = {port for port in self._outputs.properties if not self._is_file(port)}
        expected = sorted(values & self._outputs.required)
        try:
            self._found.data.update(parse_object(read_file("data.json", DATA_LIMIT, out)))
        except RefusedError as refused:
            if refused.missing and not expected and not self._answers:
                return
            should = f"; it should hold {_names(expected)}" if expected else ""
            hint = "write one JSON object with a key for each output that is not a file"
            if refused.missing and self._answers:
                should += ": the program ended before the function had returned"
                hint = "let the function return; `os._exit` ends everything at once"
            self._problem(f"`out/data.json` {refused}{should}", None, hint)
            self._judged |= values
            if not refused.missing:
                self._keep(out, "data.json", "")

    def _take_files(self, out: int) -> None:
        try:
            folder = self._open("files", out)
        except RefusedError as refused:
            if not refused.missing:
                self._problem(f"`out/files` {refused}", None, "leave that folder, write into it")
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                port = entry.name.partition(".")[0]
                kind = self._kind(port)
                if entry.name == "list.json":
                    continue  # Kedge's own; what it became since is of no interest
                if kind is None:
                    self._take_stray(folder, "files", entry.name)
                else:
                    self._take_file(folder, entry.name, port, kind)

    def _kind(self, port: str) -> str | None:
        """The kind of an output that may come as a file, None when no port takes it."""
        if port in self._outputs.properties:
            return kind_of(self._outputs.properties[port]) if self._is_file(port) else None
        return None if self._outputs.open is None or check_port_name(port) else "open"

    def _is_file(self, port: str) -> bool:
        return kind_of(self._outputs.properties[port]) != "value"

    def _take_file(self, folder: int, name: str, port: str, kind: str) -> None:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        is_folder = stat.S_ISDIR(mode)
        fits = is_folder if kind in _FOLDERS else stat.S_ISREG(mode)
        if not fits and not (kind == "open" and is_folder):
            wanted = "a folder" if kind in _FOLDERS else "a file"
            message = f"`out/files/{shown(name)}` is {described(mode)}, where {wanted} is expected"
            self._problem(message, port, "write the content itself, not something that leads to it")
            self._judged.add(port)
            self._keep(folder, name, "undeclared/files")
            return
        below = [
            os.path.join(self._into, "files", path) for path in self._keep(folder, name, "files")
        ]
        if kind == "files":
            self._paths[port] = sorted(self._paths.get(port, []) + below)
        elif is_folder or below:  # a file may have been left out after all: a warning says why
            self._paths.setdefault(port, []).append(os.path.join(self._into, "files", name))

    def _take_artifacts(self, out: int) -> None:
        try:
            folder = self._open("artifacts", out)
        except RefusedError as refused:
            if not refused.missing:
                self._found.warnings.append(f"`out/artifacts` {refused}: nothing was kept of it")
            return
        with os.scandir(folder) as entries:
            if not any(True for _ in entries):
                return
        from kedge.contract.artifacts import LISTED, listed

        root = os.path.join(self._into, "artifacts")
        artifacts, unlisted = listed(self._moved(out, "artifacts", ""), root)
        self._found.artifacts.update(artifacts)
        if unlisted:
            self._found.warnings.append(
                f"{unlisted} artifacts are kept but not listed: at most {LISTED} are, and none that "
                "is mostly a hole"
            )

    def _take_stray(self, folder: int, below: str, name: str) -> None:
        path = f"{below}/{name}" if below else name
        self._strays.add(f"out/{path}", "no port has that name")
        port = name.partition(".")[0]
        if below and port in self._outputs.properties:
            message = f"`out/{shown(path)}` is a file, but the output `{port}` is not"
            self._problem(message, port, "write its value into `out/data.json`")
        self._keep(folder, name, os.path.join("undeclared", below))

    def _keep(self, folder: int, name: str, target: str) -> list[str]:
        return [adopted.path for adopted in self._moved(folder, name, target)]

    def _moved(self, folder: int, name: str, target: str) -> Iterator[Adopted]:
        """Move a name into one of the folders under `into`, and take over what it stands for."""
        kept = self._target(target.rstrip("/"))
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            with contextlib.suppress(PermissionError):
                os.chmod(name, 0o700, dir_fd=folder)  # one that is read-only cannot change parents
        os.rename(name, name, src_dir_fd=folder, dst_dir_fd=kept)
        return self._takeover.adopt(kept, name)

    def _target(self, path: str) -> int:
        if path not in self._targets:
            parent, _, name = path.rpartition("/")
            above = self._target(parent)
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
            self._targets[path] = self._open(name, above)
        return self._targets[path]

    def _open(self, name: str, folder: int | None) -> int:
        descriptor = open_folder(name, folder)
        self._closing.callback(os.close, descriptor)
        return descriptor

    def _check(self) -> None:
        """Judge values and files together; what is told already is not told again."""
        for port, paths in self._paths.items():
            if len(paths) > 1 and self._kind(port) != "files":
                names = _names(sorted(shown(os.path.basename(path)) for path in paths))
                message = f"the output `{port}` is one file, and {len(paths)} were written: {names}"
                self._problem(message, port, "write one file, or declare the port as list[File]")
                self._judged.add(port)
        told = self._judged
        ports = {
            name: schema for name, schema in self._outputs.properties.items() if name not in told
        }
        problems = check_outputs(
            Ports(ports, self._outputs.required & ports.keys(), self._outputs.open),
            {name: value for name, value in self._found.data.items() if name not in told},
            {name: paths for name, paths in self._paths.items() if name not in told},
        )
        self._found.problems.extend(_first(problems))
        for port, paths in self._paths.items():
            self._found.files[port] = paths if self._kind(port) == "files" else min(paths)

    def _set_aside_values(self, out: int) -> None:
        """Take what no port declares out of the values; data.json is kept for its sake."""
        if self._outputs.open is not None:
            return
        undeclared = self._found.data.keys() - self._outputs.properties.keys()
        for name in sorted(undeclared):
            self._strays.add(f"out/data.json: {name}", "no port has that name")
            del self._found.data[name]
        if undeclared:
            self._keep(out, "data.json", "undeclared")

    def _warn(self) -> None:
        if self._strays.count:
            kept = os.path.join(self._into, "undeclared")
            self._found.warnings.append(f"not outputs: {self._strays}; kept in `{kept}`")
        if self._takeover.left_out.count:
            self._found.warnings.append(f"not collected: {self._takeover.left_out}")

    def _problem(self, message: str, port: str | None, hint: str) -> None:
        self._found.problems.append(Problem(message, Where(path=port) if port else None, hint))


def _first(problems: list[Problem]) -> list[Problem]:
    """As many of them as help, and how many more there are."""
    if len(problems) <= _PROBLEMS:
        return problems
    more = f"{len(problems) - _PROBLEMS} more outputs are wrong"
    return [*problems[:_PROBLEMS], Problem(more, None, "correct the ones above first")]


def _names(ports: list[str]) -> str:
    more = f" and {len(ports) - _NAMED} more" if len(ports) > _NAMED else ""
    return ", ".join(f"`{port}`" for port in ports[:_NAMED]) + more
