"""A running trial, as the search keeps it between ask and tell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import optuna

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.events import EpochDone, Returned, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.progress import TrialProgress
from fmnist_sweep.search.history import configuration_key
from fmnist_sweep.storage.stored import StoredTrial
from fmnist_sweep.storage.writing import result_attributes


@dataclass
class RunningTrial:
    """A trial that was asked for and not yet told.

    Attributes:
        trial: Optuna's side of it.
        job: What is trained.
        reported: The last step that the study knows of it; -1 for none.
        n_retries: How often its process died.
        n_reused: Epochs that it had from another trial, at the most.
        epochs: Its scores so far.
        score: The penalised score of the last of them.
        n_parameters: Number of weights, once it is told.
        peak_memory_mb: As in `EpochDone`.
        returned: What the user's ``fit`` returned, by name.
        unused: Hyperparameters that were drawn and that the model does not ask for: no part of the result.
        began: When it was asked for, or went on, by `time.monotonic`.
        before: What it had come to when it last paused.
        earlier_s: Seconds until then.
    """

    trial: optuna.Trial
    job: TrialJob
    reported: int
    n_retries: int = 0
    n_reused: int = 0
    epochs: list[EpochScores] = field(default_factory=list)
    score: float | None = None
    n_parameters: int | None = None
    peak_memory_mb: float | None = None
    unused: tuple[str, ...] = ()
    returned: Mapping[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    before: LearningCurve = field(default_factory=lambda: LearningCurve(()))
    earlier_s: float = 0.0
    _shown: TrialProgress | None = field(default=None, init=False, repr=False)

    @property
    def curve(self) -> LearningCurve:
        """What it has come to."""
        return LearningCurve(tuple(self.epochs))

    @property
    def progress(self) -> TrialProgress:
        """What is shown of it while it trains."""
        n, shown = len(self.epochs), self._shown
        if shown is None or (shown.n_epochs, shown.score) != (n, self.score):
            # Asked for with each event of any trial, and there may be a thousand.
            self._shown = shown = TrialProgress(self.job.trial, n, self.job.epochs, self.score)
        return shown

    @cached_property
    def point(self) -> tuple[str, int]:
        """What equal trials have in common, and the number of epochs: as in `History.tried`."""
        job = self.job
        return configuration_key(job.hyperparameters, job.seed, job.split.seed), job.epochs

    def take(self, event: TrialEvent) -> None:
        """Take over what an event tells beside how far the trial is."""
        match event:
            case EpochDone(peak_memory_mb=peak):
                self.peak_memory_mb = peak
            case Returned(values=values):
                self.returned = values

    @property
    def seconds(self) -> float:
        """Wall-clock time since it was asked for, less that in which it was paused."""
        return self.earlier_s + time.monotonic() - self.began

    def take_over(self, stored: StoredTrial) -> None:
        """Take over what a trial that was paused had come to in an earlier run."""
        self.before = stored.curve or LearningCurve(())
        self.epochs = list(self.before.epochs)
        self.n_parameters = stored.n_parameters
        self.earlier_s = stored.seconds or 0.0

    def stored(self) -> StoredTrial:
        """Return what the study holds of it so far."""
        return StoredTrial.told(self.job.trial, "RUNNING", None, self.attributes(), split=self.job.split)

    def pause(self) -> None:
        """Keep what it has come to, and stop its clock."""
        self.before = self.curve
        self.earlier_s, self.began = self.seconds, time.monotonic()

    def go_on(self) -> None:
        """Begin its clock again."""
        self.began = time.monotonic()
        self.begin_again()

    def begin_again(self) -> None:
        """Expect a process that tells the epochs of the checkpoint once more."""
        self.reported = max(self.reported, len(self.epochs) - 1)
        self.epochs.clear()
        self.score = None

    def contains(self, other: RunningTrial) -> bool:
        """Return whether this trial's curve will hold the other's."""
        (key, epochs), (other_key, other_epochs) = self.point, other.point
        return key == other_key and epochs >= other_epochs

    def attributes(self) -> dict[str, Any]:
        """Return what is stored whatever becomes of the trial."""
        return result_attributes(
            hyperparameters={n: v for n, v in self.job.hyperparameters.items() if n not in self.unused},
            # Equal jobs give equal epochs: what is known of them stays true where a new process fails sooner.
            curve=max(self.curve, self.before, key=len),
            n_parameters=self.n_parameters,
            seed=self.job.seed,
            seconds=self.seconds,
            peak_memory_mb=self.peak_memory_mb,
            # A trial that fails before it starts has gone on from nothing yet.
            n_reused_epochs=min(self.n_reused, len(self.epochs)) if self.n_reused else None,
            model_source=self.job.model_source,
            returned=self.returned,
        )
