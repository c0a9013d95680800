"""What a running job tells: plain frozen records that come up from the engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.foreign import safe_line, safe_text


@dataclass(frozen=True, slots=True)
class Started:
    """A job's model is built and its data are loaded.

    Attributes:
        n_resumed: Epochs that come from a checkpoint: they are told once more and not trained.
        unused: Hyperparameters that were drawn and that this model has not asked for.
    """

    trial: int
    n_parameters: int
    n_resumed: int = 0
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckpointSkipped:
    """A job could not store what it has come to, for this reason, and trains on."""

    trial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A job found something that its user should know, in a sentence without its full stop, and trains on."""

    trial: int
    note: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The user's ``fit`` returned numbers, by their names; a plain one is called ``returned``."""

    trial: int
    values: Mapping[str, float]


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

    def __post_init__(self) -> None:
        # Here, before it goes up a pipe: what a model raises or prints may be of any length.
        object.__setattr__(self, "reason", safe_line(self.reason))
        object.__setattr__(self, "detail", safe_text(self.detail))


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job whose end was asked for has ended: nothing of it runs any more."""

    trial: int


TrialEvent: TypeAlias = (
    Started | CheckpointSkipped | Noted | Returned | EpochDone | Finished | Failed | Cancelled
)
