"""Where things are inside a box and a slot, for both sides."""

from typing import Final

from kedge.executor.plan import WORKSPACE

LINE: Final = 3  # the zygote's descriptor of its line to the keeper

FOLDERS: Final = ("in", "out", "scratch", "tmp")  # of a run, in the order of PLACES
PLACES: Final = (f"{WORKSPACE}/in", f"{WORKSPACE}/out", f"{WORKSPACE}/scratch", "/tmp")
SHARED_MEMORY: Final = "/dev/shm"
TERMINALS: Final = "/dev/pts"
COVERED: Final = ("/tmp", SHARED_MEMORY)  # where something of the host may be shown
