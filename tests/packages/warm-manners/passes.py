"""What was passed to the process that imported this, for its forks."""

import os

SEEN: set[str] = set()


def look() -> None:
    for name in os.listdir("/proc/self/fd"):
        try:
            SEEN.add(os.readlink(f"/proc/self/fd/{name}").rpartition("/")[2])
        except OSError:  # the one that listed the folder
            continue


os.register_at_fork(after_in_parent=look)


def entrances() -> list[str]:
    """Whoever has one of these open can bring any process into that control group."""
    return sorted(SEEN & {"cgroup.procs", "tasks"})
