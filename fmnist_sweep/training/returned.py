"""What a user's ``fit`` returns: numbers that are kept with the trial, and may be what is scored."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from numbers import Real
from typing import Any

import keras

from fmnist_sweep.core.errors import TrialError, did_you_mean
from fmnist_sweep.core.metrics import RETURNED, returned_key


def returned_values(returned: Any, measured: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """Return the numbers in what a ``fit`` returned, and what is to be told of the rest.

    As KerasTuner takes them: a number, a mapping of numbers, a History, or a list of these, which is
    averaged. Of a History these are the last values of what a callback has added to its logs: the metrics
    themselves are measured after each epoch.

    Args:
        returned: What it returned; None is nothing.
        measured: What the last epoch has measured, by names such as ``val_mae``.

    Returns:
        The numbers by name, a plain one as ``"returned"``; a sentence without its full stop, or nothing.
    """
    if returned is None:
        return {}, ""
    if isinstance(returned, list) and returned:
        parts = [returned_values(part, measured) for part in returned]
        shared = [name for name in parts[0][0] if all(name in values for values, _ in parts)]
        told = next((told for _, told in parts if told), "")
        return {name: statistics.fmean(values[name] for values, _ in parts) for name in shared}, told
    if isinstance(returned, keras.callbacks.History):
        logs = {name: values[-1] for name, values in returned.history.items() if values}
        known = {*measured, *(name.removeprefix("train_") for name in measured)}
        return _numbers({name: value for name, value in logs.items() if name not in known})
    if isinstance(returned, Mapping):
        return _numbers(returned)
    if _is_number(returned):
        return _numbers({RETURNED: returned})
    return {}, (
        f"fit returned {type(returned).__name__}, which is not kept: a number is, a dict of numbers, a "
        "History, or a list of these"
    )


def scored_return(values: Mapping[str, float], metric: str) -> float:
    """Return the value that a metric such as ``"returned"`` or ``"returned.gain"`` names.

    Args:
        values: The numbers that were returned.
        metric: The metric.

    Raises:
        TrialError: It was not returned; the message says what was.
    """
    key = returned_key(metric)
    name = next((one for one in (key, f"val_{key}") if one in values), None)
    if name is None:
        there = ", ".join(values) or "no number"
        raise TrialError(
            f"score.metric is {metric!r}, and fit returned {there}{did_you_mean(key, values)}; let fit "
            f"return {'a number' if key == RETURNED else f'a dict with {key!r}'}, or score another metric"
        )
    return values[name]


def _numbers(values: Mapping[Any, Any]) -> tuple[dict[str, float], str]:
    kept, left = dict[str, float](), list[str]()
    for name, value in values.items():
        if _is_number(value) and math.isfinite(float(value)):
            kept[str(name)] = float(value)
        else:
            left.append(f"{name} ({float(value) if _is_number(value) else type(value).__name__})")
    told = f"of what fit returned {', '.join(left)} is not kept: no finite number" if left else ""
    return kept, told


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    # Tensors and arrays of one number too.
    return isinstance(value, Real) or (getattr(value, "shape", None) == () and hasattr(value, "__float__"))
