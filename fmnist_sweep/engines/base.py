"""What the search knows of an engine, and the one way in which a job becomes events."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from types import TracebackType
from typing import Protocol, Self

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import SweepError, TrialError
from fmnist_sweep.core.events import EpochDone, Event, Failed, Finished
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.trainer import Trainer, one_line


class Engine(Protocol):
    """Runs jobs and says what becomes of them.

    Each submitted job gives `Started`, then an `EpochDone` for each epoch in order, before it a
    `CheckpointSkipped` where the epoch could not be stored, and last exactly one `Finished` or `Failed`; a
    job that fails early leaves out what it did not reach, and a cancelled one is silent from then on.
    Events of different trials mix freely.
    """

    @property
    def n_workers(self) -> int:
        """How many jobs can run at the same time."""
        ...

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that were submitted and have neither ended nor been cancelled, oldest first."""
        ...

    def submit(self, job: TrialJob) -> None:
        """Start a job.

        Raises:
            RuntimeError: All workers are busy, the trial is running already, or the engine is closed.
        """
        ...

    def events(self, timeout_s: float) -> list[Event]:
        """Return the events at hand, waiting for the first of them.

        Args:
            timeout_s: Longest wait, in seconds. 0 looks without waiting.

        Returns:
            At least one event, or an empty list after ``timeout_s``, or at once when nothing runs.
        """
        ...

    def cancel(self, trial: int) -> None:
        """End a trial's job; when this returns it is gone and none of its events will come.

        A trial that has ended, or never ran, is no mistake: it may have ended in this very moment.
        """
        ...

    def close(self) -> None:
        """Cancel every job and give everything back. Closing twice is no mistake."""
        ...


class ClosedByWith:
    """Makes an engine a context manager that closes it."""

    def close(self) -> None:
        """Cancel every job and give everything back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def require_free(engine: Engine, trial: int, *, closed: bool) -> None:
    """Raise `RuntimeError` when an engine can't take a trial: the search asked without looking."""
    if closed:
        raise RuntimeError(f"trial {trial}: the engine is closed")
    if trial in engine.running:
        raise RuntimeError(f"trial {trial} is running already")
    if len(engine.running) >= engine.n_workers:
        raise RuntimeError(
            f"trial {trial}: all {engine.n_workers} workers are busy; wait for an event that ends a trial"
        )


def run_job(trainer: Trainer, job: TrialJob) -> Generator[Event]:
    """Train a job and yield its events, the last of which is `Finished` or `Failed`.

    Every exception of the trainer ends in `Failed`, since most of what runs there is the user's code.
    """
    try:
        for step in trainer.fit(job):
            if isinstance(step, EpochScores):
                step.require_finite()
                yield EpochDone(job.trial, step)
            else:
                yield step
    except Exception as error:  # noqa: BLE001 - whatever the user's model raises fails this trial alone
        yield failure(job.trial, error)
    else:
        yield Finished(job.trial)


def failure(trial: int, error: Exception) -> Failed:
    """Return the event that an exception of a trial becomes."""
    if isinstance(error, TrialError):
        return Failed(trial, error.reason, error.detail)
    if isinstance(error, SweepError):
        return Failed(trial, " ".join(str(error).split()))
    reason = "out of memory" if isinstance(error, MemoryError) else one_line(error)
    return Failed(trial, reason, "".join(traceback.format_exception(error)))
