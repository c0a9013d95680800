"""The files of a running study's trials: checkpoints of those in training, weights of the best."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.kept import Keep
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.weights import WeightsFolder


@dataclass
class TrialFiles:
    """Gives trials their files, and takes them away.

    Attributes:
        settings: How the trials are trained.
        goes_on: Whether a trial may train for longer what another one has trained.
        checkpoints: Where trials keep what they have come to; None keeps nothing.
        weights: Where the weights of the best trials are kept; None keeps none.
    """

    settings: LoopSettings
    goes_on: bool
    checkpoints: CheckpointFolder | None = None
    weights: WeightsFolder | None = None
    _ranks: dict[int, Any] = field(default_factory=dict, init=False)
    _begun: set[int] = field(default_factory=set, init=False)
    _n_val: int = field(default=0, init=False)
    _study: optuna.Study | None = field(default=None, init=False)

    def begin(self, study: optuna.Study, waiting: Collection[int]) -> None:
        """Remove what belongs to no trial of a study: a process that was killed cleans up nothing.

        Args:
            study: The study.
            waiting: Its trials that have not ended.
        """
        if self.checkpoints is not None:
            self.checkpoints.keep(waiting)
        if self.weights is not None:
            stored = StoredStudy.of(study)
            self._begun = set(waiting)
            self._n_val = stored.n_val
            self._study = study
            for trial in stored.told_trials:
                self._rank(trial)
            self._keep_best()

    def of(self, trial: int) -> dict[str, Any]:
        """Return what a trial's job says of its files."""
        keep = self.weights
        rule, patience = self.settings.rule, self.settings.patience
        allowed = None if self.settings.allowed_epochs is None else tuple(self.settings.allowed_epochs)
        if keep is not None:
            self._begun.add(trial)
        return {
            "checkpoint": None if self.checkpoints is None else self.checkpoints.key(trial),
            "keep": None if keep is None else Keep(keep.key(trial), rule, allowed, patience, self._n_val),
        }

    def go_on(self, job: TrialJob) -> bool:
        """Give a job the checkpoint that one like it finished with; return whether there was one."""
        return self.checkpoints is not None and self.checkpoints.go_on(job)

    def told(self, trial: StoredTrial) -> None:
        """Take note of a trial that has just ended."""
        if self.weights is not None:
            self._rank(trial)

    def close(self, job: TrialJob, state: TrialState) -> None:
        """Take a trial's files away, once nothing writes them any more, but for those that are of use yet.

        Of one that paused, and so has not ended, that is all of them.
        """
        if not state.is_finished():
            return
        if self.checkpoints is not None:
            longer = job.epochs < self.settings.max_epochs
            if self.goes_on and longer and state is TrialState.COMPLETE:
                self.checkpoints.finish(job)
            self.checkpoints.remove(job.trial)
        if self.weights is not None:
            self._begun.discard(job.trial)
            self._keep_best()

    def _rank(self, trial: StoredTrial) -> None:
        is_best = trial.score is not None and trial.is_ours
        if is_best and not exceeds(self.settings.max_model_size, trial.n_parameters):
            self._ranks[trial.number] = trial.rank

    def _keep_best(self) -> None:
        if self.weights is None:
            return
        near: Mapping[int, int] = {}
        if self._study is not None and self.settings.rule.within_se:
            near = StoredStudy.of(self._study).near_best
        place = {number: i for i, number in enumerate(near)}
        order = {number: (place.get(number, len(place)), rank) for number, rank in self._ranks.items()}
        self.weights.keep(self.settings.keep_models, order, self._begun)
