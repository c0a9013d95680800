"""Run jobs in this process, one at a time: for tests, and for a debugger."""

from __future__ import annotations

from collections.abc import Generator

from typing_extensions import override

from fmnist_sweep.core.events import Event, Failed, Finished
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.trainer import Trainer
from fmnist_sweep.engines.base import ClosedByWith, require_free, run_job


class InlineEngine(ClosedByWith):
    """Trains in this process: each call of `events` takes the job one event further.

    Args:
        trainer: Trains the jobs.
    """

    n_workers = 1

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._job: tuple[int, Generator[Event]] | None = None
        self._closed = False

    @property
    def running(self) -> tuple[int, ...]:
        """The trial that is running, if any."""
        return () if self._job is None else (self._job[0],)

    def submit(self, job: TrialJob) -> None:
        """Take a job; it trains while `events` is called."""
        require_free(self, job.trial, closed=self._closed)
        self._job = (job.trial, run_job(self._trainer, job))

    def events(self, timeout_s: float) -> list[Event]:  # noqa: ARG002 - training can't be cut short from inside
        """Train up to the next event and return it alone, however long that takes."""
        if self._job is None:
            return []
        event = next(self._job[1])
        if isinstance(event, Finished | Failed):
            self._job = None
        return [event]

    def cancel(self, trial: int) -> None:
        """Drop the trial's job where it stands."""
        if self._job is not None and self._job[0] == trial:
            self._job[1].close()
            self._job = None

    @override
    def close(self) -> None:
        """Drop the job and take no more."""
        for trial in self.running:
            self.cancel(trial)
        self._closed = True
