"""Jobs of tests on this machine."""

from __future__ import annotations

from pathlib import Path

from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import PlacedJob, Places, placed


def placed_here(job: TrialJob, *, checkpoints: Path | None = None) -> PlacedJob:
    """Return a job as a trainer gets it; its data set is one that was opened here."""
    assert isinstance(job.data, DataRef)
    return placed(job, Places.of(job.data, checkpoints=checkpoints))
