"""Optuna's side of a declared space: distributions, samplers and pruners, each built from the config."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial
from typing_extensions import override

from fmnist_sweep.config.schema import SAMPLERS, SamplerSection
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import FloatParameter, IntParameter, Parameter, SearchSpace
from fmnist_sweep.search.tpe import Pictures, RecentTPESampler


def draw(trial: optuna.Trial, space: SearchSpace) -> dict[str, Scalar]:
    """Return one complete point of the space, drawn by the study's sampler.

    Parameters with a single value, fixed ones among them, don't become parameters of the trial. A draw that
    was cut short is finished with what it would have drawn; under QMC, which counts its points in the
    study, with some other point.
    """
    before = trial.params
    stored: list[str] = []

    def suggest(name: str, parameter: Parameter) -> Scalar:
        if name in before:
            stored.append(name)
        else:
            _draw_again(trial, stored)
            stored.clear()
        return _suggest(trial, name, parameter)

    return space.fill(suggest)


def _draw_again(trial: optuna.Trial, names: Sequence[str]) -> None:
    """Take from the sampler's random numbers what stored parameters took, so that the next gets its own."""
    if not names:
        return
    # There is no public way to a running trial, and a storage in memory gives its own object.
    so_far = copy.copy(trial.study._storage.get_trial(trial._trial_id))  # noqa: SLF001
    given = {**trial.relative_params, **so_far.system_attrs.get("fixed_params", {})}
    params, so_far.params = so_far.params, {}
    for name in names:
        distribution = so_far.distributions[name]
        if name not in given and not distribution.single():
            trial.study.sampler.sample_independent(trial.study, so_far, name, distribution)
        so_far.params[name] = params[name]


def _suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Scalar:
    if isinstance(parameter, FloatParameter):
        # Optuna warns of a range that is no multiple of its step: the last value is worked out here.
        high = parameter.ends()[-1]
        return trial.suggest_float(name, parameter.low, float(high), step=parameter.step, log=parameter.log)
    if isinstance(parameter, IntParameter):
        high = parameter.values()[-1]
        return trial.suggest_int(name, parameter.low, int(high), step=parameter.step, log=parameter.log)
    chosen = trial.suggest_categorical(name, list(parameter.ends()))
    return cast("Scalar", chosen)


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Return what a parameter that can vary is drawn from, as `draw` leaves it with a trial."""
    if isinstance(parameter, FloatParameter):
        high = float(parameter.ends()[-1])
        return FloatDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
    if isinstance(parameter, IntParameter):
        high = int(parameter.values()[-1])
        return IntDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
    return CategoricalDistribution(parameter.ends())


class _GridSampler(BruteForceSampler):
    """Brute force whose end the search sees: its own way, `Study.stop`, is refused outside `optimize`."""

    @override
    def after_trial(self, *args: Any, **kwargs: Any) -> None:
        pass


class GivenSampler(RandomSampler):
    """Draws what was decided before, by name."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self._params = params

    @override
    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._params[param_name]


def build_sampler(section: SamplerSection, *, trial: int, pictures: Pictures | None = None) -> BaseSampler:
    """Return the sampler that draws one trial.

    A sampler that is built with the same seed again, as on resume, repeats its first points: so each trial
    has its own seed, made from the sweep's seed and the trial's number, and a resumed study draws what an
    uninterrupted one would have drawn.

    Args:
        section: The sweep's ``[sampler]``.
        trial: Number of the trial to be drawn.
        pictures: What the draws of one study share, under TPE.
    """
    settings = section.model_dump(exclude={"name", "enqueue_default", "seed"})
    seed = int(np.random.SeedSequence([section.seed, trial]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match section.name:
            case "tpe":
                return RecentTPESampler(seed=seed, pictures=pictures, **settings)
            case "random":
                return RandomSampler(seed=seed)
            case "gp":
                return GPSampler(seed=seed, **settings)
            case "cmaes":
                return CmaEsSampler(seed=seed, warn_independent_sampling=False, **settings)
            case "qmc":
                # The sequence's place is kept in the study; its scrambling must stay the same throughout.
                return QMCSampler(
                    seed=section.seed,
                    independent_sampler=RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                    **settings,
                )
            case "grid":
                return _GridSampler(seed=seed)
            case "points":
                return GivenSampler(section.points[trial % len(section.points)])
            case "added":
                added: BaseSampler = SAMPLERS.load(section.sampler)(seed=seed, **section.settings)
                return added
