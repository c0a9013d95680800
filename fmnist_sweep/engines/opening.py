"""Open an engine by its name."""

from __future__ import annotations

from typing import Final

from fmnist_sweep.core.places import Places
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.engines.base import KERAS_TRAINER, OpenEngine

ENGINES: Final = Registry(
    "engine", "fmnist_sweep.engines", {"local": "fmnist_sweep.engines.local:LocalEngine"}
)
"""Each name stands for something that is called as `open_engine` calls it."""


def open_engine(
    name: str,
    slots: int,
    *,
    places: Places,
    trainer: str = KERAS_TRAINER,
    time_limit_s: float | None = None,
) -> OpenEngine:
    """Open an engine; leaving it as a context manager closes it.

    Args:
        name: One of ours, or of an installed package's entry points.
        slots: How many jobs run at the same time.
        places: Where on this machine lies what jobs name.
        trainer: Import path of the trainer, ``"package.module:Class"``, called without arguments.
        time_limit_s: Seconds after which a job is ended as failed; None sets no limit.

    Raises:
        ConfigError: There is no engine of that name.
    """
    engine: OpenEngine = ENGINES.load(name)(slots, places=places, trainer=trainer, time_limit_s=time_limit_s)
    return engine
