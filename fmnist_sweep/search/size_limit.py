"""Draw a trial's point again until its model keeps within the sweep's ``max_model_size``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from typing_extensions import override

from fmnist_sweep.config.schema import RandomSection
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.core.space import Parameter, SearchSpace
from fmnist_sweep.search.samplers import build_sampler, distribution_of
from fmnist_sweep.search.tpe import Pictures, RecentTPESampler

N_DRAWS: Final = 200
"""Draws of one trial from its sampler, and then again at random: the sampler may look for what is too large.
Where even the last is too large it is handed out: its build then ends the trial."""


def feasible_sampler(config: SweepConfig, *, trial: int, pictures: Pictures | None = None) -> BaseSampler:
    """Return the sampler that draws one trial, within the limit where the catalog can count its weights.

    Args:
        config: The sweep's settings.
        trial: Number of the trial to be drawn.
        pictures: As for `build_sampler`.
    """
    sampler = build_sampler(config.file.sampler, trial=trial, pictures=pictures)
    if config.file.max_model_size is None or config.model_space.n_parameters is None:
        return sampler
    in_turn = [sampler]
    if config.file.sampler.name not in ("grid", "points"):
        # These hand out what is left of them, to come to their end.
        in_turn.append(build_sampler(RandomSection(seed=config.file.sampler.seed), trial=trial))
    return _FeasibleSampler(in_turn, config.sampled_space, config.is_too_large)


def size_problem(n_parameters: int, *, limit: int | None, known: int | None) -> str | None:
    """Return why a model of so many weights is not to be trained; None if it is.

    Args:
        n_parameters: As its build has counted them.
        limit: The sweep's ``max_model_size``.
        known: How many it had when the sweep trained it, where it is trained again.
    """
    if exceeds(limit, n_parameters):
        return f"infeasible: {n_parameters:,} weights, more than max_model_size = {limit:,}"
    if known is None or n_parameters == known:
        return None
    why = "the model was edited since, or builds another net each time"
    return f"the model has {n_parameters:,} weights, and had {known:,} in the sweep: {why}"


class _FeasibleSampler(BaseSampler):
    """Draws whole points from another sampler, as many as it takes, and hands out one.

    Further samplers are drawn from where the first one gives none that is small enough. A sampler's random
    numbers go on from draw to draw, so the same trial of the same study gets the same point, also where its
    draw is taken up again.
    """

    def __init__(
        self,
        samplers: Sequence[BaseSampler],
        space: SearchSpace,
        is_too_large: Callable[[dict[str, Scalar]], bool],
    ) -> None:
        self._sampler = samplers[0]
        self._samplers = samplers
        self._space = space
        self._is_too_large = is_too_large

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {name: distribution_of(self._space[name]) for name in self._space.searched}

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        for sampler, _ in product(self._samplers, range(N_DRAWS)):
            drawn = copy.copy(trial)
            drawn.params, drawn.distributions = {}, {}
            point = self._point(sampler, study, drawn)
            if not self._is_too_large(point):
                break
            if isinstance(sampler, RecentTPESampler):
                sampler.avoid(drawn.params, drawn.distributions)
        return {name: value for name, value in point.items() if name in search_space}

    def _point(self, sampler: BaseSampler, study: optuna.Study, so_far: FrozenTrial) -> dict[str, Scalar]:
        modelled = sampler.infer_relative_search_space(study, so_far)
        relative = sampler.sample_relative(study, so_far, modelled)

        def suggest(name: str, parameter: Parameter) -> Scalar:
            distribution = distribution_of(parameter)
            value: Scalar = (
                relative[name]
                if name in relative
                else sampler.sample_independent(study, so_far, name, distribution)
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
