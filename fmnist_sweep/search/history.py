"""What a study has tried so far: counts, the best trial, and the curves that answer equal configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import Scalar, SplitSpec, TrialJob
from fmnist_sweep.core.progress import BestTrial
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


@dataclass(frozen=True, slots=True)
class KnownCurve:
    """A finished trial whose curve can answer an equal configuration.

    The curve itself stays in the study, which Optuna keeps in memory: a second copy of every curve would
    double what a long sweep takes.
    """

    number: int
    n_epochs: int
    n_parameters: int | None
    pruned: bool
    stopped_early: bool

    def answers(self, epochs: int) -> bool:
        """Return whether training the configuration for so many epochs would tell nothing new."""
        return self.pruned or self.stopped_early or self.n_epochs >= epochs


def without_epochs(point: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return a point's hyperparameters without ``epochs``."""
    return {name: value for name, value in point.items() if name != "epochs"}


def configuration_key(
    hyperparameters: Mapping[str, Scalar], seed: int | None, split_seed: int | None = None
) -> str:
    """Return what equal configurations have in common, whatever number of epochs they train.

    Args:
        hyperparameters: The complete set.
        seed: The job's seed: a repeat of a configuration, from another seed, is no equal one.
        split_seed: Seed of the job's split: nor is one that trains and validates on other images.
    """
    return json.dumps([dict(hyperparameters), seed, split_seed], sort_keys=True)


class History:
    """Kept up to date by the search, read from the study once.

    Args:
        study: The study to read.
        max_epochs: Number of epochs of a trial whose parameters hold no ``epochs``.
        split_seed: Seed of the split of a trial that names none.

    Attributes:
        counts: Finished trials by state; a failed one that was tried again is none of them.
        n_epochs: Epochs trained.
        n_reused_epochs: Epochs that were not trained because a stored curve held them.
        best: The best complete trial; None until there is one.
        first_failure: Why the first trial that failed did so; None until one does.
        waiting: Numbers of the trials that are stored and not finished; whoever takes one up removes it.
        tried: Distinct points that finished, as pairs of configuration key and number of epochs.
    """

    def __init__(self, study: optuna.Study, *, max_epochs: int, split_seed: int | None) -> None:
        self.counts = {state: 0 for state in TrialState if state.is_finished()}
        self.n_epochs = 0
        self.n_reused_epochs = 0
        self.best: BestTrial | None = None
        self.first_failure: str | None = None
        self.waiting: set[int] = set()
        self.tried: set[tuple[str, int]] = set()
        self._study = study
        self._split_seed = split_seed
        self._stored = StoredStudy.of(study)
        # By the source of the model too: an edited model has other curves.
        self._known: dict[tuple[str, str], KnownCurve] = {}
        # Of trials that paused: what counts as trained already.
        self._counted: dict[int, int] = {}
        for trial in self._stored.told_trials:
            if trial.number in self._stored.followed:
                # The trial that tried it again stands for it.
                continue
            if not trial.is_finished:
                self.waiting.add(trial.number)
            elif trial.configuration is not None:
                self.take(trial, epochs=int(trial.params.get("epochs", max_epochs)))
            else:
                # Ended by another tool.
                self._count(trial)

    @property
    def n_finished(self) -> int:
        """Finished trials, failed ones included."""
        return sum(self.counts.values())

    def answer(self, job: TrialJob) -> KnownCurve | None:
        """Return the curve that spares a job its training, if there is one."""
        key = configuration_key(job.hyperparameters, job.seed, job.split.seed)
        known = self._known.get((key, job.model_source))
        return known if known is not None and known.answers(job.epochs) else None

    def curve(self, known: KnownCurve) -> LearningCurve:
        """Return the curve of a trial that `answer` gave."""
        curve = StoredTrial.of(self._study.get_trials(deepcopy=False)[known.number]).curve
        return LearningCurve(()) if curve is None else curve

    def take(self, trial: StoredTrial, *, epochs: int) -> None:
        """Take note of a finished trial, which was asked to train so many epochs."""
        self._count(trial)
        n_epochs = self._count_epochs(trial)
        self.n_reused_epochs += trial.n_reused_epochs
        trained = self._trained(trial)
        self.tried.add((trained[0], epochs))
        if trial.state == "FAIL":
            return
        pruned = trial.state == "PRUNED"
        known = KnownCurve(trial.number, n_epochs, trial.n_parameters, pruned, trial.stopped_early)
        self._know(trained, known)
        score = trial.score
        if score is not None and (self.best is None or score > self.best.score):
            value = trial.scores.get(f"val_{self._stored.rule.shown_metric}", score)
            self.best = BestTrial(trial.number, score, value, trial.gap or 0.0, trial.scored_after)

    def paused(self, trial: StoredTrial) -> None:
        """Take note of a trial that is paused: an equal one would wait as well, and is told PRUNED."""
        n_epochs = self._count_epochs(trial)
        known = KnownCurve(trial.number, n_epochs, trial.n_parameters, pruned=True, stopped_early=False)
        self._know(self._trained(trial), known)

    def went_on(self, trial: StoredTrial) -> None:
        """Take note of a trial that waits no more: an equal one may wait for what it comes to."""
        trained = self._trained(trial)
        if trained in self._known and self._known[trained].number == trial.number:
            del self._known[trained]

    def _know(self, trained: tuple[str, str], known: KnownCurve) -> None:
        before = self._known.get(trained)
        if before is None or before.n_epochs < known.n_epochs:
            self._known[trained] = known

    def _trained(self, trial: StoredTrial) -> tuple[str, str]:
        """Return what trials have in common whose curves are the same."""
        split_seed = trial.split_seed if trial.has_own_split else self._split_seed
        key = configuration_key(trial.hyperparameters, trial.seed, split_seed)
        return key, self._stored.source_of(trial)

    def _count_epochs(self, trial: StoredTrial) -> int:
        """Count the epochs that a trial has trained since it was last counted, and return all that it has."""
        n_epochs = trial.n_epochs or 0
        trained = n_epochs - trial.n_reused_epochs
        self.n_epochs += trained - self._counted.get(trial.number, 0)
        self._counted[trial.number] = trained
        return n_epochs

    def refused(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Take note of a trial that failed before there was anything to train."""
        self.waiting.discard(number)
        self._count(StoredTrial.told(number, "FAIL", None, attributes, split=SplitSpec()))

    def _count(self, trial: StoredTrial) -> None:
        self.counts[TrialState[trial.state]] += 1
        if trial.state == "FAIL" and self.first_failure is None:
            self.first_failure = trial.fail_words
