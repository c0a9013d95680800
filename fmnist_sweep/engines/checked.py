"""An engine that hands nothing over once a check has failed."""

from __future__ import annotations

from collections.abc import Callable

from fmnist_sweep.core.events import Event
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.engines.base import Engine


class CheckedEngine:
    """Another engine, with a check before the events of each call are handed over.

    Args:
        engine: Where the jobs run.
        check: Raises what is to end the search before it writes what came.
    """

    def __init__(self, engine: Engine, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check

    @property
    def n_workers(self) -> int:
        """How many jobs can run at the same time."""
        return self._engine.n_workers

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that run, oldest first."""
        return self._engine.running

    def submit(self, job: TrialJob) -> None:
        """Start a job."""
        self._engine.submit(job)

    def events(self, timeout_s: float) -> list[Event]:
        """Return the events at hand, once the check has passed."""
        events = self._engine.events(timeout_s)
        self._check()
        return events

    def cancel(self, trial: int) -> None:
        """End a trial's job."""
        self._engine.cancel(trial)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()
