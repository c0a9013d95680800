"""Jobs of tests on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import PlacedJob, Places, placed


def placed_here(job: TrialJob, *, checkpoints: Path | None = None) -> PlacedJob:
    """Return a job as a trainer gets it; its data set is one that was opened here."""
    assert isinstance(job.data, DataRef)
    return placed(job, Places.of(job.data, checkpoints=checkpoints))


class DeviceTrainer:
    """Tells the device that its process was given, as the number of weights, and stays for a while."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield what there is to see."""
        yield Started(job.trial, n_parameters=int(os.environ["CUDA_VISIBLE_DEVICES"]))
        time.sleep(float(job.hyperparameters["sleep_s"]))
        yield EpochScores.of_classes(0, 0.5, 0.5, 0.5, 0.5)
