"""What an epoch of somebody's ``model.fit`` came to: its metrics on what trains and on what validates.

Both are evaluated after the epoch with dropout off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from fmnist_sweep.core.curves import SCORE_DECIMALS
from fmnist_sweep.core.errors import TrialError, did_you_mean
from fmnist_sweep.core.metrics import is_function
from fmnist_sweep.data.trees import class_labels
from fmnist_sweep.training.measure import are_probabilities, class_scores
from fmnist_sweep.training.measured_parts import N_ROWS_AT_ONCE, Part
from fmnist_sweep.training.of_outputs import METRICS_OF_OUTPUTS, metric_of_outputs
from fmnist_sweep.training.own_metric import own_metric

_OF_CLASSES: Final = ("accuracy", "cross_entropy")


class EpochMeasures:
    """Measures the epochs of one model.

    Args:
        metric: What is scored, without ``val_``.
        train: The part of what trains.
        val: What validates; None takes what ``fit`` logs of it.
        of_classes: Whether accuracy and cross-entropy are wanted whatever the model was compiled with.
        folders: Where the module of a metric of the user's own is looked for.
    """

    def __init__(
        self,
        metric: str,
        train: Part,
        val: Part | None,
        *,
        of_classes: bool,
        folders: Sequence[Path] = (),
    ) -> None:
        self._metric = metric
        self._folders = folders
        self._train, self._val = train, val
        self._of_classes = of_classes
        self._from_logits: bool | None = None

    def scores(
        self, model: keras.Model, logs: Mapping[str, Any], *, number: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the train and the validation scores of an epoch that has just ended, by their metrics.

        Args:
            model: The model.
            logs: What Keras tells at the epoch's end.
            number: Of the epoch, from 1.

        Raises:
            TrialError: What is scored can't be measured, or is not finite.
        """
        wanted = self._metric
        train = self._evaluated(model, self._train)
        # Keras has evaluated what validates, unless the weights have since been replaced by their average.
        logged = {name: logs.get(f"val_{name}") for name in train}
        fresh = None in logged.values() or getattr(model.optimizer, "use_ema", False)
        val = self._evaluated(model, self._val) if fresh and self._val is not None else _plain(logged)
        penalty = _regularization(model)
        for part in (train, val):
            if "loss" in part:
                part["loss"] -= penalty
        missing = self._of_classes and any(name not in train for name in _OF_CLASSES)
        if wanted not in train or missing:
            self._add_of_outputs(model, train, val)
        if wanted not in val:
            raise TrialError(f"val_{wanted} is not known: fit has nothing that validates")
        kept = [name for name in train if name in val]
        finite = [n for n in kept if n == wanted or (np.isfinite(train[n]) and np.isfinite(val[n]))]
        for part, name in ((train, "train"), (val, "val")):
            if not np.isfinite(part[wanted]):
                raise TrialError(
                    f"{name}_{wanted} is {part[wanted]} after epoch {number}: the training diverged"
                )
        return (
            {name: round(train[name], SCORE_DECIMALS) for name in finite},
            {name: round(val[name], SCORE_DECIMALS) for name in finite},
        )

    def alone(self, model: keras.Model) -> dict[str, float]:
        """Return the scores of the part of what trains, whichever part that is.

        Raises:
            TrialError: What is scored can't be measured.
        """
        scores = self._evaluated(model, self._train)
        if "loss" in scores:
            scores["loss"] -= _regularization(model)
        if self._metric not in scores:
            self._add_of_outputs(model, scores, {})
        return scores

    def _evaluated(self, model: keras.Model, part: Part) -> dict[str, float]:
        told = model.evaluate(part.batches, steps=part.steps, verbose=0, return_dict=True)
        return _plain(told)

    def _add_of_outputs(self, model: keras.Model, train: dict[str, float], val: dict[str, float]) -> None:
        """Add what the model was not compiled with, from its outputs; the wanted metric must come of it."""
        wanted = self._metric
        alike = next((name for name in train if _plain_name(name) == _plain_name(wanted)), None)
        if alike is not None and wanted not in train:
            # Older code asks for val_auc where Keras logs val_AUC.
            for part in (train, val):
                if alike in part:
                    part[wanted] = part.pop(alike)
        if wanted in train and not self._of_classes:
            return
        parts = (self._train, self._val)
        if all(_has_plain_targets(part) for part in parts):
            train |= self._of_outputs(model, self._train)
            val |= self._of_outputs(model, self._val) if self._val is not None else {}
        if wanted not in train and is_function(wanted):
            raise TrialError(
                f"score.metric {wanted} takes one array of targets and one of outputs; what reaches "
                "model.fit here is a data set, or has several outputs: give arrays, or compile the model "
                "with that metric"
            )
        if wanted not in train:
            near = did_you_mean(wanted, train)
            raise TrialError(
                f"score.metric is {wanted!r}, which the model does not have{near} (it has "
                f"{', '.join(train)}); compile it with that metric, or score another, or 'returned.{wanted}' "
                "where fit returns it"
            )

    def _of_outputs(self, model: keras.Model, part: Part) -> dict[str, float]:
        outputs = np.asarray(model.predict(part.x, batch_size=N_ROWS_AT_ONCE, verbose=0))
        labels = class_labels(part.y)
        scores: dict[str, float] = {}
        if labels is not None and outputs.ndim == 2 and outputs.shape[1] > max(1, int(labels.max())):
            scores = class_scores(outputs, labels, from_logits=self._are_logits(model, outputs))
        if is_function(self._metric):
            scores[self._metric] = own_metric(self._metric, self._folders, part.y, outputs)
        if self._metric in METRICS_OF_OUTPUTS and self._metric not in scores:
            # Keras takes outputs for probabilities unless the loss says otherwise.
            logits = bool(getattr(model.loss, "from_logits", False))
            scores[self._metric] = metric_of_outputs(
                self._metric, np.asarray(part.y), outputs, from_logits=logits
            )
        return scores

    def _are_logits(self, model: keras.Model, outputs: Any) -> bool:
        if self._from_logits is None:
            told = getattr(model.loss, "from_logits", None)
            self._from_logits = not are_probabilities(outputs) if told is None else bool(told)
        return self._from_logits


