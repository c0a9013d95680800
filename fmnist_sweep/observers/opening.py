"""Open observers by their names."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.registry import Registry

OBSERVERS: Final = Registry(
    "observers",
    "fmnist_sweep.observers",
    {
        "jsonl": "fmnist_sweep.observers.json_lines:JsonLines",
        "mlflow": "fmnist_sweep.observers.mlflow:mlflow_runs",
        "tensorboard": "fmnist_sweep.observers.tensorboard:TensorBoard",
    },
)
"""Each name stands for what makes an `Observer` from its settings."""

_PACKAGES: Final = {"mlflow": "mlflow", "tensorboard": "tensorboardX"}
"""What our own need, each with an extra of the observer's name."""

Observed = Mapping[str, Mapping[str, Any]]
"""Settings of each observer, by its name, as ``[observers]`` of a sweep file has them."""


def open_observers(wanted: Observed | Iterable[str]) -> list[Observer]:
    """Return a new observer for each name.

    Args:
        wanted: Their settings by name, or their names alone.

    Raises:
        ConfigError: There is no observer of a name, a package that it needs is missing, or it does not take
            a setting; all problems at once.

    Example:
        >>> open_observers({"tensorboard": {"folder": "logs"}})  # doctest: +SKIP
        [<fmnist_sweep.observers.tensorboard.TensorBoard object at 0x7f2b8c0d4a10>]
        >>> open_observers([])
        []
    """
    settings = wanted if isinstance(wanted, Mapping) else {name: {} for name in wanted}
    problems = [line for name, given in settings.items() for line in _problems(name, given)]
    if problems:
        raise ConfigError("observers", problems)
    return [_made(name, given) for name, given in settings.items()]


def _problems(name: str, given: Mapping[str, Any]) -> list[str]:
    needed = _PACKAGES.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        return [f"{name} needs {needed}, which is not installed; pip install 'fmnist-sweep[{name}]'"]
    try:
        takes = inspect.signature(OBSERVERS.load(name)).parameters
    except ConfigError as error:
        return list(error.problems)
    if any(one.kind is one.VAR_KEYWORD for one in takes.values()):
        return []
    allowed = ", ".join(takes) or "none"
    return [f"{name} has no setting {key!r} (allowed: {allowed})" for key in given if key not in takes]


def _made(name: str, given: Mapping[str, Any]) -> Observer:
    try:
        made: Observer = OBSERVERS.load(name)(**given)
    except Exception as error:  # an observer may be anybody's code
        raise ConfigError("observers", [f"{name} can't be opened: {one_line(error)}"]) from error
    return made
