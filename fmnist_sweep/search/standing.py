"""What a run is at, put together for whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import TrialState

from fmnist_sweep.core.events import CheckpointSkipped
from fmnist_sweep.core.progress import EndedTrial, Progress, RetriedTrial, TrialProgress
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.search.history import History
from fmnist_sweep.search.limits import Limits
from fmnist_sweep.search.plan import TrialPlan
from fmnist_sweep.search.running import RunningTrial


@dataclass
class Standing:
    """Knows what happened last in a run; all else it asks.

    Attributes:
        plan: What is tried.
        history: What was tried so far.
        limits: Those of the run.
        engine: Where the jobs run.
        running: The trials in training.
        waiting: The trials that paused.
        n_done: Trials that this run finished.
        ended: As in `Progress`.
        paused: As in `Progress`.
        retried: As in `Progress`.
        skipped: As in `Progress`.
    """

    plan: TrialPlan
    history: History
    limits: Limits
    engine: Engine
    running: Mapping[int, RunningTrial]
    waiting: Mapping[int, RunningTrial]
    n_done: int = 0
    ended: EndedTrial | None = None
    paused: EndedTrial | None = None
    retried: RetriedTrial | None = None
    skipped: CheckpointSkipped | None = None

    @property
    def news(self) -> tuple[object, ...]:
        """What happened last, of each kind: each is told before the next of its kind takes its place."""
        return self.ended, self.paused, self.retried, self.skipped

    def in_training(self) -> tuple[TrialProgress, ...]:
        """Return what each trial in training is at."""
        running = self.running
        return tuple(running[number].progress for number in self.engine.running if number in running)

    def progress(self, in_training: tuple[TrialProgress, ...] | None = None) -> Progress:
        """Return what the run is at, with what `in_training` gave before where that is given."""
        history = self.history
        return Progress(
            n_trials=self.plan.n_trials,
            n_complete=history.counts[TrialState.COMPLETE],
            n_pruned=history.counts[TrialState.PRUNED],
            n_failed=history.counts[TrialState.FAIL],
            n_reused_epochs=history.n_reused_epochs,
            seconds=self.limits.seconds,
            n_done_now=self.n_done,
            running=self.in_training() if in_training is None else in_training,
            best=history.best,
            ended=self.ended,
            retried=self.retried,
            skipped=self.skipped,
            first_failure=history.first_failure,
            waits=getattr(self.engine, "waits", ""),
            n_paused=len(self.waiting),
            paused=self.paused,
        )
