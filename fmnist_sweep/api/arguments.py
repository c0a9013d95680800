"""Arguments of `Tuner` and its ``search``: what they are called, and what they may be."""

from __future__ import annotations

import operator
from typing import Any, Final

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.metrics import Direction

_ARGUMENTS: Final[dict[str, str]] = {
    "study": "study",
    "budget.trials": "max_trials",
    "score.metric": "objective",
    "score.direction": "the objective's direction",
    "score.penalty": "penalty",
    "score.tolerance": "tolerance",
    "score.within_se": "within_se",
    "sampler.name": "sampler",
    "sampler.seed": "seed",
    "training.seed": "seed",
    "pruner.name": "pruner",
    "space.epochs": "epochs",
}
"""Of each setting of a sweep file that a tuner makes, its argument."""


def by_argument(problem: str) -> str:
    """Return a problem of a setting of a sweep file as one of an argument of `Tuner` or ``search``.

    Example:
        >>> by_argument("budget.trials: must be at least 1, got 0")
        'max_trials: must be at least 1, got 0'
    """
    setting, colon, told = problem.partition(": ")
    if not colon or setting not in _ARGUMENTS:
        return problem
    told = told.replace('set score.direction to "max" or "min"', 'give fs.Objective(NAME, "max") or "min"')
    return f"{_ARGUMENTS[setting]}: {told}"


def number_of_epochs(epochs: Any) -> int | None:
    """Return a number of epochs as an int; None where none is given.

    Raises:
        ConfigError: It is no whole number of at least 1.

    Example:
        >>> number_of_epochs(5), number_of_epochs(None)
        (5, None)
    """
    if epochs is None:
        return None
    try:
        number = operator.index(epochs)
    except TypeError:
        number = 0
    if number < 1:
        raise ConfigError("search", [f"epochs: must be a whole number of at least 1, got {epochs!r}"])
    return number


def metric_and_direction(objective: Any) -> tuple[str, Direction | None]:
    """Return the metric of an objective, without ``val_``, and its direction if that is given.

    Raises:
        ConfigError: It is none, or there are several.

    Example:
        >>> metric_and_direction("val_auc")
        ('auc', None)
    """
    if isinstance(objective, list | tuple) and len(objective) == 1:
        (objective,) = objective
    if isinstance(objective, list | tuple):
        told = "several objectives can't be searched at once; take the one that decides, and read the others"
        raise ConfigError("objective", [f"{told} in trials_dataframe()"])
    name, direction = getattr(objective, "name", objective), getattr(objective, "direction", None)
    if not isinstance(name, str) or not name:
        told = (
            f"{objective!r} is no objective; give a name that Keras logs, such as 'val_accuracy', or "
            "'returned' for what a fit of your own returns"
        )
        raise ConfigError("objective", [told])
    return name.removeprefix("val_"), direction
