"""Single numbers of trials; NaN stands for what is missing. Nothing here loads pandas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fmnist_sweep.core.curves import METRICS
from fmnist_sweep.storage.stored import StoredTrial


def number_of(trial: StoredTrial, name: str) -> Any:
    """Return a number of a trial, its epoch counted from 1; NaN where it has none.

    Args:
        trial: The trial.
        name: One of its `StoredTrial.scores`, or the name of a field.
    """
    is_score = name in METRICS or name in trial.scores
    value = trial.scores.get(name) if is_score else getattr(trial, name, None)
    if value is None:
        return np.nan
    return value + 1 if name == "epoch" else value


def value_of(trial: StoredTrial | None) -> float:
    """Return a trial's value; NaN where there is no trial or it has none."""
    return np.nan if trial is None or trial.value is None else trial.value


def is_missing(value: Any) -> bool:
    """Return whether a number is not known: None, or NaN.

    Example:
        >>> is_missing(None), is_missing(float("nan")), is_missing(0), is_missing("text")
        (True, True, False, False)
    """
    return value is None or (isinstance(value, float) and math.isnan(value))
