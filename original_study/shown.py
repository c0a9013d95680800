"""How the paper shows numbers: effects with their intervals and limits, in their units."""

from __future__ import annotations

import math
from typing import Final

from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.core.wording import ABSENT
from original_study.effects import Unit
from original_study.verdict import AtLeast, Between, Equal, Rule

_DECIMALS: Final[dict[str, int]] = {"points": 2, "per cent": 2, "nats": 3, "times": 2}
_SUFFIX: Final[dict[str, str]] = {
    "points": "points",
    "per cent": "%",
    "nats": "nats",
    "times": "times",
}
MINUS: Final = "\N{MINUS SIGN}"


def scaled(value: float, unit: Unit) -> float:
    """Return a number in the unit in which it is shown."""
    if unit == "times":
        return math.exp(value)
    return value if unit == "nats" else 100 * value


def number(value: float, unit: Unit) -> str:
    """Return a number as it is shown, without its unit.

    Example:
        >>> [number(0.0123, "points"), number(0.8839, "per cent"), number(0.6931472, "times")]
        ['+1.23', '88.39', '2.00']
    """
    sign = "+" if unit in ("points", "nats") else ""
    return f"{scaled(value, unit):{sign}.{_DECIMALS[unit]}f}".replace("-", MINUS)


def effect(found: Interval | None, unit: Unit) -> str:
    """Return an effect with its 95 % interval.

    Example:
        >>> effect(Interval(0.0123, 0.004, 0.02, 5), "points")
        '+1.23 points (+0.40 to +2.00)'
    """
    if found is None:
        return ABSENT
    mean = f"{number(found.mean, unit)} {_SUFFIX[unit]}"
    if math.isnan(found.low):
        return f"{mean} (one seed)"
    return f"{mean} ({number(found.low, unit)} to {number(found.high, unit)})"


def limit(rule: Rule, unit: Unit) -> str:
    """Return what a rule asks for, in words.

    Example:
        >>> limit(AtLeast(0.005), "points")
        'above 0, and 0.5 points or more'
    """

    def at(value: float) -> str:
        return f"{scaled(value, unit):.4g}".replace("-", MINUS)

    match rule:
        case AtLeast(margin=0.0):
            return f"above {'1' if unit == 'times' else '0'}"
        case AtLeast(margin=margin):
            floor = "1" if unit == "times" else "0"
            return f"above {floor}, and {at(margin)} {_SUFFIX[unit]} or more"
        case Equal(margin=margin):
            return f"within {at(margin)} {_SUFFIX[unit]} of 0"
        case Between(low=low, high=high):
            return f"{at(low)} to {at(high)} {_SUFFIX[unit]}"


def per_cent(found: Interval | None) -> str:
    """Return a mean accuracy with its interval, such as ``"89.12 % (88.90 to 89.34)"``."""
    return effect(found, "per cent")
