"""The trials of a run that pause: which of them goes on, and what they have come to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.halving import Halving, Rungs
from fmnist_sweep.core.score import EpochRule
from fmnist_sweep.search.asking import Asker
from fmnist_sweep.search.history import History
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.search.thawing import FreezeThaw, Thaw
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import write_paused


class PausingRule(Protocol):
    """Says after which epochs trials stop, and which of those that wait goes on; see `Thaw`, which is one."""

    def is_due(self, n_epochs: int) -> bool:
        """Return whether trials are looked at after so many epochs."""

    def reach(self, trial: int, scores: Sequence[float], epochs: int) -> None:
        """Take note of a trial's scores so far, and of how many it is to have; once is enough."""

    def forget(self, trial: int) -> None:
        """Leave a trial out that failed."""

    def complete(self, trial: int) -> None:
        """Take note that a trial came to its end."""

    def goes_on(self, trial: int, paused: Mapping[int, int], *, closing: bool) -> bool:
        """Return whether a trial goes straight on; see `Thaw.goes_on`."""

    def next_of(self, waiting: Mapping[int, int], *, at_least: int = 0) -> int | None:
        """Return the trial that goes on next; see `Rungs.next_of`."""


class Promotion:
    """Halving by `Rungs`: a trial stops at each rung unless it is among the best there.

    It is compared by its best score until the rung where the best epoch is scored, and by the score at the
    rung where the last one is.
    """

    def __init__(self, rungs: Rungs, epoch_rule: EpochRule) -> None:
        self._rungs = rungs
        self._epoch_rule = epoch_rule
        self.is_due = rungs.halving.is_rung
        self.forget = rungs.forget
        self.next_of = rungs.next_of

    def reach(self, trial: int, scores: Sequence[float], epochs: int) -> None:  # noqa: ARG002 - all are compared
        """Take note of a trial's scores until a rung."""
        best = max(scores) if self._epoch_rule == "best" else scores[-1]
        self._rungs.reach(trial, len(scores), best)

    def complete(self, trial: int) -> None:
        """Leave it where it is: it stands among those of the rungs that it reached."""

    def goes_on(self, trial: int, paused: Mapping[int, int], *, closing: bool) -> bool:  # noqa: ARG002 - a rung is one
        """Return whether a trial is among the best at the rung where it stands."""
        return trial in self._rungs.best(paused[trial])


class PausedTrials(Mapping[int, RunningTrial]):
    """The trials that are paused, by number. Without a rule none ever is.

    The trial of the default configuration never waits: it is the baseline that the others are compared with.

    Args:
        settings: By what rule trials pause, and what scores their epochs.
        study: The study; its trials have come to something already.
        history: Told who waits.
    """

    def __init__(self, settings: LoopSettings, study: optuna.Study, history: History) -> None:
        self._score_rule = settings.rule
        self._max_epochs = settings.max_epochs
        self._rule = _rule(settings)
        self._history = history
        self._baseline: int | None = None
        self._waiting: dict[int, RunningTrial] = {}
        self._at: dict[int, int] = {}
        self._closing = False
        if self._rule is not None:
            self._recall(StoredStudy.of(study), self._rule)

    def _recall(self, stored: StoredStudy, rule: PausingRule) -> None:
        self._baseline = stored.default_trial
        for trial in stored.told_trials:
            if trial.curve is not None and (trial.state in ("COMPLETE", "PRUNED") or trial.is_paused):
                scores = [self._score_rule.score(epoch) for epoch in trial.curve.epochs]
                epochs = int(trial.params.get("epochs", self._max_epochs))
                for n in filter(rule.is_due, range(1, len(scores) + 1)):
                    rule.reach(trial.number, scores[:n], epochs)
                if trial.state == "COMPLETE":
                    rule.complete(trial.number)

    def __getitem__(self, number: int) -> RunningTrial:
        return self._waiting[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def take_up(self, asker: Asker) -> None:
        """Let what an earlier run paused wait on; without a rule it goes on as any trial that waits."""
        for running in () if self._rule is None else asker.take_up_paused():
            self._history.waiting.discard(running.job.trial)
            self.add(running)

    def note(self, running: RunningTrial, epoch: int) -> None:
        """Take note of a trial's score after one of its epochs, from 0, whether or not it was trained now."""
        if self._rule is not None and self._rule.is_due(epoch + 1):
            scores = [self._score_rule.score(one) for one in running.epochs[: epoch + 1]]
            self._rule.reach(running.job.trial, scores, running.job.epochs)

    def waits(self, running: RunningTrial) -> bool:
        """Return whether a trial, which `note` knows, stops after its last epoch so far."""
        rule, n, trial = self._rule, len(running.epochs), running.job.trial
        if rule is None or trial == self._baseline or not rule.is_due(n):
            return False
        return not rule.goes_on(trial, {**self._at, trial: n}, closing=self._closing)

    def add(self, running: RunningTrial) -> None:
        """Let a trial wait after its last epoch so far."""
        self._history.paused(running.stored())
        self._waiting[running.job.trial] = running
        self._at[running.job.trial] = len(running.epochs)

    def take_next(self, *, at_least: int, closing: bool, busy: Collection[int]) -> RunningTrial | None:
        """Return the trial that goes on next, which waits no more; None where none deserves it.

        Args:
            at_least: As for `Rungs.best`.
            closing: Whether no new trial is to come.
            busy: Trials that can't yet, for their jobs are not gone.
        """
        self._closing = closing
        if self._rule is None or not self._waiting:
            return None
        free = {trial: n for trial, n in self._at.items() if trial not in busy} if busy else self._at
        number = self._rule.next_of(free, at_least=at_least)
        if number is None:
            return None
        running = self._waiting.pop(number)
        del self._at[number]
        self._history.went_on(running.stored())
        write_paused(running.trial, None)
        running.go_on()
        return running

    def told(self, trial: int, state: TrialState) -> None:
        """Take note of a trial's end; one that failed is left out."""
        if self._rule is not None and state is TrialState.FAIL:
            self._rule.forget(trial)
        elif self._rule is not None and state is TrialState.COMPLETE:
            self._rule.complete(trial)


def _rule(settings: LoopSettings) -> PausingRule | None:
    match settings.pausing:
        case Halving():
            return Promotion(Rungs(settings.pausing), settings.rule.epoch_rule)
        case FreezeThaw():
            return Thaw(settings.pausing, settings.max_epochs)
        case None:
            return None
