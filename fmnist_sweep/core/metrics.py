"""What is measured: the one place that knows each metric's direction, its unit and how it is had."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from fmnist_sweep.core.errors import MetricNotRecordedError, did_you_mean
from fmnist_sweep.core.wording import Unit

Direction: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that is measured after each epoch, on the train probe and on the validation part alike.

    Attributes:
        name: As scores and sweep files name it; the stored scores are ``train_NAME`` and ``val_NAME``.
        direction: ``"max"`` where more is better, ``"min"`` where less is.
        unit: How it is shown.
        of: What it is made of: the model's outputs and the labels, what Keras logs, or a user's function.
        largest: No value, and no gap, is larger in size.
        step: A small change of a gap, in the unit that is shown, for a slider.
    """

    name: str
    direction: Direction
    unit: Unit
    of: Literal["outputs", "keras", "function"] = "outputs"
    largest: float = math.inf
    step: float = 0.01

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is: a value times its sign is better when it is larger.

        The generalization gap is ``sign * (train - val)``: positive is overfitting, whatever the metric.
        """
        return 1 if self.direction == "max" else -1


METRICS_BY_NAME: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "max", Unit("accuracy", 100.0, "%", "points", 2), largest=1.0, step=0.1),
        # Keras clips probabilities at 1e-7.
        Metric(
            "cross_entropy",
            "min",
            Unit("cross_entropy", 1.0, "nats", "nats", 4),
            largest=-math.log(1e-7),
            step=0.005,
        ),
    )
}

_MORE_IS_BETTER: Final = frozenset(
    {"acc", "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"}
    | {"top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy", "balanced_accuracy", "auc"}
    | {"average_precision", "precision", "recall", "precision_at_recall", "recall_at_precision"}
    | {"sensitivity_at_specificity", "specificity_at_sensitivity", "true_positives", "true_negatives"}
    | {"f1", "f1_score", "fbeta_score", "r2", "r2_score", "concordance_correlation", "pearson_correlation"}
    | {"iou", "io_u", "binary_io_u", "mean_io_u", "one_hot_io_u", "one_hot_mean_io_u"}
)
_LESS_IS_BETTER: Final = frozenset(
    {"loss", "crossentropy", "cross_entropy", "ce", "log_loss", "brier", "binary_crossentropy"}
    | {"categorical_crossentropy", "sparse_categorical_crossentropy", "binary_focal_crossentropy"}
    | {"categorical_focal_crossentropy", "kl_divergence", "kullback_leibler_divergence", "poisson"}
    | {"mae", "mse", "rmse", "mape", "msle", "mean_absolute_error", "mean_squared_error", "huber"}
    | {"root_mean_squared_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"}
    | {"log_cosh", "logcosh", "hinge", "squared_hinge", "categorical_hinge", "dice", "tversky", "circle"}
    | {"false_positives", "false_negatives", "ctc"}
)
_NUMBERED: Final = re.compile(r"_\d+$")


def is_function(name: str) -> bool:
    """Return whether a metric is a function of the user's own, ``"package.module:function"``."""
    return ":" in name


RETURNED: Final = "returned"
"""The metric that is what a user's ``fit`` returns; ``"returned.KEY"`` is a value of the mapping it is."""


def is_returned(name: str) -> bool:
    """Return whether a metric is a value that ``fit`` returns.

    Example:
        >>> [is_returned(name) for name in ("returned", "returned.gain", "gain")]
        [True, True, False]
    """
    return name == RETURNED or name.startswith(f"{RETURNED}.")


def returned_key(name: str) -> str:
    """Return the name that a returned metric has among what ``fit`` returns.

    Example:
        >>> returned_key("returned.gain"), returned_key("returned")
        ('gain', 'returned')
    """
    return name.removeprefix(f"{RETURNED}.")


def measured_metric(name: str) -> str:
    """Return what is measured where a metric is scored: of what ``fit`` returns, the loss.

    Example:
        >>> measured_metric("returned"), measured_metric("mae")
        ('loss', 'mae')
    """
    return "loss" if is_returned(name) else name


