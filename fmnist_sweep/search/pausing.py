"""The trials of a run that pause at rungs: which of them goes on, and what they have come to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import optuna

from fmnist_sweep.core.halving import Rungs
from fmnist_sweep.search.asking import Asker
from fmnist_sweep.search.history import History
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import write_paused


class PausedTrials(Mapping[int, RunningTrial]):
    """The trials that wait at a rung, by number. Without a halving none ever does.

    A trial is compared by its best score until the rung where the best epoch is scored, and by the score at
    the rung where the last one is. The trial of the default configuration never waits: it is the baseline
    that the others are compared with.

    Args:
        settings: Where trials stop, and what scores their epochs.
        study: The study; its trials have reached some rungs already.
        history: Told who waits.
    """

    def __init__(self, settings: LoopSettings, study: optuna.Study, history: History) -> None:
        self._rungs = None if settings.halving is None else Rungs(settings.halving)
        self._rule = settings.rule
        self._history = history
        self._baseline: int | None = None
        self._waiting: dict[int, RunningTrial] = {}
        self._at: dict[int, int] = {}
        if self._rungs is not None:
            self._recall(StoredStudy.of(study))

    def _recall(self, stored: StoredStudy) -> None:
        self._baseline = stored.default_trial
        for trial in stored.told_trials:
            if trial.curve is not None and (trial.state in ("COMPLETE", "PRUNED") or trial.is_paused):
                scores = [self._rule.score(epoch) for epoch in trial.curve.epochs]
                for n in range(1, len(scores) + 1):
                    self._reach(trial.number, scores[:n])

    def __getitem__(self, number: int) -> RunningTrial:
        return self._waiting[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def take_up(self, asker: Asker) -> None:
        """Let what an earlier run paused wait on; without a halving it goes on as any trial that waits."""
        for running in () if self._rungs is None else asker.take_up_paused():
            self._history.waiting.discard(running.job.trial)
            self.add(running)

    def note(self, running: RunningTrial, epoch: int) -> None:
        """Take note of a trial's score after one of its epochs, from 0, whether or not it was trained now."""
        if self._rungs is not None and self._rungs.halving.is_rung(epoch + 1):
            self._reach(running.job.trial, [self._rule.score(one) for one in running.epochs[: epoch + 1]])

    def _reach(self, trial: int, scores: list[float]) -> None:
        if self._rungs is not None:
            best = max(scores) if self._rule.epoch_rule == "best" else scores[-1]
            self._rungs.reach(trial, len(scores), best)

    def waits(self, running: RunningTrial) -> bool:
        """Return whether a trial, which `note` knows, stops after its last epoch so far."""
        rungs, n, trial = self._rungs, len(running.epochs), running.job.trial
        return (
            rungs is not None
            and trial != self._baseline
            and rungs.halving.is_rung(n)
            and trial not in rungs.best(n)
        )

    def add(self, running: RunningTrial) -> None:
        """Let a trial wait after its last epoch so far."""
        self._history.paused(running.stored())
        self._waiting[running.job.trial] = running
        self._at[running.job.trial] = len(running.epochs)

    def take_next(self, *, at_least: int, busy: Collection[int]) -> RunningTrial | None:
        """Return the trial that goes on next, which waits no more; None where none deserves it.

        Args:
            at_least: As for `Rungs.best`.
            busy: Trials that can't yet, for their jobs are not gone.
        """
        if self._rungs is None or not self._waiting:
            return None
        free = {trial: n for trial, n in self._at.items() if trial not in busy} if busy else self._at
        number = self._rungs.next_of(free, at_least=at_least)
        if number is None:
            return None
        running = self._waiting.pop(number)
        del self._at[number]
        self._history.went_on(running.stored())
        write_paused(running.trial, None)
        running.go_on()
        return running

    def failed(self, trial: int) -> None:
        """Leave out a trial that failed."""
        if self._rungs is not None:
            self._rungs.forget(trial)
