"""Frozen records that travel between the layers: jobs go down to the engines, scores come up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.errors import MetricNotRecordedError, TrialError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Scalar: TypeAlias = bool | int | float | str
Hyperparameters: TypeAlias = Mapping[str, Scalar]

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


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How the training images are parted into train and validation.

    Attributes:
        n_val: Number of validation images.
        seed: None takes the first ``n_val`` images, as the report did; an integer reshuffles,
            stratified by class.
        train_size: Number of training images to keep, stratified by class; None keeps all.
    """

    n_val: int = 5000
    seed: int | None = None
    train_size: int | None = None


@dataclass(frozen=True, slots=True)
class DataRef:
    """Where a verified data set lies on this machine: what a training process needs to open it.

    Attributes:
        name: ``"fashion-mnist"``, or what the user called their own.
        directory: Folder of the memory-mapped files.
        digest: SHA-256 over the uncompressed content; same digest, same data.
        input_shape: Shape of one image with its channel axis, such as ``(28, 28, 1)``.
        class_names: One for each label ``0 .. n_classes - 1``.
        n_train: Number of training images before the split.
    """

    name: str
    directory: str
    digest: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    n_train: int

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class TrialJob:
    """All that decides a trial's result, as plain data that can go to any engine.

    Two runs of equal jobs on one machine give the same curve bit for bit, and one of more epochs begins with
    the curve of one of fewer.

    Attributes:
        trial: The trial's number in its study; does not decide the result.
        model: Import path of a KerasTuner HyperModel, ``"package.module:Class"``.
        hyperparameters: The complete set; what it leaves out takes the HyperModel's default.
        epochs: Number of epochs to train.
        seed: Decides initial weights, dropout, augmentation and the order of the images.
        data: The data set.
        split: Its train/validation split.
        n_probe: Number of training images that measure the train scores.
        batch_size: Images in a step where the hyperparameters name no ``batch_size``.
        checkpoint: File that keeps the job's progress and that the job goes on from; None keeps none. Does
            not decide the result.
        save_to: Folder that gets what the job trained: the model, its predictions and its source; None keeps
            nothing. Does not decide the result.
        running_metrics: Whether each epoch also tells Keras's running mean of the training accuracy.
        exact_steps: Whether each step runs the operations of Keras's ``fit``, bit for bit, rather than a
            faster kernel that rounds otherwise.
    """

    trial: int
    model: str
    hyperparameters: Hyperparameters
    epochs: int
    seed: int
    data: DataRef
    split: SplitSpec = field(default_factory=SplitSpec)
    n_probe: int = 10_000
    batch_size: int = 32
    checkpoint: str | None = None
    save_to: str | None = None
    running_metrics: bool = False
    exact_steps: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", MappingProxyType(dict(self.hyperparameters)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy can't be pickled, and jobs travel to other processes.
        values = [getattr(self, f.name) for f in fields(self)]
        values[2] = dict(self.hyperparameters)
        return type(self), tuple(values)


@dataclass(frozen=True, slots=True)
class Started:
    """A job's model is built and its data are loaded.

    Attributes:
        n_resumed: Epochs that come from a checkpoint: they are told once more and not trained.
    """

    trial: int
    n_parameters: int
    n_resumed: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointSkipped:
    """A job could not store what it has come to, for this reason, and trains on."""

    trial: int
    reason: str


@dataclass(frozen=True, slots=True)
class EpochDone:
    """A job finished an epoch.

    Attributes:
        peak_memory_mb: The largest resident size of the job's process so far, in MiB; None where the job has
            no process of its own.
    """

    trial: int
    scores: EpochScores
    peak_memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A job trained all its epochs."""

    trial: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended without its result.

    Attributes:
        trial: The trial's number.
        reason: One line.
        detail: More, such as the end of what the job printed.
        died: Whether the process ended before the job told why: the same job may well succeed when it is
            run again. What a job reports itself, it would report again.
    """

    trial: int
    reason: str
    detail: str = ""
    died: bool = False


Event: TypeAlias = Started | CheckpointSkipped | EpochDone | Finished | Failed
