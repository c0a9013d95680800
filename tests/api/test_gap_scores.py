"""The score of a training of one's own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pandas as pd
import pytest

import fmnist_sweep as fs
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import ConfigError, MetricNotRecordedError

HISTORY = {"accuracy": [0.86, 0.90, 0.95], "val_accuracy": [0.86, 0.88, 0.89]}


def test_the_best_epoch_counts_by_its_penalised_score() -> None:
    """Without a penalty the best validation; with one the gap beyond the tolerance costs."""
    assert fs.gap_score(HISTORY) == 0.89
    assert fs.gap_score(HISTORY, penalty=1.0) == pytest.approx(0.87)
    assert fs.gap_score(HISTORY, penalty=1.0, tolerance=0.1) == 0.89


@pytest.mark.parametrize(
    "given",
    [
        SimpleNamespace(history=HISTORY),
        pd.DataFrame(HISTORY),
        LearningCurve.from_scores(train=HISTORY["accuracy"], val=HISTORY["val_accuracy"]),
        # What a GapPruning has measured goes before what Keras logs.
        {**HISTORY, "accuracy": [0.1, 0.1, 0.1], "train_accuracy": HISTORY["accuracy"]},
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_history_a_table_and_a_curve_are_taken(given: object) -> None:
    """All give the same."""
    assert fs.gap_score(given, penalty=1.0) == pytest.approx(0.87)


def test_less_is_better_of_a_loss() -> None:
    """Its score is negative, and its gap is what validation has above training."""
    history = {"loss": [0.4, 0.2], "val_loss": [0.5, 0.45]}
    assert fs.gap_score(history, objective="val_loss") == -0.45
    assert fs.gap_score(history, objective="loss", penalty=1.0) == pytest.approx(-0.6)
    gain = {"gain": [1.0], "val_gain": [3.0]}
    asked = fs.Objective("val_gain", direction="min")
    assert fs.gap_score(gain, objective=asked, penalty=1.0) == pytest.approx(-5.0)


def test_epochs_that_are_not_finite_are_left_out() -> None:
    """A training that never was has no score: Optuna stores it as failed."""
    nan = math.nan
    assert fs.gap_score({"accuracy": [0.5, nan], "val_accuracy": [0.4, 0.9]}) == 0.4
    assert math.isnan(fs.gap_score({"accuracy": [nan], "val_accuracy": [nan]}))


def test_what_can_not_be_scored_is_told() -> None:
    """All at once, with what is allowed."""
    with pytest.raises(ConfigError) as refused:
        fs.gap_score(HISTORY, objective="val_gain", penalty=-1, tolerance=math.nan)
    assert [line.partition(":")[0] for line in refused.value.problems] == [
        "penalty",
        "tolerance",
        "objective",
    ]
    assert "fmnist_sweep.Objective" in refused.value.problems[2]
    with pytest.raises(MetricNotRecordedError, match="the history has accuracy, val_accuracy"):
        fs.gap_score(HISTORY, objective="val_loss")
    with pytest.raises(ConfigError, match="list holds no epochs"):
        fs.gap_score([0.5, 0.6])
    with pytest.raises(ConfigError, match="objective: 7 is none"):
        fs.gap_score(HISTORY, objective=7)
