"""What is measured of each part of a draw after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.problems import Arrays, Problem
from fmnist_sweep.data.split import probe_indices
from fmnist_sweep.training.measure import class_scores

N_BINS: Final = 15


class Measuring:
    """Measures a model on the train probe, on validation and on test, and keeps the curve.

    The test examples are read here, by this benchmark alone: it asks how far a choice by validation holds on
    them. No study sees them.

    Attributes:
        inputs: All that has to be predicted.
        curve: A list over epochs by name, such as ``val_accuracy``.
    """

    def __init__(self, problem: Problem, arrays: Arrays) -> None:
        x, y = arrays.train
        probe = probe_indices(len(y), problem.n_probe)
        parts = {"train": (x[probe], y[probe]), "val": arrays.val, "test": arrays.test}
        self.inputs = np.concatenate([inputs for inputs, _ in parts.values()])
        self.curve: dict[str, list[float]] = {}
        self._metric = problem.metric
        self._targets = {part: targets for part, (_, targets) in parts.items()}
        self._ends = np.cumsum([len(targets) for targets in self._targets.values()])

    def measure(self, predict: Callable[[], npt.NDArray[Any]]) -> None:
        """Measure an epoch; a net that ran away predicts nothing, and is scored so."""
        outputs = np.split(np.nan_to_num(predict()), self._ends[:-1])
        for (part, targets), predicted in zip(self._targets.items(), outputs, strict=True):
            for name, value in measured(predicted, targets, self._metric, calibration=part == "test").items():
                self.curve.setdefault(f"{part}_{name}", []).append(round(value, 4))


def measured(
    outputs: npt.NDArray[Any], targets: npt.NDArray[Any], metric: str, *, calibration: bool
) -> dict[str, float]:
    """Return the scores of one part by name."""
    if metric == "mae":
        errors = outputs[:, 0].astype(np.float64) - targets
        return {"mae": float(np.abs(errors).mean()), "mse": float((errors**2).mean())}
    scores = class_scores(outputs, targets, from_logits=False)
    return {**scores, **({"ece": calibration_error(outputs, targets)} if calibration else {})}


def calibration_error(probabilities: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Return the expected calibration error: mean distance of confidence and accuracy over equal bins.

    References:
        Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    off = np.bincount(bins, weights=hits - confidence, minlength=N_BINS)
    return float(np.abs(off).sum() / len(labels))