def part_scores(
    model: keras.Model, part: Part, metric: str, *, folders: Sequence[Path] = ()
) -> dict[str, float]:
    """Return what a model was compiled with, on one part of the data, and the metric that is scored.

    Args:
        model: A compiled model.
        part: The data.
        metric: Name of the metric that is scored.
        folders: As for `EpochMeasures`.

    Raises:
        TrialError: What is scored can't be measured.
    """
    return EpochMeasures(metric, part, part, of_classes=False, folders=folders).alone(model)


def _has_plain_targets(part: Part | None) -> bool:
    return part is not None and part.is_arrays and not isinstance(part.y, Mapping | list | tuple)


def _plain_name(name: str) -> str:
    """Return a metric's name without its case and without the number that Keras gives to a second one."""
    return re.sub(r"_\d+$", "", name.lower())


def _plain(told: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in told.items() if value is not None and np.ndim(value) == 0}


def _regularization(model: keras.Model) -> float:
    """Return what the weights' regularizers add to the loss, in whichever part it is measured."""
    terms = [
        v.regularizer(v) for v in model.trainable_variables if getattr(v, "regularizer", None) is not None
    ]
    return float(sum(map(float, terms)))


@contextmanager
def average_of_weights(model: keras.Model) -> Iterator[None]:
    """Measure the average of the weights where that is what ``fit`` leaves in the model in the end.

    The optimizer's own end-of-training step puts it in; the training goes on from the weights as they were.
    """
    optimizer = model.optimizer
    if optimizer is None or not optimizer.use_ema:
        yield
        return
    raw = [variable.numpy() for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)
