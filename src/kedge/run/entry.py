"""One run as it is on record."""

from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data, field
from kedge.home import home
from kedge.run.lease import Lease
from kedge.version import __version__

CONTRACT: Final = 1  # the version of the runtime contract that runs are recorded under
ALIVE: Final = ("created", "preparing", "running")
STATUSES: Final = (*ALIVE, "succeeded", "failed", "cancelled")


class Run(Data):
    """One run as recorded. Made by `kedge.run.record`: there a changed one comes back from `update` and `finish`.

    Args:
        id: twelve random characters.
        status: created, preparing, running, succeeded, failed or cancelled.
        source: where the package came from: a folder, file or archive on this machine.
        runtime: the kind of runtime.
        snapshot: digest of the package's files.
        environment: digest of what they ran on; `interpreter` its Python version.
        failure: the failure as `RunFailed.to_json` gives it, None unless one happened.
        inputs: values by port, secrets masked; a File's value is its path.
        input_files: `port`, `path`, `size`, `mtime_ns`, `inode` of each File input at the start.
        outputs: values by port.
        output_files: for each File port `{"path", "size"}`, or a list of them.
        artifacts: `{"uri", "size", "sha256"}` by name.
        resources: the effective limits.
        measured: `wall_s`, `cpu_s`, `peak_memory_mb`, `read_bytes`, `written_bytes`, `queued_s`,
            `preparing_s`, `starting_s`, `collecting_s`, as far as known.
        warnings: sentences for people.
        contract: version of the runtime contract; `kedge` that of Kedge.
        holder: the process that answers for the run.
        created: RFC 3339, UTC, milliseconds; so are `started` (of the program) and `ended`.
    """

    id: str
    status: str
    created: str
    holder: Lease
    package: str | None = None
    package_version: str | None = None
    function: str | None = None
    source: str | None = None
    handler: str | None = None
    runtime: str | None = None
    snapshot: str | None = None
    environment: str | None = None
    interpreter: str | None = None
    executor: str | None = None
    target: str | None = None
    failure: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    input_files: tuple[Mapping[str, Any], ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    output_files: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    contract: int = CONTRACT
    kedge: str = __version__
    started: str | None = None
    ended: str | None = None

    @property
    def folder(self) -> str:
        """The run's own folder; `workspace` is in it while the run goes on."""
        return f"{home()}/runs/{self.id}"

    @property
    def control(self) -> str:
        """Where it takes the request to stop while it goes on (`kedge.executor.ask_from_outside`)."""
        return f"{self.folder}/control"

    @property
    def failure_kind(self) -> str | None:
        """The kind of failure, None unless one happened."""
        return self.failure["kind"] if self.failure else None

    @property
    def ended_yet(self) -> bool:
        """Whether the run is over."""
        return self.status not in ALIVE

    def to_json(self) -> dict[str, Any]:
        """The whole record as JSON data; its schema is `kedge.run.schema.run_schema`."""
        record = {name: _plain(getattr(self, name)) for name in Run.__fields__ if name != "holder"}
        return record | {
            "host": self.holder.host,
            "boot_id": self.holder.boot_id,
            "pid": self.holder.pid,
            "pid_started": self.holder.pid_started,
            "failure_kind": self.failure_kind,
            "folder": self.folder,
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
