"""What a run has to say besides its result goes to Python's `logging`, to the logger `kedge`.

Not to `warnings`: where those are errors, one that comes from a run's thread would end the run.
"""

import logging
from functools import lru_cache
from typing import Final

from kedge.run.execution import Observer
from kedge.run.told import first_time

_MOST: Final = 1000  # different sentences that are remembered: paths of inputs may be in them

_logger: Final = logging.getLogger("kedge")


def step(text: str) -> None:
    """What is being prepared or waited for."""
    _logger.info("%s", text)


def detail(text: str) -> None:
    """What only some want to know."""
    _logger.debug("%s", text)


@lru_cache(_MOST)
def notice(text: str) -> None:
    """What the user should read, once a process."""
    _logger.warning("%s", text)


@lru_cache(_MOST)
def lacking(text: str) -> None:
    """What this machine does not enforce: a notice once a machine."""
    (_logger.warning if first_time(text) else _logger.debug)("%s", text)


OBSERVER: Final = Observer(step=step, detail=detail, notice=notice, lacking=lacking)
