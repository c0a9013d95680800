"""How many draws a difference asks for, blind: ``python -m benchmarks.evidence.power``.

Prints the spread of the paired differences of the primary test, and no mean: who looks at it can't be led to
stop where a result is good.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.evidence.curves import read_draws
from benchmarks.evidence.effects import differences
from benchmarks.evidence.replay import replay
from benchmarks.evidence.rules import PENALTY_1, PLAIN, RULES

DIFFERENCE: Final = 0.003
POWER: Final = 0.8
LEVEL: Final = 0.05


def draws_wanted(spread: float, difference: float = DIFFERENCE) -> int:
    """Return how many draws see a difference with 80 %, at a level of 5 %.

    Args:
        spread: Standard deviation of the paired differences over draws.
        difference: The mean that is to be seen, in the same unit.

    Example:
        >>> draws_wanted(0.01, 0.01)
        10
    """
    for n in range(2, 100_000):
        limit = stats.t.ppf(1 - LEVEL / 2, n - 1)
        if 1 - stats.nct.cdf(limit, n - 1, math.sqrt(n) * difference / spread) >= POWER:
            return n
    raise ValueError(f"a difference of {difference} is too small to be seen over a spread of {spread}")


def seen(spread: float, n: int) -> float:
    """Return the smallest difference that ``n`` draws see with 80 %, to half a per cent of it."""
    steps = np.geomspace(0.05, 50, 1400)
    limit = stats.t.ppf(1 - LEVEL / 2, n - 1)
    reached = 1 - stats.nct.cdf(limit, n - 1, math.sqrt(n) * steps) >= POWER
    return float(steps[reached.argmax()] * spread)


def table(values: dict[str, npt.NDArray[np.float64]]) -> list[tuple[str, int, float, int, float]]:
    """Return problem, draws, spread, draws wanted, and what the draws at hand see; from two draws on."""
    rows = []
    for name, these in values.items():
        if len(these) > 1:
            spread = float(these.std(ddof=1))
            rows.append((name, len(these), spread, draws_wanted(spread), seen(spread, len(these))))
    return rows


def primary_differences() -> dict[str, npt.NDArray[np.float64]]:
    """Return the paired differences of the primary test for each problem."""
    rules = {name: RULES[name] for name in (PLAIN, PENALTY_1)}
    return {
        name: differences([replay(draw, rules) for draw in draws], PENALTY_1, "test")
        for name, draws in read_draws().items()
    }


def main() -> None:
    """Print the table."""
    print("Penalty 1 against plain, test accuracy in points (diabetes: mae in hundredths), means not shown")
    print(f"{'problem':<14}{'draws':>6}{'spread':>9}{'wanted for 0.3':>16}{'draws at hand see':>19}")
    for name, n, spread, wanted, least in table(primary_differences()):
        print(f"{name:<14}{n:>6}{100 * spread:>9.2f}{wanted:>16}{100 * least:>19.2f}")


if __name__ == "__main__":
    main()
