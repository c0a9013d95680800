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


def test_what_is_not_defined_fails_with_its_reason() -> None:
    """An AUC needs both classes, and scikit-learn's own words say so."""
    with pytest.raises(TrialError, match="average_precision can't be measured"):
        metric_of_outputs("average_precision", np.array([[1, 2], [0, 1]]), np.array([[0.2, 0.3, 0.5]] * 2))


def test_every_metric_has_a_direction() -> None:
    """So that a sweep file can name it and nothing else."""
    assert all(inferred_direction(name) is not None for name in METRICS_OF_OUTPUTS)
