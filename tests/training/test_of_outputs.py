"""Metrics that a model was not compiled with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.metrics import inferred_direction
from fmnist_sweep.training.of_outputs import METRICS_OF_OUTPUTS, metric_of_outputs

ONE = np.array([[0.1], [0.4], [0.35], [0.8]])
BINARY = np.array([0, 0, 1, 1])
THREE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
LABELS = np.array([0, 1, 2, 2])


@pytest.mark.parametrize(
    ("name", "y", "outputs", "value"),
    [
        ("auc", BINARY, ONE, 0.75),
        ("auc", BINARY[:, None], ONE, 0.75),
        ("auc", BINARY, np.hstack([1 - ONE, ONE]), 0.75),
        ("accuracy", BINARY, ONE, 0.75),
        ("accuracy", LABELS, THREE, 0.75),
        ("accuracy", np.eye(3)[LABELS], THREE, 0.75),
        ("f1", BINARY, ONE, 2 / 3),
        ("balanced_accuracy", LABELS, THREE, 5 / 6),
        ("brier", BINARY, ONE, np.mean((ONE[:, 0] - BINARY) ** 2)),
        ("log_loss", BINARY, ONE, -np.mean(np.log([0.9, 0.6, 0.35, 0.8]))),
        ("mae", np.array([1.0, 3.0]), np.array([[2.0], [1.0]]), 1.5),
        ("rmse", np.array([1.0, 3.0]), np.array([[2.0], [1.0]]), np.sqrt(2.5)),
        ("r2", np.array([1.0, 3.0]), np.array([[1.0], [3.0]]), 1.0),
    ],
)
def test_metrics_take_targets_in_each_form(name: str, y: Any, outputs: Any, value: float) -> None:
    """Class numbers, a column, one column a class; probabilities of one class or of all."""
    assert metric_of_outputs(name, y, outputs) == pytest.approx(value)


def test_several_labels_in_a_row_are_measured_one_by_one() -> None:
    """The mean over the labels, each of them one class or not."""
    y = np.array([[1, 1], [0, 0], [1, 0], [0, 1]])
    outputs = np.array([[0.9, 0.6], [0.2, 0.7], [0.8, 0.1], [0.6, 0.9]])
    assert metric_of_outputs("accuracy", y, outputs) == 0.75
    assert metric_of_outputs("auc", y, outputs) == pytest.approx((1.0 + 0.75) / 2)


@pytest.mark.parametrize("name", ["accuracy", "f1", "log_loss", "brier", "auc"])
def test_logits_are_measured_as_the_probabilities_that_they_mean(name: str) -> None:
    """A logit above 0 is a yes, and one of 0.3 as well."""
    logits = np.array([[-1.0], [0.3], [-0.2], [2.0]])
    sure = 1 / (1 + np.exp(-logits))
    assert metric_of_outputs(name, BINARY, logits, from_logits=True) == pytest.approx(
        metric_of_outputs(name, BINARY, sure)
    )
    assert metric_of_outputs("log_loss", LABELS, np.log(THREE), from_logits=True) == pytest.approx(
        metric_of_outputs("log_loss", LABELS, THREE)
    )


@pytest.mark.parametrize("name", ["accuracy", "auc", "log_loss"])
@pytest.mark.parametrize(
    "y", [np.array([0.2, 1.7, -0.3, 0.9]), np.array([1, 2, 3, 4]), np.array([-1, 1, 1, -1])]
)
def test_numbers_are_not_measured_as_classes(name: str, y: Any) -> None:
    """Cut off to whole numbers they would score something."""
    with pytest.raises(TrialError, match="the targets are not 0 and 1; of numbers score mae"):
        metric_of_outputs(name, y, ONE)


def test_what_is_not_defined_fails_with_its_reason() -> None:
    """An AUC needs both classes, and scikit-learn's own words say so."""
    with pytest.raises(TrialError, match="average_precision can't be measured"):
        metric_of_outputs("average_precision", np.array([[1, 2], [0, 1]]), np.array([[0.2, 0.3, 0.5]] * 2))


def test_every_metric_has_a_direction() -> None:
    """So that a sweep file can name it and nothing else."""
    assert all(inferred_direction(name) is not None for name in METRICS_OF_OUTPUTS)
