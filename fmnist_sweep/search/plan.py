"""What a study tries: which point next, from which seed and on which split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import Scalar, SplitSpec
from fmnist_sweep.search import samplers
from fmnist_sweep.search.enqueued import require_in_space
from fmnist_sweep.search.history import without_epochs
from fmnist_sweep.search.size_limit import feasible_sampler
from fmnist_sweep.search.tpe import Pictures
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


@dataclass(frozen=True, slots=True)
class TrialDraw:
    """What a trial is to train.

    Attributes:
        hyperparameters: The complete set, without the number of epochs.
        epochs: Number of epochs to train.
        seed: Decides initial weights, dropout, augmentation and the order of the images.
        split: The train/validation split: the study's own, or one that differs from it in its seed.
        attributes: What the trial stores from its start on; the seed of another split is stored with it.
        deliver_to: As in `TrialJob`.
        n_parameters: As in `TrialJob`.
        fit_epochs: As in `TrialJob`.
        flip_average: As in `TrialJob`.
    """

    hyperparameters: Mapping[str, Scalar]
    epochs: int
    seed: int
    split: SplitSpec
    attributes: Mapping[str, Any] = field(default_factory=dict)
    deliver_to: str | None = None
    n_parameters: int | None = None
    fit_epochs: int | None = None
    flip_average: bool = False


class TrialPlan(Protocol):
    """What a study tries: a sweep's own plan is to draw from its space."""

    @property
    def n_trials(self) -> int:
        """Finished trials that the study is to hold in the end, earlier ones included."""

    @property
    def size(self) -> float:
        """Number of distinct points, after which nothing is left to try."""

    @property
    def goes_on(self) -> bool:
        """Whether a trial may train for longer what another one has trained."""

    def sampler(self, trial: int) -> BaseSampler:
        """Return the sampler that draws the trial of a number."""

    def require_drawable(self, trial: FrozenTrial) -> None:
        """Raise `TrialError` if a waiting trial was given what this plan can't draw."""

    def draw(self, trial: optuna.Trial) -> TrialDraw:
        """Return what a trial is to train, its parameters suggested; a draw cut short is finished."""


class SweepPlan:
    """A sweep's plan: its sampler draws from its space; seed and split are the same for every trial."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        self._pictures = Pictures()

    @property
    def n_trials(self) -> int:
        """The budget of trials."""
        return self._config.file.budget.trials

    @property
    def size(self) -> float:
        """Number of points of the sampled space, or of those that the file lists."""
        return self._config.n_points

    @property
    def goes_on(self) -> bool:
        """Under the rule "best" all trials train equally long."""
        return self._config.file.score.epoch_rule == "last"

    def sampler(self, trial: int) -> BaseSampler:
        """Return the sweep's sampler, seeded for one trial, within its limit on weights."""
        return feasible_sampler(self._config, trial=trial, pictures=self._pictures)

    def require_drawable(self, trial: FrozenTrial) -> None:
        """Raise `TrialError` if a trial was enqueued with what is not in the space."""
        require_in_space(trial, self._config.sampled_space)

    def draw(self, trial: optuna.Trial) -> TrialDraw:
        """Return a point of the space."""
        point = samplers.draw(trial, self._config.sampled_space)
        return TrialDraw(
            without_epochs(point),
            # Under the rule "best" one run of the most epochs holds every shorter one.
            epochs=int(point.get("epochs", self._config.epochs[-1])),
            seed=self._config.file.training.seed,
            split=self._config.split,
            fit_epochs=self._config.file.training.fit_epochs,
        )


def left_of(
    points: Sequence[Mapping[str, Scalar]], stored: Sequence[StoredTrial]
) -> list[Mapping[str, Scalar]]:
    """Return the points that no stored trial has trained to its end, in their order.

    What another tool told was not measured, and is trained after all.

    Args:
        points: The parameters of each wanted trial.
        stored: The trials of the study.
    """
    done = [t.params for t in stored if t.state == "COMPLETE" and t.is_ours]
    return [point for point in points if point not in done]


class FixedPlan:
    """What plans have in common whose trials are decided beforehand."""

    @property
    def size(self) -> float:
        """The number of trials alone ends it."""
        return float("inf")

    @property
    def goes_on(self) -> bool:
        """Nothing trains for longer what another trial has trained."""
        return False

    def require_drawable(self, trial: FrozenTrial) -> None:
        """Raise `TrialError` if another tool enqueued a trial."""
        given = trial.system_attrs.get("fixed_params", {})
        if given:
            raise TrialError(f"it was enqueued with {dict(given)}, and this study holds nothing but repeats")


class GivenPlan(FixedPlan, ABC):
    """The plan of a study whose trials are decided beforehand: those that it does not hold yet, in order.

    What failed in an earlier run is trained again; what fails now is not.

    Args:
        study: The study, held with `ownership.ownership`.
        points: The parameters of each trial that the study is to hold.
    """

    def __init__(self, study: optuna.Study, points: Sequence[Mapping[str, Any]]) -> None:
        stored = StoredStudy.of(study)
        self._left = left_of(points, stored.trials)
        self._n_trials = sum(t.is_finished for t in stored.trials) + len(self._left)
        self._taken: dict[int, Mapping[str, Any]] = {}
        for trial in stored.in_state("WAITING"):
            if trial.params:
                self._take_up(trial)

    def _take_up(self, trial: StoredTrial) -> None:
        """Let a trial that was put back keep what it was drawn for, even if only half of that was stored."""
        begun = [point for point in self._left if trial.params.items() <= point.items()]
        if begun:
            self._left.remove(begun[0])
            self._taken[trial.number] = begun[0]
        else:
            # Of an order for more; it is trained to its end all the same.
            self._taken[trial.number] = self.whole_point(trial.params)
            self._n_trials += 1

    @abstractmethod
    def whole_point(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of a trial of which these are stored, and which nobody asked for any more."""

    @property
    def n_trials(self) -> int:
        """Trials that are finished and those that are left."""
        return self._n_trials

    def sampler(self, trial: int) -> BaseSampler:
        """Return a sampler that draws what is next."""
        if trial not in self._taken:
            self._taken[trial] = self._left.pop(0)
        return samplers.GivenSampler(self._taken[trial])
