"""The learning rate of each epoch. No Keras here."""

from __future__ import annotations

import math

from fmnist_sweep.core.jobs import Hyperparameters


def scheduled_learning_rate(values: Hyperparameters, epoch: int) -> float:
    """Return the learning rate of an epoch.

    ``"cosine"`` falls along half a cosine wave from ``learning_rate`` to nearly 0 in the last of
    ``schedule_epochs`` epochs; ``"step"`` divides by 10 at half of them and again at three quarters. After
    the last of them it stays what it was there.

    Args:
        values: A configuration; without a ``schedule`` it is constant.
        epoch: Counted from 0.

    Example:
        >>> cosine = {"learning_rate": 0.1, "schedule": "cosine", "schedule_epochs": 4}
        >>> [round(scheduled_learning_rate(cosine, epoch), 4) for epoch in range(6)]
        [0.1, 0.0854, 0.05, 0.0146, 0.0146, 0.0146]
    """
    rate = float(values["learning_rate"])
    schedule = values.get("schedule", "constant")
    if schedule == "constant":
        return rate
    horizon = int(values["schedule_epochs"])
    done = min(epoch, horizon - 1) / horizon
    if schedule == "cosine":
        return rate * (1 + math.cos(math.pi * done)) / 2
    return rate * (0.01 if done >= 0.75 else 0.1 if done >= 0.5 else 1.0)
