"""What comes from the nodes and is kept on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import CheckpointSkipped, Failed, TrialEvent
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
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
            yield from _written(job, self._checkpoint_file(job), message.checkpoint)
        if message.weights is not None:
            yield from _written(job, self._weights_file(job), message.weights)

    def checkpoint_of(self, job: TrialJob) -> bytes | None:
        """Return the last checkpoint of a job that was kept here; None where there is none."""
        file = self._checkpoint_file(job)
        try:
            return None if file is None else file.read_bytes()
        except OSError:
            return None

    def delivered(self, job: TrialJob, message: Message) -> TrialEvent:
        """Keep what a job hands over, and return its last event: a failure where it can't be kept."""
        folder = self._places.deliveries
        if message.delivery is not None and folder is not None and job.deliver_to is not None:
            parcel, content = message.delivery
            try:
                unpack(parcel, content, folder / job.deliver_to)
            except (EngineError, OSError) as error:
                return Failed(job.trial, f"what it hands over can't be kept: {one_line(error)}")
        return message.event

    def _checkpoint_file(self, job: TrialJob) -> Path | None:
        folder = self._places.checkpoints
        return None if folder is None or job.checkpoint is None else folder / job.checkpoint

    def _weights_file(self, job: TrialJob) -> Path | None:
        folder = self._places.weights
        return None if folder is None or job.keep is None else folder / job.keep.name


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
