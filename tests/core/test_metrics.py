"""What is measured: directions, units, and the gap that follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import MetricNotRecordedError
from fmnist_sweep.core.metrics import METRICS_BY_NAME, UNITS, Metric, inferred_direction, metric_of
from fmnist_sweep.core.score import generalization_gap
from fmnist_sweep.core.wording import Unit

VALUES = st.floats(0, 10, allow_nan=False)


@given(name=st.sampled_from(sorted(METRICS_BY_NAME)), train=VALUES, val=VALUES)
def test_a_gap_is_positive_where_the_model_is_better_on_what_it_trained_on(
    name: str, train: float, val: float
) -> None:
    """Whatever the direction of the metric."""
    curve = LearningCurve((EpochScores(0, {name: train}, {name: val}),))
    better = train > val if METRICS_BY_NAME[name].direction == "max" else train < val
    assert bool(generalization_gap(curve, metric=name)[0] > 0) == better


def test_a_metric_without_a_known_direction_is_asked_for_it() -> None:
    """With the nearest one suggested, since most such names are misspelt."""
    with pytest.raises(MetricNotRecordedError) as caught:
        metric_of("acuracy")
    assert str(caught.value) == (
        "whether more or less of 'acuracy' is better is not known; did you mean 'accuracy'? If the model has "
        'one of that name, set score.direction to "max" or "min"'
    )
    assert metric_of("acuracy", "max").sign == 1


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("acc", "max"),
        ("val_kind_accuracy", "max"),
        ("size_mae", "min"),
        ("AUC", "max"),
        ("auc_2", "max"),
        ("precision_1", "max"),
        ("MeanSquaredError", "min"),
        ("RootMeanSquaredError", "min"),
        ("sparse_categorical_crossentropy", "min"),
        ("F1Score", "max"),
        ("f1_score", "max"),
        ("r2_score", "max"),
        ("weighted_acc", "max"),
        ("my_metric", None),
        ("", None),
    ],
)
def test_the_direction_of_a_metric_follows_from_its_name(name: str, direction: str | None) -> None:
    """As Keras logs it, with its output's name before it or without, and as its class is called."""
    assert inferred_direction(name) == direction


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


@pytest.mark.parametrize(("name", "gap"), [("accuracy", 0.25), ("cross_entropy", -0.25)])
def test_the_gap_of_a_higher_train_value(name: str, gap: float) -> None:
    """It is overfitting where more is better, and the opposite where less is."""
    curve = LearningCurve((EpochScores(0, {name: 0.75}, {name: 0.5}),))
    assert generalization_gap(curve, metric=name).tolist() == [gap]


def test_units_are_those_of_the_metrics() -> None:
    """A gap of accuracies is shown in points, one of cross-entropies in nats."""
    assert UNITS["accuracy"].in_points
    assert not UNITS["cross_entropy"].in_points
    assert UNITS["kind_accuracy"].show(0.5) == "50.00 %"
    assert UNITS["mae"].show(0.5) == "0.5000"
    assert UNITS["mae"].axis("validation") == "validation mae"


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
