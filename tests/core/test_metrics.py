"""What is measured: directions, units, and the gap that follows from them."""

from __future__ import annotations

from typing import cast

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
