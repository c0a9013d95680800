"""Learning curves: the scores of each epoch of a trial, as plain frozen records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import MetricNotRecordedError, TrialError

FloatArray: TypeAlias = npt.NDArray[np.float64]

SCORE_DECIMALS: Final = 6
"""Scores are rounded once, where they are measured, so that stored and live numbers are the same."""


@dataclass(frozen=True, slots=True)
class EpochScores:
    """The four scores of one epoch, all measured after it with dropout off.

    Attributes:
        epoch: Counted from 0; the step under which Optuna stores the epoch's score.
        train_accuracy: Fraction in [0, 1] on the probe, the fixed training images.
        train_cross_entropy: Mean negative log likelihood on the probe, in nats, without the L2 term.
        val_accuracy: Fraction in [0, 1] on the validation images.
        val_cross_entropy: As ``train_cross_entropy``, on the validation images.
        seconds: Wall-clock time of the epoch's training and measuring.
        running_accuracy: What Keras's ``fit`` logs as ``accuracy``: the mean over the epoch's batches, each
            seen by the model as it was before it learned from that batch, dropout on. None unless the job
            asked for it.
    """

    epoch: int
    train_accuracy: float
    train_cross_entropy: float
    val_accuracy: float
    val_cross_entropy: float
    seconds: float = 0.0
    running_accuracy: float | None = None

    def require_finite(self) -> None:
        """Raise `TrialError` when a score is NaN or infinite: Optuna would store either without a reason."""
        for name in METRICS:
            value = getattr(self, name)
            if not math.isfinite(value):
                raise TrialError(f"{name} is {value} after epoch {self.epoch + 1}: the training diverged")


RUNNING: Final = "running_accuracy"

METRICS: Final = tuple(f.name for f in fields(EpochScores) if f.name not in ("epoch", "seconds", RUNNING))


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
        return cls(tuple(EpochScores(epoch, *row) for epoch, row in enumerate(rows)))

    def values(self, metric: str) -> FloatArray:
        """Return one recorded quantity for each epoch.

        Args:
            metric: A name of `METRICS`, ``"seconds"``, or `RUNNING` where it was asked for.

        Returns:
            Shape ``(n_epochs,)``, float64.

        Raises:
            MetricNotRecordedError: No such quantity is recorded.
        """
        recorded = (*METRICS, *self._others)
        if metric not in recorded:
            raise MetricNotRecordedError(f"{metric!r} is not recorded; recorded are {', '.join(recorded)}")
        return np.array([getattr(scores, metric) for scores in self.epochs], dtype=np.float64)

    def to_attribute(self) -> dict[str, list[float]]:
        """Return the compact form that is stored with a trial; `from_attribute` reads it back."""
        return {name: [getattr(s, name) for s in self.epochs] for name in (*METRICS, *self._others)}

    @property
    def _others(self) -> tuple[str, ...]:
        """What is recorded beside the four scores; running means only where every epoch has one."""
        runs = bool(self.epochs) and all(s.running_accuracy is not None for s in self.epochs)
        return ("seconds", RUNNING) if runs else ("seconds",)

    @classmethod
    def from_attribute(cls, stored: Mapping[str, Sequence[float]]) -> LearningCurve:
        """Rebuild a curve from what `to_attribute` gave."""
        names = (*METRICS, "seconds", *((RUNNING,) if RUNNING in stored else ()))
        rows = zip(*(stored[name] for name in names), strict=True)
        return cls(tuple(EpochScores(epoch, *row) for epoch, row in enumerate(rows)))
