"""Learning curves: the scores of each epoch of a trial, as plain frozen records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import MetricNotRecordedError, TrialError

FloatArray: TypeAlias = npt.NDArray[np.float64]

SCORE_DECIMALS: Final = 6
"""Scores are rounded once, where they are measured, so that stored and live numbers are the same."""


@dataclass(frozen=True, slots=True)
class EpochScores:
    """The scores of one epoch, all measured after it with dropout off. Nobody changes its mappings.

    Attributes:
        epoch: Counted from 0; the step under which Optuna stores the epoch's score.
        train: Each metric on the probe, the fixed training images, by its name. Accuracy is a fraction in
            [0, 1]; cross-entropy is the mean negative log likelihood, in nats, without the L2 term.
        val: The same metrics on the validation images.
        seconds: Wall-clock time of the epoch's training and measuring.
        running: What Keras's ``fit`` logs while it trains: the mean over the epoch's batches, each seen by
            the model as it was before it learned from that batch, dropout on. Empty unless the job asked
            for it.
    """

    epoch: int
    train: Mapping[str, float]
    val: Mapping[str, float]
    seconds: float = 0.0
    running: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_classes(  # noqa: PLR0917 - in the order in which they are stored
        cls,
        epoch: int,
        train_accuracy: float,
        train_cross_entropy: float,
        val_accuracy: float,
        val_cross_entropy: float,
        seconds: float = 0.0,
    ) -> Self:
        """Return the scores of a model that tells classes apart."""
        train = {"accuracy": train_accuracy, "cross_entropy": train_cross_entropy}
        val = {"accuracy": val_accuracy, "cross_entropy": val_cross_entropy}
        return cls(epoch, train, val, seconds)

    def by_name(self) -> dict[str, float]:
        """Return the scores by the names under which they are stored, such as ``"val_accuracy"``."""
        parts = (("train", self.train), ("val", self.val))
        return {f"{part}_{name}": value for part, scores in parts for name, value in scores.items()}

    def require_finite(self) -> None:
        """Raise `TrialError` if a score is NaN or infinite: Optuna would store either without a reason."""
        for name, value in self.by_name().items():
            if not math.isfinite(value):
                raise TrialError(f"{name} is {value} after epoch {self.epoch + 1}: the training diverged")


METRICS: Final = tuple(EpochScores.of_classes(0, 0.0, 0.0, 0.0, 0.0).by_name())
"""The stored scores of a model that tells classes apart."""

_PARTS: Final = ("train", "val", "running")


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Train and validation scores of one trial, epochs in order from 0.

    Raises:
        ValueError: Epochs are not 0, 1, 2, ...

    Example:
        >>> curve = LearningCurve.from_scores(train=[0.70, 0.90], val=[0.68, 0.80])
        >>> curve.values("val_accuracy").tolist()
        [0.68, 0.8]
    """

    epochs: tuple[EpochScores, ...]

    def __post_init__(self) -> None:
        numbers = [scores.epoch for scores in self.epochs]
        if numbers != list(range(len(numbers))):
            raise ValueError(f"epochs of a learning curve must be 0, 1, 2, ...; got {numbers}")

    def __len__(self) -> int:
        return len(self.epochs)

    @classmethod
    def from_scores(
        cls,
        *,
        train: Sequence[float],
        val: Sequence[float],
        train_cross_entropy: Sequence[float] | None = None,
        val_cross_entropy: Sequence[float] | None = None,
    ) -> LearningCurve:
        """Build a curve from lists of equal length; cross-entropies default to ``1 - accuracy``."""
        train_ce = [1 - a for a in train] if train_cross_entropy is None else train_cross_entropy
        val_ce = [1 - a for a in val] if val_cross_entropy is None else val_cross_entropy
        rows = zip(train, train_ce, val, val_ce, strict=True)
        return cls(tuple(EpochScores.of_classes(epoch, *row) for epoch, row in enumerate(rows)))

    def values(self, metric: str) -> FloatArray:
        """Return one recorded quantity for each epoch.

        Args:
            metric: ``"train_NAME"`` or ``"val_NAME"`` of a measured metric, ``"seconds"``, or
                ``"running_NAME"`` where it was asked for.

        Returns:
            Shape ``(n_epochs,)``, float64.

        Raises:
            MetricNotRecordedError: No such quantity is recorded, or not for every epoch.
        """
        column = self._column(metric)
        if column is None:
            raise _not_recorded(metric, self.to_attribute())
        return np.array(column, dtype=np.float64)

    def _column(self, metric: str) -> list[float] | None:
        """Return one quantity for each epoch; None if an epoch lacks it."""
        if metric == "seconds":
            return [scores.seconds for scores in self.epochs]
        part, _, name = metric.partition("_")
        if part not in _PARTS or not (self.epochs or metric in METRICS):
            return None
        try:
            return [getattr(scores, part)[name] for scores in self.epochs]
        except KeyError:
            return None

    def to_attribute(self) -> dict[str, list[float]]:
        """Return the compact form that is stored with a trial; `from_attribute` reads it back.

        It holds what every epoch has: train scores, validation scores, seconds, running means.
        """
        if not self.epochs:
            return {name: [] for name in (*METRICS, "seconds")}
        return {
            **_columns("train", [scores.train for scores in self.epochs]),
            **_columns("val", [scores.val for scores in self.epochs]),
            "seconds": [scores.seconds for scores in self.epochs],
            **_columns("running", [scores.running for scores in self.epochs]),
        }

    @classmethod
    def from_attribute(cls, stored: Mapping[str, Sequence[float]]) -> LearningCurve:
        """Rebuild a curve from what `to_attribute` gave, whatever metrics it holds.

        Raises:
            KeyError: A metric has train scores without validation scores, or the other way round; or the
                seconds are missing.
            ValueError: The lists have different lengths.
        """
        seconds = stored["seconds"]
        n = len(seconds)
        measured: dict[str, None] = {}
        ran: dict[str, Sequence[float]] = {}
        for key, column in stored.items():
            part, _, name = key.partition("_")
            if part == "running":
                ran[name] = column
            elif part in _PARTS:
                measured[name] = None
        train = _rows({name: stored[f"train_{name}"] for name in measured}, n)
        val = _rows({name: stored[f"val_{name}"] for name in measured}, n)
        return cls(tuple(map(EpochScores, range(n), train, val, seconds, _rows(ran, n))))


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """A curve as it is stored, a list for each quantity: what scores thousands of trials need no more of.

    Attributes:
        columns: What `LearningCurve.to_attribute` gives.
    """

    columns: Mapping[str, Sequence[float]]

    def __len__(self) -> int:
        return len(self.columns.get("seconds", ()))

    def values(self, metric: str) -> FloatArray:
        """Return one recorded quantity for each epoch, as `LearningCurve.values` does."""
        try:
            return np.array(self.columns[metric], dtype=np.float64)
        except KeyError:
            raise _not_recorded(metric, self.columns) from None


Curve: TypeAlias = LearningCurve | StoredColumns
"""Either form of a trial's curve."""


def _not_recorded(metric: str, recorded: Iterable[str]) -> MetricNotRecordedError:
    return MetricNotRecordedError(f"{metric!r} is not recorded; recorded are {', '.join(recorded)}")


def _columns(part: str, rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the values of each metric that all epochs have, by the name under which they are stored."""
    columns = {}
    for name in rows[0]:
        try:  # noqa: SIM105 - `contextlib.suppress` takes as long as a whole column
            columns[f"{part}_{name}"] = [row[name] for row in rows]
        except KeyError:
            pass
    return columns


def _rows(columns: Mapping[str, Sequence[float]], n: int) -> list[dict[str, float]]:
    """Return for each of ``n`` epochs the values of all metrics by their names."""
    if not columns:
        return [{}] * n
    rows: list[dict[str, float]] = [{} for _ in range(n)]
    # A loop over columns takes half the time of one over epochs, and studies have thousands of curves.
    for name, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    return rows
