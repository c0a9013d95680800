"""Run jobs in this process, one at a time: for tests, and for a debugger."""

from __future__ import annotations

from collections.abc import Generator

from typing_extensions import override

from fmnist_sweep.core.events import Cancelled, Failed, Finished, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.trainer import Trainer
from fmnist_sweep.engines.base import ClosedByWith, require_free, run_job


class InlineEngine(ClosedByWith):
    """Trains in this process: each call of `events` takes the job one event further.

    Args:
        trainer: Trains the jobs.
        places: Where what they name lies.
    """

    slots = 1

    def __init__(self, trainer: Trainer, *, places: Places | None = None) -> None:
        self._trainer = trainer
        self._places = Places() if places is None else places
        self._job: tuple[int, Generator[TrialEvent]] | None = None
        self._cancelled = False
        self._closed = False

    @property
    def running(self) -> tuple[int, ...]:
        """The trial that is running, if any."""
        return () if self._job is None else (self._job[0],)

    def submit(self, job: TrialJob) -> None:
        """Take a job; it trains while `events` is called."""
        require_free(self, job.trial, closed=self._closed)
        self._job = (job.trial, run_job(self._trainer, job, self._places))
        self._cancelled = False

    def events(self, timeout_s: float) -> list[TrialEvent]:  # noqa: ARG002 - training can't be cut short from inside
        """Train up to the next event and return it alone, however long that takes."""
        if self._job is None:
            return []
        event = Cancelled(self._job[0]) if self._cancelled else next(self._job[1])
        if isinstance(event, Finished | Failed | Cancelled):
            self._job = None
        return [event]

    def cancel(self, trial: int) -> None:
        """Drop the trial's job where it stands."""
        if self._job is not None and self._job[0] == trial:
            self._job[1].close()
            self._cancelled = True

    @override
    def close(self) -> None:
        """Drop the job and take no more."""
        if self._job is not None:
            self._job[1].close()
            self._job = None
        self._closed = True
