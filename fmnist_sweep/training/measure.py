"""Accuracy and cross-entropy of a model's outputs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.curves import SCORE_DECIMALS

_SMALLEST_PROBABILITY: Final = 1e-7
"""Keras clips here too, so that one confident mistake can't make the mean infinite."""

_SUM_TOLERANCE: Final = 0.02
"""How far the probabilities of an image may be from summing to 1: bfloat16 keeps 8 bits."""


def accuracy_and_cross_entropy(
    outputs: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]], *, from_logits: bool
) -> tuple[float, float]:
    """Return the share of images classified right, and the mean negative log likelihood.

    Args:
        outputs: Shape ``(n, n_classes)``: probabilities, or logits.
        labels: Shape ``(n,)``, class numbers from 0.
        from_logits: Whether ``outputs`` are logits.

    Returns:
        Accuracy, a fraction in [0, 1], and cross-entropy in nats, not negative; both rounded to
        `SCORE_DECIMALS`. The cross-entropy is NaN where an output is.

    Example:
        >>> outputs = np.array([[0.5, 0.5], [0.1, 0.9]])
        >>> accuracy_and_cross_entropy(outputs, np.array([0, 1]), from_logits=False)
        (1.0, 0.399254)
    """
    outputs = outputs.astype(np.float64)
    hits = outputs.argmax(axis=1) == labels
    if from_logits:
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    likelihoods = np.clip(outputs[np.arange(len(labels)), labels], _SMALLEST_PROBABILITY, 1.0)
    return (
        round(float(hits.mean()), SCORE_DECIMALS),
        round(float(np.mean(-np.log(likelihoods))), SCORE_DECIMALS),
    )


def class_scores(
    outputs: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]], *, from_logits: bool
) -> dict[str, float]:
    """Return the scores of a model that tells classes apart, by the names of their metrics.

    Args:
        outputs: As for `accuracy_and_cross_entropy`.
        labels: As above.
        from_logits: As above.
    """
    accuracy, cross_entropy = accuracy_and_cross_entropy(outputs, labels, from_logits=from_logits)
    return {"accuracy": accuracy, "cross_entropy": cross_entropy}


def are_probabilities(outputs: npt.NDArray[Any]) -> bool:
    """Return whether each row could be the probabilities of classes: in [0, 1], with sum 1.

    Args:
        outputs: Shape ``(n, n_classes)``.
    """
    in_range = (outputs >= 0).all() and (outputs <= 1).all()
    return bool(in_range and np.allclose(outputs.sum(axis=1, dtype=np.float64), 1.0, atol=_SUM_TOLERANCE))
