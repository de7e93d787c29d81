"""What one run may use."""

from kedge.data import Data


class Resources(Data):
    """Effective limits of one run, after inheritance, defaults and clamping.

    Args:
        cpu: CPUs, fractions allowed.
        memory_mb: MiB of memory.
        timeout: seconds from program start to its end; None for none.
        gpu: number of GPUs.
        grace: seconds between the request to stop and the kill.
        pids: processes and threads at once.
        disk_mb: MiB the run may write; None leaves the deployment's default.
    """

    cpu: float
    memory_mb: int
    timeout: float | None = None
    gpu: int = 0
    grace: float = 5.0
    pids: int = 512
    disk_mb: int | None = None
