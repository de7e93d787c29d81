"""What an executor is given besides the payload, and what it gives back."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from kedge.data import Data, field
from kedge.executor.cancel import Cancel
from kedge.task.published import Published
from kedge.task.resources import Resources

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.warm.pool import Pool

Stream = Literal["stdout", "stderr"]
Reason = Literal["exited", "timeout", "cancelled", "abandoned", "out_of_memory", "out_of_disk"]


def _ignore(*_: object) -> None:
    """Stands where nobody listens."""


class Job(Data):
    """One run's surroundings.

    Args:
        run_id, package, function: for the contract's variables.
        workspace: its folders and the files to be staged into it.
        make_workspace: makes its folders, for an executor that is `of_this_process`; of others they are there.
        resources: effective limits.
        network: whether the host's network may be used.
        paths: more host paths to be readable inside, each at its own place.
        on_starting: called before a program is started that nothing waits for, which takes long enough to be
            recorded as running first.
        on_output: called with what the program wrote, as it comes; a chunk may end anywhere.
        on_tick: called at least every 100 ms while the program runs.
        on_ready: called once when the program answers where it serves.
        on_notice: called with a sentence that the user should read.
        on_processes: called every tick with the host's numbers of the program's processes; None when
            nobody looks at them.
        on_changed: called after its end with what it changed of an image that it may write to, as the
            engine lists it (`A /path`); None when nobody asks.
        cancel: the request to stop.
        pool: what is kept warm, for executors that can make use of it; None: everything starts cold.
        listen: has `cancel` hear other processes, for such an executor; of others it does.
        publish: where the program serves, None when it does not: in a container through the engine's own
            network, elsewhere through the host's.
    """

    run_id: str
    package: str
    function: str
    workspace: "Workspace"
    resources: Resources
    network: bool = False
    paths: tuple[str, ...] = ()
    on_starting: Callable[[], None] = _ignore
    on_output: Callable[[Stream, bytes], None] = _ignore
    on_tick: Callable[[], None] = _ignore
    cancel: Cancel = field(default_factory=Cancel)
    on_ready: Callable[[], None] = _ignore
    on_notice: Callable[[str], None] = _ignore
    on_processes: Callable[[list[int]], None] | None = None
    on_changed: Callable[[list[str]], None] | None = None
    pool: "Pool | None" = None
    publish: Published | None = None
    make_workspace: Callable[[], None] = _ignore
    listen: Callable[[], None] = _ignore

    @property
    def shares_network(self) -> bool:
        """Whether a program that is in no container uses the host's network."""
        return self.network or self.publish is not None


class Ended(Data):
    """How a program ended, and what it used.

    Args:
        exit_code: its exit status, None when a signal ended it.
        signal: the signal that ended it, None when it exited by itself.
        reason: what made it end. It is `exited` also after a crash.
        wall_s, cpu_s: seconds; CPU is that of all its processes.
        peak_memory_mb: MiB of all its processes together as seen every 50 ms, or of the largest one
            when that was more; None when unknown.
        read_bytes, written_bytes: through system calls, of all its processes; None when unknown.
        disk_mb: MiB on disk when that was last looked at, None when it never was.
        oom_kills: how many of its processes the kernel killed at its memory limit.
        forks_refused: how many processes and threads the kernel refused to start at the limit on their
            number; 0 also where nobody counts that.
        breach: what it did when Kedge killed it for memory or disk, as a sentence; else empty.
        killed: whether Kedge sent it SIGKILL, for whatever reason.
        answer: the outputs that are values, where it gave them to Kedge and wrote no `out/data.json`.
        reported: its error as `kedge.contract.failure.read` gives it, where it wrote no file of it.
        outlived: whether it outlived its timeout or a request to stop, since nothing can end it.
    """

    exit_code: int | None
    signal: int | None
    reason: Reason
    wall_s: float
    cpu_s: float | None
    peak_memory_mb: float | None
    read_bytes: int | None
    written_bytes: int | None
    disk_mb: float | None = None
    oom_kills: int = 0
    forks_refused: int = 0
    breach: str = ""
    killed: bool = False
    answer: Mapping[str, Any] | None = None
    reported: dict[str, Any] | None = None
    outlived: bool = False
