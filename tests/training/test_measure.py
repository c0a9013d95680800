"""Scores from a model's outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.training.measure import accuracy_and_cross_entropy, are_probabilities


def test_scores_of_known_probabilities() -> None:
    """Accuracy counts the hits; cross-entropy is the mean negative log of the true class's probability."""
    outputs = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=np.float32)
    accuracy, cross_entropy = accuracy_and_cross_entropy(outputs, np.array([0, 1]), from_logits=False)
    assert accuracy == 0.5
    assert cross_entropy == pytest.approx((-math.log(0.5) - math.log(0.1)) / 2, abs=1e-6)


def test_a_confident_mistake_costs_a_finite_amount() -> None:
    """A true class of probability 0 counts as 1e-7."""
    scores = accuracy_and_cross_entropy(np.array([[1.0, 0.0]]), np.array([1]), from_logits=False)
    assert scores == (0.0, round(-math.log(1e-7), 6))


def test_nan_shows() -> None:
    """A NaN among the outputs makes the cross-entropy NaN, never a number that could win."""
    assert math.isnan(
        accuracy_and_cross_entropy(np.array([[np.nan, 0.5]]), np.array([0]), from_logits=False)[1]
    )


@given(st.lists(st.floats(-1000, 1000), min_size=3, max_size=3), st.integers(0, 2))
def test_logits_score_as_their_softmax(logits: list[float], label: int) -> None:
    """Logits, however large, give the scores of their softmax."""
    z = np.array([logits])
    p = np.exp(z - z.max())
    p /= p.sum()
    labels = np.array([label])
    assert accuracy_and_cross_entropy(z, labels, from_logits=True)[1] == pytest.approx(
        accuracy_and_cross_entropy(p, labels, from_logits=False)[1], abs=1e-6
    )


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], True),
        ([[0.2, 0.7], [1.0, 0.0]], False),
        ([[-0.5, 1.5], [1.0, 0.0]], False),
        ([[np.nan, 1.0], [1.0, 0.0]], False),
    ],
)
def test_probabilities_are_told_from_logits(outputs: list[list[float]], expected: bool) -> None:
    """Rows in [0, 1] that sum to 1 are probabilities; one row that does not is enough to say no."""
    assert are_probabilities(np.array(outputs)) is expected
