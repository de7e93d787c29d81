"""The report: the result and the spectrum in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from endurance import cut_off, knee

if TYPE_CHECKING:
    from fatigue import Assessment


def write(path: Path, result: Assessment, category: float, factor: float) -> None:
    """Writes the report of a result; category in MPa."""
    rows = [
        f"| {entry['upper']:g} | {entry['cycles']:g} | {entry['damage']:.3g} |"
        for entry in result["spectrum"]
    ]
    path.write_text(
        "\n".join(
            [
                "# Fatigue of a stress history",
                "",
                verdict(result),
                "",
                f"- Detail category {category:g} MPa, γMf = {factor:g} (EN 1993-1-9)",
                f"- Fatigue limit {knee(category):.1f} MPa, cut-off {cut_off(category):.1f} MPa",
                f"- Largest range {result['largest_range']:.4g} MPa",
                "- Cycles by rainflow counting (ASTM E1049), damage by Miner's sum",
                "",
                "| range up to [MPa] | cycles | damage |",
                "|---:|---:|---:|",
                *rows,
                "",
            ]
        ),
        encoding="utf-8",
    )


def verdict(result: Assessment) -> str:
    """The result in one sentence."""
    passages = result["passages"]
    if passages is None:
        return "**No cycle of the history damages the detail.**"
    if passages < 1:
        return (
            f"**The detail does not bear the history once: Miner's sum is {result['damage']:.3g}.**"
        )
    return (
        f"**The detail bears the history {passages:.3g} times** "
        f"(Miner's sum of one passage: {result['damage']:.3g})."
    )
