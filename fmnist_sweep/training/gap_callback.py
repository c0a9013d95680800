"""A callback that measures the epochs of a ``fit`` that somebody calls themselves."""

from __future__ import annotations

import time
from typing import Any, Final

import keras

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.training.epoch_measures import EpochMeasures, average_of_weights
from fmnist_sweep.training.measured_parts import parts_of

_LOGGED: Final = object()
"""Stands for what validates where ``fit`` alone knows it."""


class MeasuringCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
    """Measures each epoch after it, with dropout off, and hands its scores to `on_scores`.

    What it measures of the training stands in the history of the fit as well, as ``train_NAME``.

    Args:
        metric: What is scored, without ``val_``.
        given: Of the arguments of ``fit``: ``x``, ``y``, ``sample_weight``, ``validation_data`` and
            ``validation_split``. Where neither of the last two is there, the validation scores are those
            that ``fit`` logs.
        n_probe: At most so many rows of the training data are measured.
    """

    def __init__(self, metric: str, given: dict[str, Any], *, n_probe: int) -> None:
        super().__init__()
        is_logged = given.get("validation_data") is None and not given.get("validation_split")
        known = {**given, "validation_data": _LOGGED} if is_logged else given
        train, val = parts_of(known, n_probe=n_probe)
        self._measures = EpochMeasures(metric, train, None if is_logged else val, of_classes=False)
        self._began = 0.0
        self._n_measured = 0

    def on_scores(self, scores: EpochScores) -> None:
        """Take the scores of an epoch; epochs of several calls of ``fit`` are counted on."""

    @property
    def n_parameters(self) -> int | None:
        """Number of weights; None before the model is built."""
        model = self.model
        return int(model.count_params()) if model is not None and model.built else None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take the time."""
        del epoch, logs
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the epoch."""
        del epoch
        with average_of_weights(self.model):
            train, val = self._measures.scores(self.model, logs or {}, number=self._n_measured + 1)
        if logs is not None:
            # Keras's history comes after the callbacks that it is given, and keeps what they add.
            logs.update({f"train_{name}": value for name, value in train.items()})
        seconds = round(time.perf_counter() - self._began, 3)
        scores = EpochScores(self._n_measured, train, val, seconds)
        self._n_measured += 1
        self.on_scores(scores)
