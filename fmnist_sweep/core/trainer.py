"""What the engines know of a trainer. No Keras here, so the parent process and fast tests can import it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import CheckpointSkipped, Noted, Returned, Started
from fmnist_sweep.core.places import PlacedJob


class Trainer(Protocol):
    """Trains one job epoch by epoch."""

    def fit(self, job: PlacedJob) -> Iterator[Started | CheckpointSkipped | Noted | Returned | EpochScores]:
        """Train a job; nothing happens until the first value is asked for.

        Args:
            job: All that decides the result: equal jobs give equal scores.

        Yields:
            `Started` once the model is built and the data are loaded, then `EpochScores` after each of
            the ``job.epochs`` epochs, counted from 0; `CheckpointSkipped` before those that were not
            stored, and `Noted` where the user should know something,
            `Returned` where their own ``fit`` returned numbers.

        Raises:
            TrialError: The job failed in a way that a sweep survives.
        """
        ...
