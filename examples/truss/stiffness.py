"""The displacement method: assemble K, fix the supports, solve K u = f."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# A pivot this small beside the largest one means a motion that nothing resists.
SINGULAR = 1e-13


def assemble(size: int, elements: Iterable[tuple[Matrix, Sequence[int]]]) -> csc_array:
    """The structure's stiffness, `size` by `size`, from each element's own and its freedoms."""
    rows, columns, values = [], [], []
    for stiffness, freedoms in elements:
        grid = np.meshgrid(freedoms, freedoms, indexing="ij")
        rows.append(grid[0].ravel())
        columns.append(grid[1].ravel())
        values.append(stiffness.ravel())
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(entries, shape=(size, size)).tocsc()


def displacements(stiffness: csc_array, loads: Vector, fixed: Sequence[int]) -> Vector:
    """Displacements under `loads` with the freedoms `fixed` held at zero.

    Raises:
        ValueError: the structure is a mechanism: it can move without being strained.
    """
    free = np.setdiff1d(np.arange(loads.size), fixed)
    moved = np.zeros(loads.size)
    try:
        factors = splu(stiffness[free, :][:, free])
    except RuntimeError as singular:
        raise ValueError("the structure is a mechanism: its supports do not hold it") from singular
    pivots = np.abs(factors.U.diagonal())
    if pivots.min() < SINGULAR * pivots.max():
        raise ValueError("the structure is a mechanism: its supports do not hold it")
    moved[free] = factors.solve(loads[free])
    return moved
