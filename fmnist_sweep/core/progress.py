"""What a running sweep is at: plain records for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from fmnist_sweep.core.errors import NothingTrainedError, SweepError
from fmnist_sweep.core.events import CheckpointSkipped

MAX_FAILURES_IN_A_ROW: Final = 5

PAUSED: Final = "PAUSED"
"""What stands for the state of a paused trial; Optuna's own is RUNNING or WAITING."""

MAX_RETRIES: Final = 2
"""How often a trial whose process died is started again where nothing else is asked for."""

RECONNECT_S: Final = 60.0
"""How long a database server that is away is waited for where nothing else is asked for."""


class Stop(Enum):
    """Why a sweep ended."""

    TRIALS = "the budget of trials is used up"
    SECONDS = "the budget of seconds is used up"
    EPOCHS = "the budget of epochs is used up"
    SPACE = "every point of the space has been tried"
    FAILURES = f"the last {MAX_FAILURES_IN_A_ROW} trials all failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """A trial in training, for whoever shows it; ``n_epochs`` of ``max_epochs`` are done."""

    number: int
    n_epochs: int
    max_epochs: int
    score: float | None


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best complete trial so far."""

    number: int
    score: float
    value: float
    gap: float
    n_epochs: int


@dataclass(frozen=True, slots=True)
class EndedTrial:
    """A trial that has just ended; ``value`` is None and ``reason`` told where it failed.

    ``epoch``, from 0, is the one that has the value.
    """

    number: int
    state: str
    value: float | None
    reason: str
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class RetriedTrial:
    """A trial whose process has just died, and which goes on in a new one; ``reason`` tells how it died."""

    number: int
    n_retries: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What a sweep is at, as often as something happens.

    Attributes:
        n_trials: The budget: a total, the trials of earlier runs included.
        n_complete: Finished trials by state; those answered from a stored curve are among them.
        n_pruned: As above.
        n_failed: As above.
        n_paused: Trials that wait for their turn to go on.
        n_reused_epochs: Epochs that were not trained because a stored curve or a checkpoint held them.
        seconds: Wall-clock time of this run.
        n_done_now: Trials that this run finished.
        running: The trials in training, by number.
        best: None until a trial is complete.
        ended: The trial that ended last in this run.
        paused: The trial that paused last in this run, its state `PAUSED` and its value its last epoch's.
        retried: The trial whose process died last in this run and was started again.
        skipped: The last checkpoint of this run that could not be written.
        waits: What the engine waits for, and for how long; empty where it waits for nothing.
        first_failure: Why the study's first failed trial failed; None where none did.
    """

    n_trials: int
    n_complete: int
    n_pruned: int
    n_failed: int
    n_reused_epochs: int
    seconds: float
    n_done_now: int
    running: tuple[TrialProgress, ...]
    best: BestTrial | None
    ended: EndedTrial | None
    retried: RetriedTrial | None = None
    skipped: CheckpointSkipped | None = None
    first_failure: str | None = None
    waits: str = ""
    n_paused: int = 0
    paused: EndedTrial | None = None

    @property
    def n_done(self) -> int:
        """Finished trials of the study."""
        return self.n_complete + self.n_pruned + self.n_failed

    @property
    def n_begun(self) -> int:
        """Trials that take nothing more of the budget: those that are finished, and those that wait."""
        return self.n_done + self.n_paused

    @property
    def states(self) -> str:
        """How many trials are in which state, in words.

        Example:
            ``9 complete, 0 pruned, 1 failed, 20 paused``
        """
        paused = f", {self.n_paused} paused" if self.n_paused else ""
        return f"{self.n_complete} complete, {self.n_pruned} pruned, {self.n_failed} failed{paused}"

    @property
    def nothing_trains(self) -> bool:
        """Whether trials of the study ended and every one of them failed."""
        return 0 < self.n_failed == self.n_begun


def require_results(study: str, stop: Stop, progress: Progress) -> None:
    """Raise where a run came to nothing, or gave up.

    Args:
        study: Name of the study.
        stop: Why the run ended.
        progress: What it was at.

    Raises:
        NothingTrainedError: Every trial of the study failed.
        SweepError: The last trials all failed.
    """
    if progress.nothing_trains:
        n = progress.n_failed
        trials = "the only trial" if n == 1 else f"each of the {n} trials"
        line = f"study {study!r}: {trials} failed, so there is no result; the first one: "
        raise NothingTrainedError(f"{line}{progress.first_failure}")
    if stop is Stop.FAILURES:
        reason = progress.ended.reason if progress.ended is not None else ""
        raise SweepError(f"study {study!r}: {stop.value}; the last one: {reason}")
