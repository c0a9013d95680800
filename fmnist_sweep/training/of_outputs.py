"""Metrics by name that a model need not be compiled with: scikit-learn's, of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import TrialError

Array = npt.NDArray[Any]

METRICS_OF_OUTPUTS: Final = frozenset(
    {"auc", "average_precision", "f1", "balanced_accuracy", "log_loss", "brier"}
    | {"mae", "mse", "rmse", "r2", "mape", "accuracy"}
)
"""Names, with their directions in `fmnist_sweep.core.metrics`."""


def metric_of_outputs(name: str, y: Array, outputs: Array, *, from_logits: bool = False) -> float:
    """Return a metric of a model's outputs.

    Args:
        name: One of `METRICS_OF_OUTPUTS`.
        y: Targets: class numbers, one column a class, 0 and 1 (of several labels in a row the mean over the
            labels is taken), or real numbers.
        outputs: What the model gives for each: probabilities of classes, of the one class ``(n, 1)``, or
            real numbers.
        from_logits: Whether the outputs are logits where probabilities are spoken of above.

    Raises:
        TrialError: The metric is not defined for them, as an AUC of a single class is not, or an accuracy of
            real numbers.
    """
    # Imported here: seconds that trials of other metrics save.
    from scipy import special  # noqa: PLC0415
    from sklearn import metrics  # noqa: PLC0415

    try:
        if name in _OF_NUMBERS:
            return float(
                getattr(metrics, _OF_NUMBERS[name])(y.reshape(len(y), -1), outputs.reshape(len(y), -1))
            )
        outputs = outputs.reshape(len(outputs), -1)
        if from_logits:
            outputs = special.expit(outputs) if outputs.shape[1] == 1 else special.softmax(outputs, axis=1)
        return _of_classes(metrics, name, y, outputs)
    except (ValueError, IndexError) as error:
        raise TrialError(f"{name} can't be measured: {str(error).splitlines()[0]}") from error


_OF_NUMBERS: Final[Mapping[str, str]] = {
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "r2": "r2_score",
    "mape": "mean_absolute_percentage_error",
}


def _of_classes(metrics: Any, name: str, y: Array, outputs: Array) -> float:
    if (y != np.round(y)).any() or (outputs.shape[1] == 1 and not np.isin(y, (0, 1)).all()):
        wanted = "0 and 1" if outputs.shape[1] == 1 else "classes"
        raise ValueError(f"the targets are not {wanted}; of numbers score {', '.join(_OF_NUMBERS)}")
    if y.shape == outputs.shape and y.shape[1] > 1 and (y.sum(axis=1) != 1).any():
        # Several labels in a row, or none.
        columns = range(y.shape[1])
        return float(np.mean([_of_classes(metrics, name, y[:, [k]], outputs[:, [k]]) for k in columns]))
    if outputs.shape[1] == 1:
        labels, likely = y.reshape(-1).astype(np.int64), outputs[:, 0]
        predicted, shares = (likely >= 0.5).astype(np.int64), likely
    else:
        one_hot = y.ndim == 2 and y.shape[1] == outputs.shape[1]
        labels = y.argmax(axis=1) if one_hot else y.reshape(-1).astype(np.int64)
        predicted = outputs.argmax(axis=1)
        shares = outputs[:, 1] if outputs.shape[1] == 2 else outputs
    several = shares.ndim == 2
    ways: Mapping[str, Callable[[], Any]] = {
        "accuracy": lambda: metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(labels, predicted),
        "f1": lambda: metrics.f1_score(labels, predicted, average="macro" if several else "binary"),
        "auc": lambda: metrics.roc_auc_score(labels, shares, **({"multi_class": "ovr"} if several else {})),
        "average_precision": lambda: metrics.average_precision_score(labels, shares),
        "log_loss": lambda: metrics.log_loss(labels, shares),
        "brier": lambda: metrics.brier_score_loss(labels, shares),
    }
    return float(ways[name]())
