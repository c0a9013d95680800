"""What comes from the nodes and is kept on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import CheckpointSkipped, Failed, TrialEvent
from fmnist_sweep.core.files import content_of, new_file
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places, placed
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.parcels import unpack


class Arrivals:
    """Keeps checkpoints, weights and what final trainings hand over.

    Args:
        places: Where they go; what has no place is dropped.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def keep(self, job: TrialJob, message: Message) -> Iterator[TrialEvent]:
        """Keep a checkpoint and weights, and yield a `CheckpointSkipped` for each that can't be kept."""
        if message.checkpoint is not None:
            yield from _written(job, placed(job, self._places).checkpoint_file, message.checkpoint)
        if message.weights is not None:
            yield from _written(job, placed(job, self._places).weights_file, message.weights)

    def checkpoint_of(self, job: TrialJob) -> bytes | None:
        """Return the last checkpoint of a job that was kept here; None where there is none."""
        return content_of(placed(job, self._places).checkpoint_file)

    def delivered(self, job: TrialJob, message: Message) -> TrialEvent:
        """Keep what a job hands over, and return its last event: a failure where it can't be kept."""
        folder = placed(job, self._places).delivery_folder
        if message.delivery is not None and folder is not None:
            parcel, content = message.delivery
            try:
                unpack(parcel, content, folder)
            except (EngineError, OSError) as error:
                return Failed(job.trial, f"what it hands over can't be kept: {one_line(error)}")
        return message.event


def _written(job: TrialJob, file: Path | None, content: bytes) -> Iterator[TrialEvent]:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as stream:
            stream.write(content)
    except OSError as error:
        # It costs what was to be kept, not the trial.
        yield CheckpointSkipped(job.trial, error.strerror or str(error))
