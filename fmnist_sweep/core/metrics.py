"""What is measured: the one place that knows each metric's direction, its unit and how it is had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fmnist_sweep.core.errors import MetricNotRecordedError, did_you_mean
from fmnist_sweep.core.wording import Unit

Direction: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that is measured after each epoch, on the train probe and on the validation part alike.

    Attributes:
        name: As scores and sweep files name it; the stored scores are ``train_NAME`` and ``val_NAME``.
        direction: ``"max"`` where more is better, ``"min"`` where less is.
        unit: How it is shown.
        of: What it is made of: the model's outputs and the labels, what Keras logs, or a user's function.
        largest: No value, and no gap, is larger in size.
        step: A small change of a gap, in the unit that is shown, for a slider.
    """

    name: str
    direction: Direction
    unit: Unit
    of: Literal["outputs", "keras", "function"] = "outputs"
    largest: float = math.inf
    step: float = 0.01

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is: a value times its sign is better when it is larger.

        The generalization gap is ``sign * (train - val)``: positive is overfitting, whatever the metric.
        """
        return 1 if self.direction == "max" else -1


METRICS_BY_NAME: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "max", Unit("accuracy", 100.0, "%", "points", 2), largest=1.0, step=0.1),
        # Keras clips probabilities at 1e-7.
        Metric(
            "cross_entropy",
            "min",
            Unit("cross_entropy", 1.0, "nats", "nats", 4),
            largest=-math.log(1e-7),
            step=0.005,
        ),
    )
}

UNITS: Final[Mapping[str, Unit]] = {name: metric.unit for name, metric in METRICS_BY_NAME.items()}
"""The unit of each metric, by its name."""


def metric_of(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        MetricNotRecordedError: There is none.

    Example:
        >>> metric_of("cross_entropy").direction
        'min'
    """
    metric = METRICS_BY_NAME.get(name)
    if metric is None:
        known = ", ".join(METRICS_BY_NAME)
        raise MetricNotRecordedError(
            f"unknown metric {name!r}{did_you_mean(name, METRICS_BY_NAME)} (allowed: {known})"
        )
    return metric
