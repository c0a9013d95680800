"""What is measured: directions, units, and the gap that follows from them."""

from __future__ import annotations

from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import MetricNotRecordedError
from fmnist_sweep.core.metrics import METRICS_BY_NAME, UNITS, Metric, metric_of
from fmnist_sweep.core.score import MetricName, generalization_gap
from fmnist_sweep.core.wording import Unit

VALUES = st.floats(0, 10, allow_nan=False)


@given(name=st.sampled_from(sorted(METRICS_BY_NAME)), train=VALUES, val=VALUES)
def test_a_gap_is_positive_where_the_model_is_better_on_what_it_trained_on(
    name: str, train: float, val: float
) -> None:
    """Whatever the direction of the metric."""
    curve = LearningCurve((EpochScores(0, {name: train}, {name: val}),))
    better = train > val if METRICS_BY_NAME[name].direction == "max" else train < val
    assert bool(generalization_gap(curve, metric=cast("MetricName", name))[0] > 0) == better


def test_an_unknown_metric_lists_those_that_there_are() -> None:
    """With the nearest one suggested."""
    with pytest.raises(MetricNotRecordedError) as caught:
        metric_of("acuracy")
    assert str(caught.value) == (
        "unknown metric 'acuracy'; did you mean 'accuracy'? (allowed: accuracy, cross_entropy)"
    )


@pytest.mark.parametrize(
    ("name", "direction", "sign", "unit", "largest", "step"),
    [
        ("accuracy", "max", 1, Unit("accuracy", 100.0, "%", "points", 2), 1.0, 0.1),
        ("cross_entropy", "min", -1, Unit("cross_entropy", 1.0, "nats", "nats", 4), 16.11809565095832, 0.005),
    ],
)
def test_a_built_in_metric_is_what_studies_were_scored_by(  # noqa: PLR0917 - a row of the table
    name: str, direction: str, sign: int, unit: Unit, largest: float, step: float
) -> None:
    """Scores in storages and numbers on pages depend on each of these."""
    metric = metric_of(name)
    assert (metric.name, metric.of) == (name, "outputs")
    assert (metric.direction, metric.sign) == (direction, sign)
    assert metric.unit == unit
    assert (metric.largest, metric.step) == (largest, step)


def test_a_sweep_file_may_name_each_built_in_metric_and_no_other() -> None:
    """The type that a sweep file is checked by can't be made from the table."""
    assert get_args(MetricName) == tuple(METRICS_BY_NAME)


@pytest.mark.parametrize(("name", "gap"), [("accuracy", 0.25), ("cross_entropy", -0.25)])
def test_the_gap_of_a_higher_train_value(name: MetricName, gap: float) -> None:
    """It is overfitting where more is better, and the opposite where less is."""
    curve = LearningCurve((EpochScores(0, {name: 0.75}, {name: 0.5}),))
    assert generalization_gap(curve, metric=name).tolist() == [gap]


def test_units_are_those_of_the_metrics() -> None:
    """A gap of accuracies is shown in points, one of cross-entropies in nats."""
    assert set(UNITS) == set(METRICS_BY_NAME)
    assert UNITS["accuracy"].in_points
    assert not UNITS["cross_entropy"].in_points


def test_a_curve_keeps_whatever_metrics_were_measured() -> None:
    """Its stored form names them, and is read back without being told which."""
    scores = EpochScores(0, {"mae": 1.5, "r2": 0.9}, {"mae": 2.5, "r2": 0.8}, 3.0)
    curve = LearningCurve((scores,))
    stored = curve.to_attribute()
    assert stored == {
        "train_mae": [1.5],
        "train_r2": [0.9],
        "val_mae": [2.5],
        "val_r2": [0.8],
        "seconds": [3.0],
    }
    assert LearningCurve.from_attribute(stored) == curve
    with pytest.raises(
        MetricNotRecordedError, match="'val_accuracy' is not recorded; recorded are train_mae"
    ):
        curve.values("val_accuracy")


def test_a_metric_of_which_less_is_better() -> None:
    """Its sign turns it, and nothing else says so."""
    assert Metric("mae", "min", Unit("mae", 1.0, "units", "units", 3)).sign == -1
