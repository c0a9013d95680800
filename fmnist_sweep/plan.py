"""What a study tries: which point next, from which seed and on which split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.samplers import BaseSampler

from fmnist_sweep import sampling
from fmnist_sweep.config import SweepConfig
from fmnist_sweep.feasible import feasible_sampler
from fmnist_sweep.history import without_epochs
from fmnist_sweep.records import Scalar, SplitSpec


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a trial is to train.

    Attributes:
        hyperparameters: The complete set, without the number of epochs.
        epochs: Number of epochs to train.
        seed: Decides initial weights, dropout, augmentation and the order of the images.
        split: The train/validation split: the study's own, or one that differs from it in its seed.
        attributes: What the trial stores from its start on; the seed of another split is stored with it.
    """

    hyperparameters: Mapping[str, Scalar]
    epochs: int
    seed: int
    split: SplitSpec
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Plan(Protocol):
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

    def draw(self, trial: optuna.Trial) -> Drawn:
        """Return what a trial is to train, its parameters suggested; a draw cut short is finished."""


class SweepPlan:
    """A sweep's plan: its sampler draws from its space; seed and split are the same for every trial."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config

    @property
    def n_trials(self) -> int:
        """The budget of trials."""
        return self._config.file.budget.trials

    @property
    def size(self) -> float:
        """Number of points of the sampled space."""
        return self._config.sampled_space.size

    @property
    def goes_on(self) -> bool:
        """Under the rule "best" all trials train equally long."""
        return self._config.file.score.epoch_rule == "last"

    def sampler(self, trial: int) -> BaseSampler:
        """Return the sweep's sampler, seeded for one trial, within its limit on weights."""
        return feasible_sampler(self._config, trial=trial)

    def draw(self, trial: optuna.Trial) -> Drawn:
        """Return a point of the space."""
        point = sampling.draw(trial, self._config.sampled_space)
        return Drawn(
            without_epochs(point),
            # Under the rule "best" one run of the most epochs holds every shorter one.
            epochs=int(point.get("epochs", self._config.epochs[-1])),
            seed=self._config.file.training.seed,
            split=self._config.split,
        )
