"""Sweeps whose models may have so many weights and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from every_sampler import SAMPLERS
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.progress import MAX_FAILURES_IN_A_ROW, Stop
from fmnist_sweep.models.spaces import dense_n_parameters
from fmnist_sweep.search import samplers as sampling
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.training.testing import ScriptedTrainer, scripted_curve

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

LIMIT = 60_000
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2},
    "depth": {"low": 1, "high": 2},
    "units_1": {"type": "int", "low": 16, "high": 128, "step": 16},
    "units_2": {"type": "int", "low": 16, "high": 128, "step": 16},
    "epochs": 3,
}


def n_parameters(trial: optuna.trial.FrozenTrial) -> int:
    return dense_n_parameters(trial.user_attrs["hyperparameters"], (28, 28, 1), 10)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_goes_beyond_the_limit(make_config: MakeConfig, sweep: Sweep, sampler: str) -> None:
    """All of a budget's trials are trained, and none has more weights than allowed."""
    space = {**SPACE, "learning_rate": 1e-3} if sampler == "grid" else SPACE
    config = make_config(space=space, sampler={"name": sampler}, max_model_size=LIMIT, budget={"trials": 15})
    _, study = sweep(config)

    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 15
    assert max(map(n_parameters, study.trials)) <= LIMIT
    assert all(config.sampled_space.contains(trial.user_attrs["hyperparameters"]) for trial in study.trials)


@pytest.mark.slow
@pytest.mark.parametrize("constant_liar", [True, False])
def test_a_sampler_that_looks_for_large_models_keeps_to_the_limit(
    make_config: MakeConfig, sweep: Sweep, constant_liar: bool
) -> None:
    """Where larger is better the best are at the limit, and beyond it no trial speaks against going on."""

    def curve(job: TrialJob) -> LearningCurve:
        n = dense_n_parameters(job.hyperparameters, (28, 28, 1), 10)
        return scripted_curve(replace(job, hyperparameters={"accuracy_peak": 0.8 + n / 1e6}))

    sampler = {"name": "tpe", "constant_liar": constant_liar}
    sections: dict[str, Any] = {"space": SPACE, "sampler": sampler, "max_model_size": 30_000}
    config = make_config(study="whole", budget={"trials": 30}, **sections)
    _, whole = sweep(config, curve)
    assert max(map(n_parameters, whole.trials)) <= 30_000
    # The largest that is allowed: two layers, of 32 and 112 units.
    assert max(map(n_parameters, whole.trials)) == 29_946
    for n_trials in (20, 30):
        _, parts = sweep(make_config(study="parts", budget={"trials": n_trials}, **sections), curve)
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_sweep_draws_the_same_points(make_config: MakeConfig, sweep: Sweep, sampler: str) -> None:
    """Draws that were too large leave no trace in the study, nor in what is drawn later."""
    sections: dict[str, Any] = {"space": SPACE, "max_model_size": LIMIT, "sampler": {"name": sampler}}
    _, whole = sweep(make_config(study="whole", budget={"trials": 14}, **sections))
    for n_trials in (5, 14):
        _, parts = sweep(make_config(study="parts", budget={"trials": n_trials}, **sections))

    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_draw_that_was_cut_short_ends_as_it_would_have(
    make_config: MakeConfig, sweep: Sweep, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its parameters a sweep dies at, the trial gets the point that had been found for it."""
    sections: dict[str, Any] = {"space": SPACE, "max_model_size": LIMIT, "sampler": {"name": sampler}}
    _, whole = sweep(make_config(study="whole", budget={"trials": 6}, **sections))
    suggest, n_left = sampling._suggest, 0

    def dies(*args: Any) -> Any:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise KeyboardInterrupt
        return suggest(*args)

    config = make_config(study="parts", budget={"trials": 6}, **sections)
    for n_left in (1, 6, 7):  # noqa: B007 - the patched function counts it down
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "_suggest", dies)
            with pytest.raises(KeyboardInterrupt):
                sweep(config)
    _, parts = sweep(config)

    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_limit_above_every_model_changes_no_draw(
    make_config: MakeConfig, sweep: Sweep, sampler: str
) -> None:
    """A first draw that fits is the draw of a sweep without a limit."""
    drawn = []
    for study, limit in (("free", None), ("limited", 10**9)):
        config = make_config(
            study=study, space=SPACE, max_model_size=limit, sampler={"name": sampler}, budget={"trials": 14}
        )
        drawn.append([trial.params for trial in sweep(config)[1].trials])

    assert drawn[0] == drawn[1]


def test_the_limit_is_no_part_of_what_makes_trials_comparable(make_config: MakeConfig) -> None:
    """A study goes on under another limit, as under another budget."""
    assert make_config(max_model_size=400_000).digest == make_config().digest


def test_a_default_that_is_too_large_is_not_tried(
    make_config: MakeConfig, data: Any, memory: optuna.storages.InMemoryStorage
) -> None:
    """The hand-tuned model has 297,710 weights: a sweep of smaller ones does not begin with it."""
    space = {"units_1": {"low": 16, "high": 512}, "epochs": 3}
    assert make_config(space=space, max_model_size=297_710).default_point is not None
    config = make_config(space=space, max_model_size=297_709)

    assert config.default_point is None
    assert open_study(config, data, memory).trials == []


def test_a_limit_below_every_model_is_a_mistake(make_config: MakeConfig) -> None:
    """It is told with the size of the smallest model and the way out, before anything is drawn."""
    with pytest.raises(ConfigError) as caught:
        make_config(space=SPACE, max_model_size=10_000)
    (problem,) = caught.value.problems
    assert problem == (
        "max_model_size: the smallest model of the space has 12,730 weights, more than 10,000; "
        "raise it, or let the space reach lower"
    )


def counted_by_its_build(config: SweepConfig, limit: int) -> SweepConfig:
    """Return the config as if its model were a user's own, whose weights only a build can count."""
    return replace(
        config,
        file=config.file.model_copy(update={"max_model_size": limit}),
        model_space=replace(config.model_space, n_parameters=None),
    )


def test_a_model_that_only_its_build_can_count_ends_its_trial(
    make_config: MakeConfig, sweep: Sweep, workers: Any
) -> None:
    """The trial is FAIL before its first epoch, with both numbers; the sweep goes on to its budget."""
    n_trials = MAX_FAILURES_IN_A_ROW + 2
    config = counted_by_its_build(make_config(space=SPACE, budget={"trials": n_trials}), 999)
    engine = workers(ScriptedTrainer())
    stop, study = sweep(config, engine=engine)

    assert stop is Stop.TRIALS
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}
    assert {trial.user_attrs["fail_reason"] for trial in study.trials} == {
        "infeasible: 1,000 weights, more than max_model_size = 999"
    }
    assert {trial.user_attrs["n_epochs"] for trial in study.trials} == {0}
    assert sorted(engine.cancelled) == list(range(n_trials))


def test_a_model_of_just_the_limit_is_trained(make_config: MakeConfig, sweep: Sweep) -> None:
    """The limit is the largest number that is allowed."""
    _, study = sweep(counted_by_its_build(make_config(space=SPACE, budget={"trials": 2}), 1000))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
