"""Wants one thread, as many do that are run many times at once."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from arrays import double  # noqa: F401
