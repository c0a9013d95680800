"""Draw a trial's point again until its model keeps within the sweep's ``max_model_size``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from typing_extensions import override

from fmnist_sweep import sampling
from fmnist_sweep.config import SweepConfig
from fmnist_sweep.records import Scalar
from fmnist_sweep.space import Parameter, SearchSpace

N_DRAWS: Final = 200
"""Draws of one trial. Where even the last is too large it is handed out: its build then ends the trial."""


def feasible_sampler(config: SweepConfig, *, trial: int) -> BaseSampler:
    """Return the sampler that draws one trial, within the limit where the catalog can count its weights.

    Args:
        config: The sweep's settings.
        trial: Number of the trial to be drawn.
    """
    sampler = sampling.build_sampler(config.file.sampler, trial=trial)
    if config.file.max_model_size is None or config.model_space.n_parameters is None:
        return sampler
    return _FeasibleSampler(sampler, config.sampled_space, config.is_too_large)


class _FeasibleSampler(BaseSampler):
    """Draws whole points from another sampler, as many as it takes, and hands out one.

    The sampler's random numbers go on from draw to draw, so the same trial of the same study gets the same
    point, also where its draw is taken up again.
    """

    def __init__(
        self, sampler: BaseSampler, space: SearchSpace, is_too_large: Callable[[dict[str, Scalar]], bool]
    ) -> None:
        self._sampler = sampler
        self._space = space
        self._is_too_large = is_too_large

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {name: sampling.distribution(self._space[name]) for name in self._space.searched}

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        for _ in range(N_DRAWS):
            point = self._point(study, trial)
            if not self._is_too_large(point):
                break
        return {name: value for name, value in point.items() if name in search_space}

    def _point(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Scalar]:
        so_far = copy.copy(trial)
        so_far.params, so_far.distributions = {}, {}
        modelled = self._sampler.infer_relative_search_space(study, so_far)
        relative = self._sampler.sample_relative(study, so_far, modelled)

        def suggest(name: str, parameter: Parameter) -> Scalar:
            distribution = sampling.distribution(parameter)
            value: Scalar = (
                relative[name]
                if name in relative
                else self._sampler.sample_independent(study, so_far, name, distribution)
            )
            so_far.params[name], so_far.distributions[name] = value, distribution
            return value

        return self._space.fill(suggest)

    @override
    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        # Asked for where a value that was given with the trial brings up other parameters than were drawn.
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    @override
    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    @override
    def after_trial(self, *args: Any, **kwargs: Any) -> None:
        self._sampler.after_trial(*args, **kwargs)