def inferred_direction(name: str) -> Direction | None:
    """Return whether more or less of a metric is better, as its name tells; None where it does not.

    Names are those that Keras logs, their class names too, in any case; of a model with several outputs the
    output's name may stand before. F-scores are better when they are larger, which KerasTuner 1.4 has wrong.

    Args:
        name: With ``val_``, ``train_`` or ``weighted_`` before it or without. Of an import path the name of
            the function tells, where it is one of these names and no more.

    Example:
        >>> [inferred_direction(name) for name in ("val_kind_accuracy", "MeanSquaredError", "score")]
        ['max', 'min', None]
    """
    if is_function(name):
        alone = name.rpartition(":")[2].rpartition(".")[2]
        return inferred_direction(alone) if alone in (_MORE_IS_BETTER | _LESS_IS_BETTER) else None
    if name == RETURNED:
        # As KerasTuner takes a number: it is the objective itself.
        return "min"
    name = returned_key(name)
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    for before in ("val_", "train_", "weighted_"):
        plain = plain.removeprefix(before)
    plain = _NUMBERED.sub("", plain)
    parts = plain.split("_")
    # The output's name is cut off, a word at a time.
    for start in range(len(parts)):
        rest = "_".join(parts[start:])
        if rest in _MORE_IS_BETTER:
            return "max"
        if rest in _LESS_IS_BETTER:
            return "min"
    return None


_SHARES_OF_RIGHT: Final = re.compile(
    r"(?:\w+_)?(?:acc|(?:(?:binary|categorical|sparse_categorical|top_k_categorical|"
    r"sparse_top_k_categorical)_)?accuracy)(?:_\d+)?"
)


def is_share_of_right(name: str) -> bool:
    """Return whether a metric is the share of examples that a model gets right.

    Of an output's name before it nothing is asked; a balanced accuracy is a mean over classes, and no share.

    Example:
        >>> [is_share_of_right(name) for name in ("accuracy", "kind_acc", "balanced_accuracy", "auc")]
        [True, True, False, False]
    """
    return _SHARES_OF_RIGHT.fullmatch(name) is not None and "balanced_accuracy" not in name


def metric_of(name: str, direction: Direction | None = None) -> Metric:
    """Return the metric of a name: one of ours, or one that a model was compiled with.

    Args:
        name: Without ``val_``.
        direction: Goes before what the name tells.

    Raises:
        MetricNotRecordedError: The name tells no direction, and none is given.

    Example:
        >>> metric_of("cross_entropy").direction, metric_of("mae").direction, metric_of("gain", "max").sign
        ('min', 'min', 1)
    """
    known = METRICS_BY_NAME.get(name)
    if known is not None:
        return known if direction in (None, known.direction) else replace(known, direction=direction)
    direction = inferred_direction(name) if direction is None else direction
    if direction is None and is_function(name):
        raise MetricNotRecordedError(
            f'whether more or less of {name!r} is better is not known: set score.direction to "max" or "min"'
        )
    if direction is None:
        near = did_you_mean(name, {*METRICS_BY_NAME, *_MORE_IS_BETTER, *_LESS_IS_BETTER})
        raise MetricNotRecordedError(
            f"whether more or less of {name!r} is better is not known{near or '.'} If the model has one of "
            'that name, set score.direction to "max" or "min"'
        )
    return Metric(name, direction, _unit(name), of="function" if is_function(name) else "keras")


def _unit(name: str) -> Unit:
    if name in METRICS_BY_NAME:
        return METRICS_BY_NAME[name].unit
    if name.lower().endswith("accuracy") and not is_function(name):
        return Unit(name, 100.0, "%", "points", 2)
    return Unit(name, 1.0, "", "", 4)


class _Units(dict[str, Unit]):
    """The unit of each metric; one that is not listed has its own."""

    def __missing__(self, name: str) -> Unit:
        return _unit(name)


UNITS: Final[Mapping[str, Unit]] = _Units({name: metric.unit for name, metric in METRICS_BY_NAME.items()})
"""The unit of each metric, by its name, whatever the metric."""
