"""Which configurations are so near each other that confirming both would confirm one twice."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.space import FloatParameter, IntParameter, SearchSpace
from fmnist_sweep.storage.stored import StoredTrial

NEAR: Final = 0.02
"""Numbers no further apart than this share of their range are near."""


def merged(trials: Iterable[StoredTrial], space: SearchSpace) -> list[StoredTrial]:
    """Return the trials without those that are near an earlier one.

    Args:
        trials: Best first.
        space: What the sweep drew from. Where it draws the number of epochs, that is a number like others.
    """
    kept: list[StoredTrial] = []
    for trial in trials:
        if not any(near(_point(trial, space), _point(other, space), space) for other in kept):
            kept.append(trial)
    return kept


def _point(trial: StoredTrial, space: SearchSpace) -> Hyperparameters:
    epochs = {"epochs": trial.scored_after} if "epochs" in space else {}
    return {**trial.hyperparameters, **epochs}


def near(a: Hyperparameters, b: Hyperparameters, space: SearchSpace) -> bool:
    """Return whether two configurations have the same choices, and numbers that are near each other.

    Example:
        >>> space = SearchSpace({"rate": FloatParameter(low=1e-4, high=1e-2, log=True)})
        >>> near({"rate": 0.0010}, {"rate": 0.00109}, space), near({"rate": 0.0010}, {"rate": 0.00111}, space)
        (True, False)
    """
    return a.keys() == b.keys() and all(_near(name, a[name], b[name], space) for name in a)


def _near(name: str, a: Scalar, b: Scalar, space: SearchSpace) -> bool:
    if repr(a) == repr(b):
        return True
    if name not in space:
        return False
    parameter = space[name]
    if not isinstance(parameter, FloatParameter | IntParameter):
        return False
    low, high, x, y = (float(value) for value in (*parameter.ends(), a, b))
    if parameter.log:
        if min(low, x, y) <= 0:
            return False
        low, high, x, y = (math.log(value) for value in (low, high, x, y))
    return abs(x - y) <= NEAR * (high - low)
