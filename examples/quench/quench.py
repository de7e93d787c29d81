"""Cooling of a slab whose two faces are quenched: heat conduction in one dimension, step by step.

    kedge run quench thickness="100 mm" duration="2 min" --out results

With many cells this takes hours, and says nothing meanwhile:

    kedge run quench thickness="100 mm" duration="1 h" cells=2000

Stopped by Ctrl-C or by a time limit, it leaves `checkpoint.json` among its artifacts, from which another
run goes on, to the same result to the last bit as if nothing had happened:

    kedge run quench thickness="100 mm" duration="1 h" cells=2000 checkpoint=checkpoint.json
"""

import csv
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated, TypedDict

from checkpoint import State, load, save

import kedge
from kedge import Unit

# Time step as diffusivity * step / cell^2: at 1/6 the first errors of the explicit scheme in time and in
# space cancel (Smith, Numerical Solution of Partial Differential Equations, chapter 2).
FOURIER = 1 / 6

# Steps after which a run says how long the rest will take: the only thing that it says.
TIMED_STEPS = 200


class Cooled(TypedDict):
    centre: Annotated[float, Unit("degC"), "Temperature in the middle of the slab"]
    mean: Annotated[float, Unit("degC"), "Mean temperature of the slab"]
    time: Annotated[float, Unit("s"), "Time since the quench: the duration in whole steps"]
    steps: int
    profile: Path


def cool(
    thickness: Annotated[float, Unit("mm")],
    duration: Annotated[float, Unit("s")],
    diffusivity: Annotated[float, Unit("mm**2/s")] = 12.0,
    initial: Annotated[float, Unit("degC")] = 850.0,
    quenched: Annotated[float, Unit("degC")] = 20.0,
    cells: int = 100,
    checkpoint: Path | None = None,
) -> Cooled:
    """Temperatures in a slab after its faces were brought to another temperature.

    Args:
        thickness: Thickness of the slab.
        duration: Time since the quench.
        diffusivity: Thermal diffusivity; that of steel when not given.
        initial: Temperature of the slab before.
        quenched: Temperature of both faces from then on.
        cells: Cells across the slab.
        checkpoint: Where an earlier run of the same slab was stopped; the duration may be another.

    Raises:
        ValueError: a value is out of bounds, or the checkpoint is not one of this slab.
    """
    given = {"thickness": thickness, "duration": duration, "diffusivity": diffusivity}
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"{name} must be more than zero, and is {value:g}")
    slab = {
        "thickness": thickness,
        "diffusivity": diffusivity,
        "initial": initial,
        "quenched": quenched,
        "cells": cells,
    }
    time_step = FOURIER * (thickness / cells) ** 2 / diffusivity
    steps = round(duration / time_step)
    if checkpoint is None:
        state = State(0, [quenched, *[initial] * (cells - 1), quenched])
    else:
        state = load(checkpoint, slab)
    if state.step > steps:
        reached = state.step * time_step
        raise ValueError(
            f"the checkpoint is at {reached:g} s already, past the {duration:g} s to go to"
        )

    final = march(state, steps, slab)
    temperatures = final.temperatures
    return {
        "centre": (temperatures[cells // 2] + temperatures[-1 - cells // 2]) / 2,
        "mean": (sum(temperatures) - (temperatures[0] + temperatures[-1]) / 2) / cells,
        "time": steps * time_step,
        "steps": steps,
        "profile": profile(temperatures, thickness),
    }


def march(state: State, steps: int, slab: dict[str, float]) -> State:
    """The state after so many steps; leaves a checkpoint when it is asked to stop on the way.

    `kedge.Cancelled` comes between any two instructions. What is saved is whole nevertheless: a state is
    never changed, only replaced by the next one, in a single assignment.
    """
    first, began = state.step, perf_counter()
    try:
        while state.step < steps:
            state = State(state.step + 1, conducted(state.temperatures))
            if state.step == first + TIMED_STEPS:
                left_s = (perf_counter() - began) / TIMED_STEPS * (steps - state.step)
                left = timedelta(seconds=round(left_s))
                kedge.progress(state.step, steps, f"about {left} to go, without another word")
    except kedge.Cancelled:
        save(state, slab)
        raise
    return state


def conducted(temperatures: list[float]) -> list[float]:
    """The temperatures one time step later; those of the faces stay."""
    inner = [
        here + FOURIER * (left - 2 * here + right)
        for left, here, right in zip(temperatures, temperatures[1:], temperatures[2:], strict=False)
    ]
    return [temperatures[0], *inner, temperatures[-1]]


def profile(temperatures: list[float], thickness: float) -> Path:
    """The temperatures as the output file `profile`."""
    path = kedge.out_path("profile", ".csv")
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x [mm]", "temperature [degC]"])
        for number, temperature in enumerate(temperatures):
            rows.writerow(
                [f"{number * thickness / (len(temperatures) - 1):.9g}", repr(temperature)]
            )
    return path
