"""What a rule changes: paired differences over draws, with intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.evidence.rules import PLAIN
from fmnist_sweep.analysis.statistics import Interval, interval

Replayed: TypeAlias = Sequence[Mapping[str, Mapping[str, float]]]
"""For each draw and rule its outcomes."""

MOST_EXACT: Final = 12
N_FLIPS: Final = 20_000


def differences(
    replayed: Replayed, rule: str, outcome: str, *, against: str = PLAIN
) -> npt.NDArray[np.float64]:
    """Return by how much a rule is above another one, draw by draw."""
    return np.array([told[rule][outcome] - told[against][outcome] for told in replayed])


def effect(replayed: Replayed, rule: str, outcome: str, *, against: str = PLAIN) -> Interval:
    """Return the mean of `differences` with its 95 % interval; draws are independent of one another."""
    return interval(differences(replayed, rule, outcome, against=against), n_val=0, n_train=1)


def t_test(values: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p of a paired t-test; NaN for fewer than two draws, 1 where all are 0."""
    if len(values) < 2:
        return float("nan")
    return float(stats.ttest_1samp(values, 0.0).pvalue) if np.ptp(values) else float(not values[0])


def sign_flips(values: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p of a sign-flip test: how often random signs give a mean as far from 0.

    All signs are tried up to `MOST_EXACT` draws, so p can't be below ``2 / 2**n``.
    """
    n = len(values)
    if n <= MOST_EXACT:
        signs = np.array(list(product((-1, 1), repeat=n)))
    else:
        signs = np.random.default_rng(7).choice((-1, 1), (N_FLIPS, n))
    # Means of equal size must count as equal, whatever their last bit.
    as_far = np.abs((signs * values).mean(axis=1)) >= abs(values.mean()) - 1e-12
    return float(as_far.mean())


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number; those that are NaN stay so and count for none.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'c': 0.06, 'b': 0.06}

    References:
        Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    known = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    corrected, largest = {}, 0.0
    for i, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - i) * p))
        corrected[name] = largest
    return {**corrected, **{name: p for name, p in p_values.items() if np.isnan(p)}}
