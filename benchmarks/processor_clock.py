"""The trainer with epochs timed by the processor, for `benchmarks.record` alone.

A recording takes hours, on a machine that may do other things meanwhile: what a training's own thread
computed is the same then, and on an idle machine it is the wall-clock time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import CheckpointSkipped, Noted, Returned, Started
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.training.trainer import KerasTrainer


class ProcessorClock:
    """Trains as `KerasTrainer` does; ``seconds`` are the processor's, the first epoch's hold the start."""

    def fit(self, job: PlacedJob) -> Iterator[Started | CheckpointSkipped | Noted | Returned | EpochScores]:
        """Train a job."""
        before = 0.0
        for step in KerasTrainer().fit(job):
            if isinstance(step, EpochScores):
                now = time.process_time()
                yield replace(step, seconds=round(now - before, 3))
                before = now
            else:
                yield step
