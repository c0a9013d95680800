"""What failed is tried again where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from made_studies import stored

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.search.retrying import failed_trials, retry_failed
from fmnist_sweep.training.testing import scripted_curve

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

TANH_FAILS: dict[str, Any] = {"activation": {"choices": ["relu", "tanh", "elu"]}, "epochs": 4}


def no_tanh(job: TrialJob) -> LearningCurve:
    """Fail at one of the activations."""
    if job.hyperparameters["activation"] == "tanh":
        raise TrialError("no room for tanh")
    return scripted_curve(job)


def states(study: optuna.Study) -> list[str]:
    """Return the states of all trials by number."""
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_a_failed_trial_is_tried_again_under_the_same_budget(
    make_config: MakeConfig, sweep: Sweep, sampler: str
) -> None:
    """As a trial of its own, of the same point; the old one stays, and counts no longer."""
    config = make_config(space=TANH_FAILS, sampler={"name": sampler, "seed": 3}, budget={"trials": 6})
    _, study = sweep(config, no_tanh)
    failed = [trial.number for trial in stored(study).in_state("FAIL")]
    assert failed
    before = len(study.trials)
    assert retry_failed(study) == failed
    sweep(config)
    after = stored(study)
    assert after.in_state("FAIL") == [after.trials[number] for number in failed]
    assert len(after.trials) == before + len(failed)
    assert after.followed == dict(zip(failed, range(before, before + len(failed)), strict=True))
    for old, new in after.followed.items():
        assert after.trials[new].state == "COMPLETE"
        assert after.trials[new].params == after.trials[old].params
    assert failed_trials(after) == []
    assert retry_failed(study) == []


def test_what_fails_once_more_can_be_tried_once_more(make_config: MakeConfig, sweep: Sweep) -> None:
    """The last try stands for all of them."""
    config = make_config(space=TANH_FAILS, sampler={"name": "grid"}, budget={"trials": 3})
    _, study = sweep(config, no_tanh)
    (first,) = retry_failed(study)
    sweep(config, no_tanh)
    assert states(study).count("FAIL") == 2
    assert retry_failed(study) == [stored(study).followed[first]]
    sweep(config)
    assert [trial.number for trial in failed_trials(stored(study))] == []
    assert sorted(states(study)) == ["COMPLETE"] * 3 + ["FAIL"] * 2


def test_a_default_that_failed_is_the_baseline_once_it_is_trained(
    make_config: MakeConfig, sweep: Sweep
) -> None:
    """Trial 0 can't be; what tries it again takes its place."""
    config = make_config(budget={"trials": 1})

    def broken(_: TrialJob) -> LearningCurve:
        raise TrialError("out of memory")

    _, study = sweep(config, broken)
    retry_failed(study)
    sweep(config)
    assert stored(study).default_trial == 1


def test_what_would_fail_again_is_not_tried(make_config: MakeConfig, sweep: Sweep) -> None:
    """Too large a model, and a point that another tool enqueued outside the space."""
    config = make_config(
        space=TANH_FAILS, sampler={"name": "random", "enqueue_default": False}, budget={"trials": 1}
    )
    _, study = sweep(config)
    study.enqueue_trial({"activation": "nix"})
    sweep(make_config(space=TANH_FAILS, sampler={"name": "random"}, budget={"trials": 2}))
    assert states(study) == ["COMPLETE", "FAIL"]
    assert retry_failed(study) == []
