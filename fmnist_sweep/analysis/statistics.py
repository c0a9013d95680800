"""Means of repeats on reshuffled splits, and differences between configurations, with honest intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

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
    half = float(stats.t.ppf((1 + level) / 2, df=len(x) - 1)) * math.sqrt(variance)
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
