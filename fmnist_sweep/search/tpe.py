"""A TPE sampler whose draws take no longer in a study of thousands of trials, or beside thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

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

if TYPE_CHECKING:
    from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

N_BEST: Final = 25
"""As many of the best trials as TPE models apart from the others, at the most."""

MAX_RUNNING: Final = 1000
"""Running trials that are seen at the most."""

RUNNING_PER_DRAW: Final = 100
"""Beside so many running trials one is drawn at a time, beside twice as many two at once."""

MAX_AT_ONCE: Final = 32
"""Trials that are drawn at once at the most: events wait meanwhile."""

_MASSES: Final = ((_truncnorm, "_log_gauss_mass"), (probability_distributions, "_log_gauss_mass_unique"))
"""Optuna's functions that take most of the time of weighing candidates: `_log_mass` stands in for them."""


class RecentTPESampler(TPESampler):
    """Draws one trial from at most so many finished ones; where there are fewer, as Optuna's own TPE does.

    TPE's time grows with the number of trials that it sees, and for a log-scaled whole number, whose
    density Optuna integrates value by value in Python, it comes to seconds at ten thousand. The best trials,
    which say where to look, are always seen; the others say where not to, and an even selection of them
    draws the same picture. So does one of the running trials, which under ``constant_liar`` say the same.
    What weighs the candidates computes with SciPy's normal distribution.

    Args:
        max_observations: Finished trials that are seen at the most; more than `N_BEST`.
        pictures: Where the samplers of one study's trials find what they may share; None shares nothing.
        **settings: Those of `optuna.samplers.TPESampler`.
    """

    def __init__(self, *, max_observations: int, pictures: Pictures | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._max_observations = max_observations
        self._pictures = Pictures() if pictures is None else pictures
        self._picture: _Picture | None = None
        # Of the good trials (True) and the others, of the parameters that were drawn last.
        self._densities: dict[bool, _ParzenEstimator] = {}

    def avoid(self, params: dict[str, Any], distributions: dict[str, BaseDistribution]) -> None:
        """Keep away from a point that was drawn and can't be used, as from one that another worker trains.

        Without this TPE would draw the same again: where no trial can be, none speaks against it. Under
        ``constant_liar`` alone, which is what looks at running trials.
        """
        if self._picture is not None:
            avoided = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
            self._picture = self._picture.beside(avoided)

    def _seen(self, study: optuna.Study) -> optuna.Study:
        if self._picture is None:
            self._picture = self._pictures.take(study, self._max_observations)
        return cast("optuna.Study", self._picture)

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        picture = cast("_Picture", self._seen(study))
        if picture.space is None:
            found = super().infer_relative_search_space(cast("optuna.Study", picture), trial)
            picture.space = found, self._search_space_group
        found, self._search_space_group = picture.space
        return dict(found)

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
    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        picture, group = cast("_Picture", study), tuple(search_space.items())
        if picture.drawn.get(group):
            return picture.drawn[group].pop(0)
        point = super()._sample(study, trial, search_space)
        if picture.n_draws > 1:
            picture.drawn[group] = self._further(search_space, picture.n_draws - 1)
        return point

    def _further(self, search_space: dict[str, BaseDistribution], n: int) -> list[dict[str, Any]]:
        """Return so many more points like the one that was drawn last, in one go."""
        below, above = self._densities[True], self._densities[False]
        candidates = below.sample(self._rng.rng, n * self._n_ei_candidates)
        gains = self._compute_acquisition_func(candidates, below, above).reshape(n, -1)
        chosen = gains.argmax(axis=1) + np.arange(n) * self._n_ei_candidates
        return [
            {name: space.to_external_repr(candidates[name][i].item()) for name, space in search_space.items()}
            for i in chosen
        ]

    @override
    def _build_parzen_estimator(
        self,
        study: optuna.Study,
        search_space: dict[str, BaseDistribution],
        trials: list[FrozenTrial],
        handle_below: bool,
    ) -> _ParzenEstimator:
        made = super()._build_parzen_estimator(study, search_space, trials, handle_below)
        self._densities[handle_below] = made
        return made

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


_Group: TypeAlias = tuple[tuple[str, BaseDistribution], ...]
"""Parameters that are drawn together."""


class Pictures:
    """Gives each draw of a study what it looks at; beside many running trials, some draws in turn the same.

    Most of what a draw takes beside thousands of trials is to sort them and to make densities of them, and
    one trial more or less among thousands changes neither. So where ``n`` times `RUNNING_PER_DRAW` trials are
    running, ``n`` draws are made at once: what they don't see of each other is a hundredth of what runs.
    Beside fewer than twice `RUNNING_PER_DRAW`, each draw is made for itself.
    """

    def __init__(self) -> None:
        self._picture: _Picture | None = None
        self._n_left = 0

    def take(self, study: optuna.Study, max_observations: int) -> _Picture:
        """Return what the next draw looks at."""
        if self._picture is None or self._n_left == 0:
            trials = [as_pruned(trial) for trial in study.get_trials(deepcopy=False)]
            n_running = sum(trial.state is TrialState.RUNNING for trial in trials)
            self._n_left = min(max(1, n_running // RUNNING_PER_DRAW), MAX_AT_ONCE)
            self._picture = _Picture(study, seen_trials(trials, max_observations), self._n_left)
        self._n_left -= 1
        return self._picture


class _Picture:
    """A study of which some trials are seen, as they stood when they were first looked at.

    They are read once: TPE asks for them a dozen times in a draw, and each time Optuna asks the database.

    Attributes:
        n_draws: How many trials are drawn from it.
        drawn: Of each group of parameters, the points that were drawn ahead.
        space: What is drawn together, and how it is grouped, once that was worked out.
    """

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial], n_draws: int = 1) -> None:
        self.n_draws = n_draws
        self.drawn: dict[_Group, list[dict[str, Any]]] = {}
        self.space: tuple[dict[str, BaseDistribution], Any] | None = None
        self._study = study
        self._trials = trials
        self._by_states: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}

    def beside(self, trial: FrozenTrial) -> _Picture:
        """Return a picture with one more trial."""
        return _Picture(self._study, [*self._trials, trial])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - the signature is Optuna's
        states: Iterable[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002
    ) -> list[FrozenTrial]:
        asked = tuple(TrialState if states is None else states)
        if asked not in self._by_states:
            self._by_states[asked] = [t for t in self._trials if t.state in asked]
        return self._by_states[asked]


def seen_trials(trials: list[FrozenTrial], max_observations: int) -> list[FrozenTrial]:
    """Return the trials that a sampler sees, by number.

    Args:
        trials: All of a study's trials; higher values are better.
        max_observations: How many finished ones may be seen.

    Returns:
        Of the finished ones all, or else the `N_BEST` best complete ones and an even selection of the rest;
        of the running ones all, or else an even selection of `MAX_RUNNING`; every trial that waits.
    """
    left_out = _left_out([t.number for t in trials if t.state is TrialState.RUNNING], MAX_RUNNING)
    finished = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(finished) > max_observations:
        values = {
            t.number: t.value for t in finished if t.state is TrialState.COMPLETE and t.value is not None
        }
        best = set(sorted(values, key=lambda number: (-values[number], number))[:N_BEST])
        rest = [t.number for t in finished if t.number not in best]
        left_out |= _left_out(rest, max_observations - len(best))
    return [t for t in trials if t.number not in left_out]


def _left_out(numbers: list[int], most: int) -> set[int]:
    """Return all but an even selection."""
    if len(numbers) <= most:
        return set()
    evenly = np.linspace(0, len(numbers) - 1, most).round().astype(int)
    return set(numbers) - {numbers[i] for i in evenly}
