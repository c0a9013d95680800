from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.curves import METRICS, EpochScores, LearningCurve, StoredColumns
from fmnist_sweep.core.errors import ConfigError, MetricNotRecordedError, SweepError, TrialError, did_you_mean
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.core.score import ScoreRule

numbers = st.floats(0, 1e6, allow_nan=False)
curves = st.lists(st.tuples(*[numbers] * 5), max_size=6).map(
    lambda rows: LearningCurve(tuple(EpochScores.of_classes(epoch, *row) for epoch, row in enumerate(rows)))
)


@pytest.fixture
def job(data: DataRef) -> TrialJob:
    """A job with every field set to something that is not its default."""
    return TrialJob(
        trial=3,
        model="pkg.module:Model",
        hyperparameters={"units_1": 100, "activation": "relu", "batch_norm": True, "l2": 1e-4},
        epochs=7,
        seed=5,
        data=data,
        split=SplitSpec(n_val=10, seed=1, train_size=50),
        n_probe=20,
        batch_size=64,
    )


@given(curves)
def test_a_stored_curve_is_read_back_as_it_was(curve: LearningCurve) -> None:
    """A curve that went through the JSON of a storage is equal to the one that was stored."""
    stored = json.loads(json.dumps(curve.to_attribute()))
    assert LearningCurve.from_attribute(stored) == curve


@given(curves, st.sampled_from([0.0, 0.7]))
def test_scores_are_the_same_from_the_lists_that_are_stored(curve: LearningCurve, penalty: float) -> None:
    """What rescores thousands of trials reads the lists, and builds no epoch."""
    stored, rule = StoredColumns(curve.to_attribute()), ScoreRule(penalty=penalty, min_val_accuracy=0.3)
    assert len(stored) == len(curve)
    assert rule.scores(stored).tolist() == rule.scores(curve).tolist()
    with pytest.raises(MetricNotRecordedError, match="'val_mse' is not recorded"):
        stored.values("val_mse")


def test_a_stored_curve_is_five_lists_of_plain_floats(curve: Callable[..., LearningCurve]) -> None:
    """The stored form is what the reports read: the four scores and the seconds, a list each."""
    stored = curve(0.5, 0.75).to_attribute()
    assert stored == {
        "train_accuracy": [0.5, 0.75],
        "train_cross_entropy": [0.5, 0.25],
        "val_accuracy": [0.5, 0.75],
        "val_cross_entropy": [0.5, 0.25],
        "seconds": [0.0, 0.0],
    }
    assert {type(v) for values in stored.values() for v in values} == {float}


def test_running_means_are_kept_where_there_are_some(curve: Callable[..., LearningCurve]) -> None:
    """They are stored and read back beside the scores; where an epoch has none, none is recorded."""
    plain = curve(0.5, 0.75)
    ran = LearningCurve(tuple(replace(s, running={"accuracy": 0.4 + s.epoch / 10}) for s in plain.epochs))
    assert LearningCurve.from_attribute(json.loads(json.dumps(ran.to_attribute()))) == ran
    assert ran.values("running_accuracy").tolist() == [0.4, 0.5]
    assert "running_accuracy" not in LearningCurve((*ran.epochs[:1], *plain.epochs[1:])).to_attribute()
    with pytest.raises(MetricNotRecordedError, match="running_accuracy"):
        plain.values("running_accuracy")


def test_a_stored_curve_with_lists_of_unequal_length_is_refused(curve: Callable[..., LearningCurve]) -> None:
    """A damaged curve is an error, not a shorter curve."""
    stored = curve(0.5, 0.75).to_attribute()
    stored["val_accuracy"].pop()
    with pytest.raises(ValueError, match="shorter"):
        LearningCurve.from_attribute(stored)


@pytest.mark.parametrize("missing", ["val_accuracy", "train_cross_entropy", "seconds"])
def test_a_stored_curve_without_one_of_its_lists_is_refused(
    curve: Callable[..., LearningCurve], missing: str
) -> None:
    """No gap can be had from half a pair."""
    stored = curve(0.5, 0.75).to_attribute()
    del stored[missing]
    with pytest.raises(KeyError, match=missing):
        LearningCurve.from_attribute(stored)


def test_a_stored_curve_keeps_the_order_of_its_lists(curve: Callable[..., LearningCurve]) -> None:
    """Read from any order, it is stored as before."""
    plain = curve(0.5, 0.75)
    ran = LearningCurve(tuple(replace(s, running={"accuracy": 0.4}) for s in plain.epochs))
    for made, more in ((plain, []), (ran, ["running_accuracy"])):
        stored = json.loads(json.dumps(made.to_attribute(), sort_keys=True))
        assert list(LearningCurve.from_attribute(stored).to_attribute()) == [*METRICS, "seconds", *more]


