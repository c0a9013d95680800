"""Open observers by their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.registry import Registry

OBSERVERS: Final = Registry("observer", "fmnist_sweep.observers", {})
"""Each name stands for an `Observer`, called without arguments."""


def open_observers(names: Iterable[str]) -> list[Observer]:
    """Return a new observer for each name.

    Raises:
        ConfigError: There is no observer of a name.
    """
    return [OBSERVERS.load(name)() for name in names]
