"""The rule that turns an effect and its interval into a verdict; written down before there were any numbers.

Every part of a claim is one effect: a number for each seed, such as the difference of two configurations'
accuracies, with the smallest size that matters. A rule looks at the effect's 95 % interval and at nothing
else. An interval that allows both answers is no answer: the verdict is then "undecided at this size".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.analysis.statistics import LEVEL, Interval, paired_difference


class Verdict(Enum):
    """What is to be said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided at this size"
    UNMEASURED = "not measured yet"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The effect is there, and it is large enough to matter.

    It holds where the interval lies above 0 and the mean reaches ``margin``: that there is an effect is
    sure, and its best estimate matters. It does not hold where the whole interval lies below ``margin``: if
    there is an effect, it is too small to matter. Of a claim that names a limit itself the margin is 0.

    Attributes:
        margin: The smallest effect that matters, in the effect's unit; not negative.

    References:
        Roychoudhury, Scheuer and Neuenschwander (2018), "Beyond p-values: A phase II dual-criterion design
        with statistical significance and clinical relevance", Clinical Trials 15, 452-461.

    Example:
        >>> rule = AtLeast(0.5)
        >>> [rule.verdict(Interval(mean, low, high, 5)).value for mean, low, high in
        ...  ((0.7, 0.1, 1.3), (0.2, 0.1, 0.3), (0.4, -0.1, 0.9))]
        ['holds', 'does not hold', 'undecided at this size']
    """

    margin: float = 0.0

    def verdict(self, effect: Interval) -> Verdict:
        """Return what the interval of the effect says."""
        if effect.low > 0 and effect.mean >= self.margin:
            return Verdict.HOLDS
        return Verdict.FAILS if effect.high < self.margin else Verdict.UNDECIDED


@dataclass(frozen=True, slots=True)
class Equal:
    """The effect is too small to matter: two configurations do equally well, or a number is as stated.

    It holds where the interval lies between ``-margin`` and ``margin``: two one-sided tests, each at 2.5 %.
    It does not hold where there surely is an effect whose best estimate matters, as in `AtLeast`.

    Attributes:
        margin: The smallest effect that matters, in the effect's unit; above 0.

    References:
        Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for
        assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and
        Biopharmaceutics 15, 657-680.
    """

    margin: float

    def verdict(self, effect: Interval) -> Verdict:
        """Return what the interval of the effect says."""
        if -self.margin < effect.low and effect.high < self.margin:
            return Verdict.HOLDS
        return Verdict.FAILS if effect.sign and abs(effect.mean) >= self.margin else Verdict.UNDECIDED


@dataclass(frozen=True, slots=True)
class Between:
    """A number lies in a band that the claim names: it holds where the whole interval does.

    It does not hold where the whole interval lies outside, on one side.
    """

    low: float
    high: float

    def verdict(self, effect: Interval) -> Verdict:
        """Return what the interval of the number says."""
        if self.low <= effect.low and effect.high <= self.high:
            return Verdict.HOLDS
        return Verdict.FAILS if effect.high < self.low or effect.low > self.high else Verdict.UNDECIDED


Rule: TypeAlias = AtLeast | Equal | Between


def together(parts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim: it holds if all its parts do, and does not if one of them does not."""
    worst_first = (Verdict.FAILS, Verdict.UNMEASURED, Verdict.UNDECIDED, Verdict.HOLDS)
    return min(parts, key=worst_first.index, default=Verdict.UNMEASURED)


_SHARED_LEVEL: Final = (1 + LEVEL) / 2
"""Two intervals at this level hold both true values as often as one at `LEVEL` holds its own."""


def larger_by(a: npt.ArrayLike, b: npt.ArrayLike, *, n_val: int, n_train: int) -> Interval:
    """Return by how much one effect is larger than another, whatever their signs: ``|a| - |b|``.

    The size of a noisy mean is too large on average, so the interval is worked out from those of ``a - b``
    and ``a + b``: wherever the two lie, ``|a| - |b|`` is the smaller of their sizes, positive where they
    have the same sign.

    Args:
        a: Shape ``(R,)``, one effect a repeat.
        b: Shape ``(R,)``, the other effect in the same repeats.
        n_val: As in `winners.statistics.interval`.
        n_train: Likewise.

    Returns:
        ``|mean a| - |mean b|``, with an interval that holds the true value at least as often as `LEVEL`.

    Example:
        >>> found = larger_by([3.0, 3.1, 2.9], [-1.0, -1.1, -0.9], n_val=0, n_train=1)
        >>> round(found.mean, 2), found.sign
        (2.0, 1)
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    less, more = (
        paired_difference(x, other, n_val=n_val, n_train=n_train, level=_SHARED_LEVEL) for other in (y, -y)
    )
    # In each of the two it rises or falls throughout, so its ends are among those of the corners.
    corners = [_smaller_size(u, v) for u, v in product((less.low, less.high), (more.low, more.high))]
    return Interval(_smaller_size(less.mean, more.mean), min(corners), max(corners), less.n)


def _smaller_size(u: float, v: float) -> float:
    return float(np.sign(u) * np.sign(v) * min(abs(u), abs(v)))
