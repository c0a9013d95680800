"""The score of a training of one's own: its validation metric minus the penalised gap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import ConfigError, MetricNotRecordedError
from fmnist_sweep.core.metrics import METRICS_BY_NAME
from fmnist_sweep.core.score import ScoreRule


def gap_score(
    history_or_curve: Any,
    *,
    objective: str | Any = "val_accuracy",
    penalty: float | None = None,
    tolerance: float | None = None,
) -> float:
    """Return the score of the best epoch of a training: its validation metric minus the penalised gap.

    Args:
        history_or_curve: What ``model.fit`` returns, its ``history``, any mapping of lists by such names, or
            the curve of a `GapPruning`. The training side is ``train_NAME`` where it is there, as
            `GapPruning` puts it; else ``NAME``, which Keras takes while it trains, dropout on, from a model
            that changes meanwhile: a gap from it is off by some points.
        objective: As for `GapPruning`.
        penalty: As for `GapPruning`.
        tolerance: As for `GapPruning`.

    Returns:
        Higher is better, also where less of the metric is: the loss counts negatively. NaN, which Optuna
        stores as a failed trial, where no epoch has finite scores.

    Raises:
        ConfigError: The objective or the penalty can't be used.
        MetricNotRecordedError: What is given has no such metric.

    Example:
        >>> history = {"accuracy": [0.86, 0.90, 0.95], "val_accuracy": [0.86, 0.88, 0.89]}
        >>> gap_score(history), gap_score(history, penalty=1.0)
        (0.89, 0.87)
        >>> gap_score({"loss": [0.4, 0.2], "val_loss": [0.5, 0.4]}, objective="val_loss", penalty=0.5)
        -0.5
    """
    rule, problems = asked_rule(objective, penalty, tolerance)
    if rule is None or problems:
        raise ConfigError("gap_score", problems)
    train, val = _both(history_or_curve, rule.metric)
    n = min(len(train), len(val))
    finite = [i for i in range(n) if math.isfinite(train[i]) and math.isfinite(val[i])]
    name = rule.metric
    found = [rule.score(EpochScores(0, {name: float(train[i])}, {name: float(val[i])})) for i in finite]
    return max(found, default=math.nan)


def _both(given: Any, metric: str) -> tuple[Any, Any]:
    """Return the train and the validation values of a metric, epoch by epoch."""
    if isinstance(given, LearningCurve):
        return given.values(f"train_{metric}"), given.values(f"val_{metric}")
    columns = getattr(given, "history", given)
    if not hasattr(columns, "keys"):
        told = f"{type(given).__name__} holds no epochs; give what fit returns, or a mapping of lists"
        raise ConfigError("gap_score", [told])
    names = [str(name) for name in columns.keys()]  # noqa: SIM118 - of a table, the columns
    train = next((name for name in (f"train_{metric}", metric) if name in names), None)
    if train is None or f"val_{metric}" not in names:
        raise MetricNotRecordedError(
            f"gap_score needs {metric!r} and 'val_{metric}'; the history has {', '.join(names) or 'nothing'}"
            ". Give fit something that validates, and compile the model with the metric"
        )
    return [np.asarray(columns[name], dtype=float).ravel() for name in (train, f"val_{metric}")]  # type: ignore[return-value]


def asked_rule(
    objective: Any, penalty: float | None, tolerance: float | None
) -> tuple[ScoreRule | None, list[str]]:
    """Return the rule of what is asked for, None where there is none of it, and what is wrong.

    Args:
        objective: As for `GapPruning`.
        penalty: As for `GapPruning`.
        tolerance: As for `GapPruning`.
    """
    problems = []
    for name, value in (("penalty", penalty), ("tolerance", tolerance)):
        if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
            problems.append(f"{name}: {value!r}; give a number from 0 on, or None for the default")
    name, direction = getattr(objective, "name", objective), getattr(objective, "direction", None)
    if not isinstance(name, str) or not name:
        told = f"objective: {objective!r} is none; give a name that Keras logs, such as 'val_accuracy'"
        return None, [*problems, told]
    metric = name.removeprefix("val_")
    rule = ScoreRule(
        metric=metric,
        penalty=0.0 if penalty is None else penalty,
        tolerance=(0.01 if metric in METRICS_BY_NAME else 0.0) if tolerance is None else tolerance,
        direction=direction,
    )
    try:
        _ = rule.quantity
    except MetricNotRecordedError as error:
        wanted = 'give fmnist_sweep.Objective(name, direction), with "max" or "min"'
        told = str(error).partition(" If the model")[0].rstrip(".")
        return None, [*problems, f"objective: {told}; {wanted}"]
    return rule, problems
