"""How often does a bar fail? Drawn a million times, in an environment that the function brings along.

    python monte_carlo.py

numpy, pandas and tabulate are in the function's own environment: the Python that runs this file needs
none of them. The probability of failure of strength and stress that are normally distributed is known,
so what was drawn can be compared.
"""

import math

import kedge

STRENGTH = (355.0, 25.0)  # MPa: mean and standard deviation of the steel's yield strength
STRESS = (240.0, 30.0)  # MPa: of the largest stress in a year


@kedge.function(pip=["numpy", "pandas", "tabulate"], memory=1024, timeout=300)
def failures(draws: int, parts: int = 4, seed: int = 1) -> float:
    """The share of draws in which the stress is higher than the strength.

    Args:
        draws: How many.
        parts: In how many parts the table shows them.
        seed: Of the random numbers.
    """
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    margin = random.normal(*STRENGTH, draws) - random.normal(*STRESS, draws)
    counted = np.add.accumulate(margin < 0)
    rows = [draws * part // parts - 1 for part in range(1, parts + 1)]
    share = counted[rows] / (np.array(rows) + 1)
    error = np.sqrt(share * (1 - share) / (np.array(rows) + 1))
    table = pd.DataFrame({"draws": np.array(rows) + 1, "failed": share, "± at 95 %": 1.96 * error})
    print(table.to_markdown(index=False, floatfmt=(",.0f", ".6f", ".6f")))
    return float(share[-1])


def exact() -> float:
    """The same by the normal distribution of the margin."""
    reliability = (STRENGTH[0] - STRESS[0]) / math.hypot(STRENGTH[1], STRESS[1])
    return 0.5 * math.erfc(reliability / math.sqrt(2))


if __name__ == "__main__":
    found = failures.run(draws=1_000_000)
    print(f"drawn {found:.6f}, exact {exact():.6f}")
