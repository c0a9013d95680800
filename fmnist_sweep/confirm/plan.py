"""What a confirmation trains: every repeat of every candidate, on fresh seeds and splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import optuna
from typing_extensions import override

from fmnist_sweep.analysis.repeats import BASELINE, Candidate
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.search.history import configuration_key
from fmnist_sweep.search.plan import GivenPlan, TrialDraw
from fmnist_sweep.storage.writing import repeat_attributes

_NOT_IN_THE_SWEEP: Final = -1
_BASELINE: Final = -2


def repeat_seeds(config: SweepConfig, repeat: int) -> tuple[int, int]:
    """Return the seed and the split's seed of a repeat, the same for every candidate.

    They are made from the sweep's seed, and neither is a seed of the sweep itself.
    """
    training = config.file.training
    drawn = np.random.SeedSequence(training.seed, spawn_key=(repeat,)).generate_state(8) >> 1
    fresh = (int(n) for n in drawn if int(n) not in (training.seed, training.split_seed))
    return next(fresh), next(fresh)


class ConfirmPlan(GivenPlan):
    """The plan of a confirmation: every repeat of every candidate that the linked study does not hold yet.

    Args:
        config: The settings of the linked study.
        linked: The linked study, held with `ownership.ownership`.
        candidates: What may be trained: those of ``pairs``, and such as were asked for before.
        pairs: Labels and repeats of all that the linked study is to hold, in order.
        n_repeats: Repeats of each candidate, a duel's left out.
        last_trial: Number of the last trial of the confirmed study.
    """

    def __init__(
        self,
        config: SweepConfig,
        linked: optuna.Study,
        *,
        candidates: Iterable[Candidate],
        pairs: Iterable[tuple[str, int]],
        n_repeats: int,
        last_trial: int,
    ) -> None:
        self._config = config
        self._candidates = {candidate_number(c): c for c in candidates}
        self._last_trial = last_trial
        self._n_repeats = n_repeats
        numbers = {c.label: number for number, c in self._candidates.items()}
        points = [{"candidate": numbers[label], "repeat": repeat} for label, repeat in pairs]
        super().__init__(linked, points)

    @override
    def whole_point(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"repeat": self._n_repeats, **params}

    @property
    @override
    def goes_on(self) -> bool:
        """Only candidates of equal hyperparameters train for longer what another one has trained."""
        configurations = {configuration_key(c.hyperparameters, None) for c in self._candidates.values()}
        return len(configurations) < len(self._candidates)

    def draw(self, trial: optuna.Trial) -> TrialDraw:
        """Return a candidate with the seed and the split of a repeat."""
        # By numbers: Optuna lets no choice be added to a categorical parameter, and candidates may follow.
        number = _suggest(trial, "candidate", _BASELINE, self._last_trial)
        # Those of a duel are numbered on.
        last = max(self._n_repeats - 1, self._taken[trial.number]["repeat"])
        repeat = _suggest(trial, "repeat", 0, last)
        candidate = self._candidates[number]
        seed, split_seed = repeat_seeds(self._config, repeat)
        return TrialDraw(
            candidate.hyperparameters,
            epochs=candidate.epochs,
            seed=seed,
            split=replace(self._config.split, seed=split_seed),
            attributes=repeat_attributes(repeat, candidate.label),
            n_parameters=candidate.n_parameters,
            fit_epochs=candidate.fit_epochs,
        )


def _suggest(trial: optuna.Trial, name: str, low: int, high: int) -> int:
    # A trial that was put back has its parameters; in the meantime their ranges may have grown.
    before: int | None = trial.params.get(name)
    return trial.suggest_int(name, low, high) if before is None else before


def candidate_number(candidate: Candidate) -> int:
    """Return a candidate's number in the linked study: its trial's, -1 without one, -2 of a baseline."""
    if candidate.label == BASELINE:
        return _BASELINE
    return _NOT_IN_THE_SWEEP if candidate.trial is None else candidate.trial
