"""A TPE sampler whose draws take no longer in a study of ten thousand trials than in one of some hundred."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm, probability_distributions
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import special
from typing_extensions import override

from fmnist_sweep.core.curves import FloatArray
from fmnist_sweep.storage.paused import as_pruned

N_BEST: Final = 25
"""As many of the best trials as TPE models apart from the others, at the most."""


_MASSES: Final = ((_truncnorm, "_log_gauss_mass"), (probability_distributions, "_log_gauss_mass_unique"))
"""Optuna's functions that take most of the time of weighing candidates: `_log_mass` stands in for them."""


class RecentTPESampler(TPESampler):
    """Draws one trial from at most so many finished ones; where there are fewer, as Optuna's own TPE does.

    TPE's time grows with the number of trials that it sees, and for a log-scaled whole number, whose
    density Optuna integrates value by value in Python, it comes to seconds at ten thousand. The best trials,
    which say where to look, are always seen; the others say where not to, and an even selection of them
    draws the same picture. What weighs the candidates computes with SciPy's normal distribution.

    Args:
        max_observations: Finished trials that are seen at the most; more than `N_BEST`.
        **settings: Those of `optuna.samplers.TPESampler`.
    """

    def __init__(self, *, max_observations: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._max_observations = max_observations
        self._view: _View | None = None

    def avoid(self, params: dict[str, Any], distributions: dict[str, BaseDistribution]) -> None:
        """Keep away from a point that was drawn and can't be used, as from one that another worker trains.

        Without this TPE would draw the same again: where no trial can be, none speaks against it. Under
        ``constant_liar`` alone, which is what looks at running trials.
        """
        if self._view is not None:
            self._view.add(create_trial(state=TrialState.RUNNING, params=params, distributions=distributions))

    def _seen(self, study: optuna.Study) -> optuna.Study:
        if self._view is None:
            self._view = _View(study, self._max_observations)
        return cast("optuna.Study", self._view)

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(self._seen(study), trial)

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(self._seen(study), trial, search_space)

    @override
    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return super().sample_independent(self._seen(study), trial, param_name, param_distribution)

    @override
    def _compute_acquisition_func(self, *args: Any) -> Any:
        with _fast_masses():
            return super()._compute_acquisition_func(*args)


def _log_mass(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the logarithm of the normal distribution's mass between two arrays of places, as Optuna does.

    What lies to the right of the middle is turned to the left, where small masses are told exactly.
    """
    left, right = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    upper, lower = special.log_ndtr(right), special.log_ndtr(left)
    mass = upper + np.log1p(-np.exp(lower - upper))
    middle = right > 0
    mass[middle] = np.log1p(-special.ndtr(left[middle]) - special.ndtr(-right[middle]))
    return np.asarray(mass)


@contextmanager
def _fast_masses() -> Iterator[None]:
    """Let Optuna weigh candidates with `_log_mass`, to the same digits but the last.

    Its own goes value by value through Python, and sorts all of them to compute none twice, which takes
    longer. The candidates themselves are drawn as ever.
    """
    before = [getattr(module, name, None) for module, name in _MASSES]
    if None in before:
        # Of a release that has it otherwise.
        yield
        return
    try:
        for module, name in _MASSES:
            setattr(module, name, _log_mass)
        yield
    finally:
        for (module, name), own in zip(_MASSES, before, strict=True):
            setattr(module, name, own)


class _View:
    """A study of which some trials are seen, as they stood when they were first looked at.

    They are read once for a draw: TPE asks for them a dozen times, and each time Optuna asks the database.
    """

    def __init__(self, study: optuna.Study, max_observations: int) -> None:
        self._study = study
        trials = [as_pruned(trial) for trial in study.get_trials(deepcopy=False)]
        self._trials = seen_trials(trials, max_observations)

    def add(self, trial: FrozenTrial) -> None:
        self._trials = [*self._trials, trial]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - the signature is Optuna's
        states: Container[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002
    ) -> list[FrozenTrial]:
        return [t for t in self._trials if states is None or t.state in states]


def seen_trials(trials: list[FrozenTrial], max_observations: int) -> list[FrozenTrial]:
    """Return the trials that a sampler sees, by number.

    Args:
        trials: All of a study's trials; higher values are better.
        max_observations: How many finished ones may be seen.

    Returns:
        Every trial that is not finished; of the finished ones all, or else the `N_BEST` best complete ones
        and an even selection of the rest.
    """
    finished = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(finished) <= max_observations:
        return trials
    values = {t.number: t.value for t in finished if t.state is TrialState.COMPLETE and t.value is not None}
    best = set(sorted(values, key=lambda number: (-values[number], number))[:N_BEST])
    rest = [t.number for t in finished if t.number not in best]
    evenly = np.linspace(0, len(rest) - 1, max_observations - len(best)).round().astype(int)
    seen = best | {rest[i] for i in evenly}
    return [t for t in trials if not t.state.is_finished() or t.number in seen]
