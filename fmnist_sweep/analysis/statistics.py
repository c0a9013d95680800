"""Means of repeats on reshuffled splits, and differences between configurations, with honest intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

LEVEL: Final = 0.95

_DECIMALS: Final = 12
"""Scores have six decimals: what their differences have beyond twelve is the computer's own."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval, in the unit of what was averaged.

    Attributes:
        mean: The mean.
        low: Lower end; NaN where fewer than two values leave the spread unknown.
        high: Upper end, likewise.
        n: Number of values.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        """1 where the interval lies above 0, -1 where it lies below, else 0, as where it is unknown.

        Of a difference this tells whether one of the two is better, or they are tied.
        """
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one configuration is above another, and how likely it is above it at all.

    Attributes:
        interval: The mean difference with its interval.
        chance: That the true difference is above 0, between 0 and 1; NaN where the spread is unknown.
    """

    interval: Interval
    chance: float


def interval(values: npt.ArrayLike, *, n_val: int, n_train: int, level: float = LEVEL) -> Interval:
    """Return the mean of one quantity over repeats on reshuffled splits, with its confidence interval.

    Each repeat parts the same images anew, so the repeats share most of their training images, and their
    plain variance would make the interval too narrow. With ``R`` repeats of variance ``s2`` (divided by
    ``R - 1``) the variance of their mean is taken as ``s2 * (1/R + n_val/n_train)``, and the interval is
    Student's with ``R - 1`` degrees of freedom. Given the differences of two configurations on equal seeds
    and splits, this is the corrected resampled t-test: they differ at the level where 0 lies outside.

    The mean is what the configuration is expected to reach on new splits of these images from new seeds; for
    other images, such as the test set's, the interval promises nothing.

    Args:
        values: Shape ``(R,)``, one value a repeat.
        n_val: Number of validation images of each split.
        n_train: Number of training images of each split.
        level: Share of such intervals that hold the true mean.

    Raises:
        ValueError: There is no value, or one is not finite.

    Example:
        >>> i = interval([0.01, 0.03], n_val=5000, n_train=55000)
        >>> [round(x, 4) for x in (i.mean, i.low, i.high)]
        [0.02, -0.1181, 0.1581]

    References:
        Nadeau and Bengio (2003), "Inference for the Generalization Error", Machine Learning 52, 239-281.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"an interval needs at least one value, all of them finite; got {x.tolist()}")
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, math.nan, math.nan, len(x))
    variance = float(x.var(ddof=1)) * (1 / len(x) + n_val / n_train)
    half = critical((1 + level) / 2, len(x) - 1) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, len(x))


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, *, n_val: int, n_train: int, level: float = LEVEL
) -> Interval:
    """Return by how much ``a`` is above ``b`` over repeats on equal seeds and splits; see `interval`.

    Args:
        a: Shape ``(R,)``.
        b: Shape ``(R,)``; its i-th value is of the same repeat as that of ``a``.
        n_val: Number of validation images of each split.
        n_train: Number of training images of each split.
        level: Share of such intervals that hold the true difference.

    Raises:
        ValueError: The two have not as many values, or none, or one is not finite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values come in equal numbers; got {first.shape} and {second.shape}")
    # Equal differences must have no spread left by their subtraction: it would look like a sure difference.
    return interval(np.round(first - second, _DECIMALS), n_val=n_val, n_train=n_train, level=level)


def pooled_differences(
    a: npt.ArrayLike, b: npt.ArrayLike, *, n_val: int, n_train: int, level: float = LEVEL
) -> list[Difference]:
    """Return by how much each of several configurations is above one that all are compared with.

    The noise of a training is taken to be the same in all of them, beyond what a repeat's seed and split do
    to all alike: with ``K`` compared configurations and ``R`` repeats its variance ``s2`` has ``K(R - 1)``
    degrees of freedom. The variance of a difference of means is ``2 * s2 * (1/R + n_val/n_train)``, with the
    correction of `interval`. Of one configuration this is `paired_difference`.

    The best of several means is too high by its luck. The low ends are those of Bonferroni's correction:
    all hold together, so the low end of whichever is picked holds too. The high ends need none: a pick of
    the best mean that lies below its true value by so much has the truly best one lie as far below its own.

    Args:
        a: Shape ``(K, R)``, the compared ones.
        b: Shape ``(R,)``; its i-th value is of the same repeat as those of ``a``.
        n_val: Number of validation images of each split.
        n_train: Number of training images of each split.
        level: Share of intervals that hold the true difference of the one with the best mean.

    Raises:
        ValueError: The values don't fit together, there are none, or one is not finite.

    Example:
        >>> found = pooled_differences([[0.03, 0.05], [0.02, 0.02]], [0.01, 0.01], n_val=5000, n_train=55000)
        >>> [round(d.interval.mean, 4) for d in found], [round(d.chance, 2) for d in found]
        ([0.03, 0.01], [0.96, 0.81])
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 2 or second.shape != first.shape[1:]:
        raise ValueError(f"paired values come in equal numbers; got {first.shape} and {second.shape}")
    rows = np.vstack([second, first])
    if not first.size or not np.isfinite(rows).all():
        raise ValueError(f"differences need at least one repeat, all of it finite; got {rows.tolist()}")
    k, n = first.shape
    means = np.round(first.mean(axis=1) - second.mean(), _DECIMALS)
    if n < 2:
        return [Difference(Interval(float(m), math.nan, math.nan, n), math.nan) for m in means]
    own = rows - rows.mean(axis=1, keepdims=True)
    residuals = np.round(own - own.mean(axis=0), _DECIMALS)
    df = k * (n - 1)
    error = math.sqrt(2 * float((residuals**2).sum()) / df * (1 / n + n_val / n_train))
    tail = (1 - level) / 2
    down, up = (critical(1 - share, df) * error for share in (tail / k, tail))
    return [
        Difference(Interval(float(m), float(m) - down, float(m) + up, n), _chance(float(m), error, df))
        for m in means
    ]


@cache
def critical(share: float, df: int) -> float:
    """Return Student's value that a share of the distribution lies below."""
    return float(special.stdtrit(df, share))


def _chance(mean: float, error: float, df: int) -> float:
    if error == 0:
        return (1 + float(np.sign(mean))) / 2
    return float(special.stdtr(df, mean / error))