@pytest.mark.parametrize("part", ["train", "val"])
def test_what_one_epoch_lacks_is_not_recorded(curve: Callable[..., LearningCurve], part: str) -> None:
    """No other quantity stands in for it."""
    first, last = curve(0.5, 0.75).epochs
    short = {"cross_entropy": 0.5}
    last = replace(last, train=short) if part == "train" else replace(last, val=short)
    ragged = LearningCurve((first, last))
    with pytest.raises(MetricNotRecordedError, match=f"'{part}_accuracy' is not recorded; recorded are "):
        ragged.values(f"{part}_accuracy")
    assert f"{part}_accuracy" not in ragged.to_attribute()
    assert ragged.values(f"{part}_cross_entropy")[-1] == 0.5


def test_scores_survive_pickling() -> None:
    """They travel from the process that trains."""
    scores = replace(EpochScores.of_classes(0, 0.5, 0.75, 0.25, 1.5, 2.0), running={"accuracy": 0.4})
    assert pickle.loads(pickle.dumps(scores)) == scores  # noqa: S301 - our own bytes


@pytest.mark.parametrize("numbers", [[1], [0, 2], [0, 0], [1, 0]])
def test_epochs_of_a_curve_count_from_zero(numbers: list[int]) -> None:
    """A curve with a gap, a repetition or another start is refused with what it was given."""
    epochs = tuple(EpochScores.of_classes(n, 0.5, 0.5, 0.5, 0.5) for n in numbers)
    with pytest.raises(ValueError, match=r"must be 0, 1, 2, \.\.\.; got \[") as caught:
        LearningCurve(epochs)
    assert str(numbers) in str(caught.value)


def test_values_are_a_float64_array_of_each_recorded_quantity(curve: Callable[..., LearningCurve]) -> None:
    """Every metric and the seconds can be asked for, also of an empty curve."""
    for name in (*METRICS, "seconds"):
        values = curve(0.5, 0.75).values(name)
        assert values.shape == (2,)
        assert values.dtype == np.float64
        assert LearningCurve(()).values(name).shape == (0,)


@pytest.mark.parametrize("name", ["loss", "epoch", ""])
def test_a_quantity_that_is_not_recorded_is_refused(curve: Callable[..., LearningCurve], name: str) -> None:
    """The message names what was asked for and what there is; old code that expects LookupError gets it."""
    with pytest.raises(LookupError, match="is not recorded; recorded are train_accuracy,") as caught:
        curve(0.5).values(name)
    assert isinstance(caught.value, MetricNotRecordedError)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_fails_the_trial_with_its_reason(name: str, value: float) -> None:
    """NaN and infinities name the metric and the epoch, counted from 1 as people count."""
    scores = dict.fromkeys(METRICS, 0.5) | {name: value}
    with pytest.raises(TrialError) as caught:
        EpochScores.of_classes(2, **scores).require_finite()
    assert caught.value.reason == f"{name} is {value} after epoch 3: the training diverged"


def test_finite_scores_pass() -> None:
    """Scores outside [0, 1] are fine as long as they are numbers."""
    EpochScores.of_classes(0, 0.0, 16.1, 1.0, -0.0).require_finite()


def test_a_job_survives_pickling(job: TrialJob) -> None:
    """A job arrives at another process equal to the one that was sent, and as closed to changes."""
    arrived = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own bytes
    assert arrived == job
    with pytest.raises(TypeError):
        arrived.hyperparameters["units_1"] = 1


def test_a_job_keeps_its_own_hyperparameters(data: DataRef) -> None:
    """Changing the dict that a job was made from does not change the job."""
    given_values = {"units_1": 100}
    job = TrialJob(0, "m:M", given_values, 1, 0, data)
    given_values["units_1"] = 1
    assert job.hyperparameters == {"units_1": 100}


def test_problems_are_listed_under_where_they_are() -> None:
    """One problem or several: a head line with the count, then a line each."""
    assert str(ConfigError("a.toml", ["x: wrong"])) == "a.toml: 1 problem\n  x: wrong"
    assert str(ConfigError("a.toml", ["x", "y"])) == "a.toml: 2 problems\n  x\n  y"


def test_errors_survive_pickling() -> None:
    """An error that crosses a process keeps its text and its parts."""
    for error in (ConfigError("a.toml", ["x: wrong"]), TrialError("why", "where")):
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert vars(arrived) == vars(error)
        assert isinstance(arrived, SweepError)


@pytest.mark.parametrize(("name", "hint"), [("medain", "; did you mean 'median'?"), ("zzz", ""), ("", "")])
def test_a_near_name_is_suggested_and_a_far_one_is_not(name: str, hint: str) -> None:
    """A suggestion is made only where a known name is near."""
    assert did_you_mean(name, ["median", "hyperband"]) == hint
