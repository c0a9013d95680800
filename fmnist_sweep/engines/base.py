"""What the search knows of an engine, and the one way in which a job becomes events."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Final, Protocol, Self

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import SweepError, TrialError
from fmnist_sweep.core.events import EpochDone, Failed, Finished, TrialEvent
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places, placed
from fmnist_sweep.core.trainer import Trainer

KERAS_TRAINER: Final = "fmnist_sweep.training.trainer:KerasTrainer"
"""Import path of the trainer of sweeps; nothing here imports it."""


class Engine(Protocol):
    """Runs jobs and says what becomes of them.

    Each submitted job gives `Started`, then an `EpochDone` for each epoch in order, before it a
    `CheckpointSkipped` where the epoch could not be stored, and last exactly one `Finished`, `Failed` or,
    where its end was asked for, `Cancelled`; a job that fails early leaves out what it did not reach. Events
    of different trials mix freely.
    """

    @property
    def slots(self) -> int:
        """How many jobs can run at the same time."""
        ...

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that were submitted and whose last event was not handed over yet, oldest first."""
        ...

    def submit(self, job: TrialJob) -> None:
        """Start a job.

        Raises:
            RuntimeError: All slots are taken, the trial is running already, or the engine is closed.
        """
        ...

    def events(self, timeout_s: float) -> list[TrialEvent]:
        """Return the events at hand, waiting for the first of them.

        Args:
            timeout_s: Longest wait, in seconds. 0 looks without waiting.

        Returns:
            At least one event, or an empty list after ``timeout_s``, or at once when nothing runs.
        """
        ...

    def cancel(self, trial: int) -> None:
        """Ask for the end of a trial's job: of its events `Cancelled` alone will come, once it is gone.

        A trial that has ended, or never ran, is no mistake: it may have ended in this very moment. Its slot
        is free once its last event is handed over.
        """
        ...

    def close(self) -> None:
        """End every job without a further event, and give everything back. Closing twice is no mistake."""
        ...


class OpenEngine(Engine, Protocol):
    """An engine that is closed where its context is left."""

    def __enter__(self) -> Self:
        """Return the engine."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        ...


class ClosedByWith:
    """Makes an engine a context manager that closes it."""

    def close(self) -> None:
        """End every job and give everything back."""
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
    """Raise `RuntimeError` if the engine has no free slot for this trial, which is a bug of the caller."""
    if closed:
        raise RuntimeError(f"trial {trial}: the engine is closed")
    if trial in engine.running:
        raise RuntimeError(f"trial {trial} is running already")
    if len(engine.running) >= engine.slots:
        raise RuntimeError(
            f"trial {trial}: all {engine.slots} slots are taken; wait for an event that ends a trial"
        )


_LONGEST_END_S: Final = 10.0
"""How long jobs whose end was asked for are waited for."""


def end_jobs(engine: Engine) -> Iterator[TrialEvent]:
    """Ask for the end of all jobs, and yield what comes until they are gone, or have taken too long."""
    for trial in engine.running:
        engine.cancel(trial)
    deadline = time.monotonic() + _LONGEST_END_S
    while engine.running and time.monotonic() < deadline:
        yield from engine.events(0.5)


def run_job(trainer: Trainer, job: TrialJob, places: Places) -> Generator[TrialEvent]:
    """Train a job and yield its events, the last of which is `Finished` or `Failed`.

    Every exception of the trainer ends in `Failed`, since most of what runs there is the user's code, and so
    does a call of `sys.exit`.

    Args:
        trainer: Trains it.
        job: The job.
        places: Where what it names lies.
    """
    try:
        for step in trainer.fit(placed(job, places)):
            if isinstance(step, EpochScores):
                step.require_finite()
                yield EpochDone(job.trial, step)
            else:
                yield step
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what the user's model raises fails this trial alone
        yield failure(job.trial, error)
    else:
        yield Finished(job.trial)


def failure(trial: int, error: Exception | SystemExit) -> Failed:
    """Return the event that an exception of a trial becomes."""
    if isinstance(error, TrialError):
        return Failed(trial, error.reason, error.detail)
    if isinstance(error, SweepError):
        return Failed(trial, " ".join(str(error).split()))
    reason = "out of memory" if isinstance(error, MemoryError) else one_line(error)
    return Failed(trial, reason, "".join(traceback.format_exception(error)))
