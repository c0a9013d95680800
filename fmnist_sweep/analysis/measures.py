"""What predictions say of a model: accuracies with their uncertainty, confusions, the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn import metrics

from fmnist_sweep.analysis.statistics import LEVEL, interval
from fmnist_sweep.core.curves import SCORE_DECIMALS

Array: TypeAlias = npt.NDArray[Any]
Predictions: TypeAlias = Mapping[str, tuple[Array, Array]]
"""Probabilities ``(n, n_classes)`` and labels ``(n,)`` by part: train, val and, once it was read, test."""

_SMALLEST_PROBABILITY: Final = 1e-7
_NORMAL_QUANTILE: Final = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Images of one class that were taken for another: ``n`` of the ``n_actual`` there are."""

    actual: str
    predicted: str
    n: int
    n_actual: int

    def __str__(self) -> str:
        share = 100 * self.n / self.n_actual
        return f"{self.actual} taken for {self.predicted}: {self.n:,} of {self.n_actual:,} ({share:.1f} %)"


def part_scores(probabilities: Array, labels: Array) -> dict[str, Any]:
    """Return accuracy and cross-entropy of one model on one part, each with its 95 % interval.

    Args:
        probabilities: Shape ``(n, n_classes)``.
        labels: Shape ``(n,)``, class numbers from 0.

    Returns:
        ``n``; ``accuracy``, a fraction, with Wilson's interval; ``cross_entropy``, in nats, with the normal
        interval of a mean. The intervals tell how far other images of the same kind would move the numbers,
        not what another training would.

    Example:
        >>> part_scores(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))["accuracy"]
        1.0
    """
    hits = int(metrics.accuracy_score(labels, probabilities.argmax(axis=1), normalize=False))
    wilson = stats.binomtest(hits, len(labels)).proportion_ci(LEVEL, method="wilson")
    clipped = _clipped(probabilities)
    cross_entropy = float(metrics.log_loss(labels, clipped, labels=np.arange(probabilities.shape[1])))
    losses = -np.log(clipped[np.arange(len(labels)), labels])
    margin = _NORMAL_QUANTILE * float(losses.std(ddof=1)) / math.sqrt(len(labels))
    return {
        "n": len(labels),
        "accuracy": _rounded(hits / len(labels)),
        "accuracy_95": [_rounded(wilson.low), _rounded(wilson.high)],
        "cross_entropy": _rounded(cross_entropy),
        "cross_entropy_95": [_rounded(cross_entropy - margin), _rounded(cross_entropy + margin)],
    }


def model_scores(predictions: Predictions) -> dict[str, Any]:
    """Return `part_scores` of each part, and the gaps: train minus validation, and minus test, accuracy."""
    scores: dict[str, Any] = {part: part_scores(*predicted) for part, predicted in predictions.items()}
    train = scores["train"]["accuracy"]
    gaps = {
        f"gap_to_{part}": _rounded(train - scores[part]["accuracy"])
        for part in ("val", "test")
        if part in scores
    }
    return {**scores, **gaps}


def mean_interval(
    values: Sequence[float], *, within: tuple[float, float] = (-math.inf, math.inf)
) -> dict[str, Any]:
    """Return the mean of one number over trainings, with Student's 95 % interval.

    Args:
        values: The number after each training.
        within: What it can be: of two or three trainings the interval may reach beyond, and is cut there.

    Returns:
        ``mean`` and ``interval_95``, None where there are fewer than two values.

    Example:
        >>> mean_interval([0.89, 0.90, 0.91])
        {'mean': 0.9, 'interval_95': [0.875159, 0.924841]}
    """
    # On one and the same split there is nothing to correct for.
    found = interval(values, n_val=0, n_train=1)
    if found.n < 2:
        return {"mean": _rounded(found.mean), "interval_95": None}
    low, high = max(within[0], found.low), min(within[1], found.high)
    return {"mean": _rounded(found.mean), "interval_95": [_rounded(low), _rounded(high)]}


def over_repeats(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean and interval over trainings of every number of `model_scores`."""
    first = scores[0]
    values = {
        f"{part}_{name}": [score[part][name] for score in scores]
        for part in ("train", "val", "test")
        if part in first
        for name in ("accuracy", "cross_entropy")
    }
    values |= {name: [score[name] for score in scores] for name in first if name.startswith("gap_")}
    return {name: mean_interval(numbers, within=_possible(name)) for name, numbers in values.items()}


def _possible(name: str) -> tuple[float, float]:
    if name.endswith("_accuracy"):
        return 0.0, 1.0
    # A gap is a difference of accuracies.
    return (-1.0, 1.0) if name.startswith("gap_") else (0.0, math.inf)


def confusion(probabilities: Array, labels: Array) -> npt.NDArray[np.int64]:
    """Return the counts ``(n_classes, n_classes)``: actual classes in rows, predicted ones in columns."""
    classes = np.arange(probabilities.shape[1])
    counts: npt.NDArray[np.int64] = metrics.confusion_matrix(
        labels, probabilities.argmax(axis=1), labels=classes
    )
    return counts


def most_confused(counts: Array, class_names: Sequence[str], *, n: int = 10) -> list[ConfusedPair]:
    """Return the ordered pairs of classes that are confused most often, at most ``n``, none of them never."""
    mistakes = np.array(counts)
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:n]
    pairs = [divmod(int(i), len(class_names)) for i in order]
    return [
        ConfusedPair(class_names[a], class_names[p], int(mistakes[a, p]), int(counts[a].sum()))
        for a, p in pairs
        if mistakes[a, p]
    ]


def classification_table(probabilities: Array, labels: Array, class_names: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, F1 and support of each class, and their averages."""
    report = metrics.classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=np.arange(len(class_names)),
        target_names=list(class_names),
        output_dict=True,
        zero_division=0.0,
    )
    # Where every class is listed it is one number, and no row of four.
    report.pop("accuracy", None)
    frame = pd.DataFrame(report).T.rename_axis("class").reset_index()
    return frame.astype({"support": int})


def _clipped(probabilities: Array) -> Array:
    wide = probabilities.astype(np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    # As in training: one confident mistake can't make the mean infinite.
    clipped = np.clip(wide, _SMALLEST_PROBABILITY, 1.0)
    normed: Array = clipped / clipped.sum(axis=1, keepdims=True)
    return normed


def _rounded(value: float) -> float:
    return round(float(value), SCORE_DECIMALS)
