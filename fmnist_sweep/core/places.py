"""Where on one machine lies what a job names: engines know it, and no job does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import DataKey, DataRef, TrialJob


@dataclass(frozen=True, slots=True)
class Places:
    """Where what a job names lies on one machine. An engine knows it, no job does.

    Attributes:
        data: Folders of data sets, by their digests.
        checkpoints: Folder of the checkpoints.
        deliveries: Folder of what final trainings hand over.
        code: Folders that modules of the user's are looked for in, in their order; without any, in the
            current one.
        weights: Folder of the weights that are kept.
    """

    data: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Path | None = None
    deliveries: Path | None = None
    code: tuple[Path, ...] = ()
    weights: Path | None = None

    @classmethod
    def of(
        cls,
        data: DataRef,
        *,
        checkpoints: Path | None = None,
        deliveries: Path | None = None,
        code: tuple[Path, ...] = (),
        weights: Path | None = None,
    ) -> Self:
        """Return the places of jobs that all train on one data set."""
        return cls({data.digest: data.directory}, checkpoints, deliveries, code, weights)


@dataclass(frozen=True, slots=True)
class PlacedJob(TrialJob):
    """A job on the machine that trains it.

    Attributes:
        places: Where what the job names lies.
    """

    places: Places = field(default_factory=Places)

    @property
    def data_ref(self) -> DataRef:
        """Where the job's data set lies.

        Raises:
            TrialError: It is not on this machine.
        """
        key = self.data
        directory = self.places.data.get(key.digest)
        if directory is None:
            raise TrialError(f"the data set {key.name} ({key.digest[:12]}) is not on this machine")
        return DataRef(**{f.name: getattr(key, f.name) for f in fields(DataKey)}, directory=directory)

    @property
    def checkpoint_file(self) -> Path | None:
        """The file of the job's checkpoint; None where it keeps none."""
        folder = self.places.checkpoints
        return None if folder is None or self.checkpoint is None else folder / self.checkpoint

    @property
    def weights_file(self) -> Path | None:
        """The file of the weights that are kept of the job; None where none are."""
        folder = self.places.weights
        return None if folder is None or self.keep is None else folder / self.keep.name

    @property
    def delivery_folder(self) -> Path | None:
        """The folder that gets what the job trained; None where nothing is kept."""
        folder = self.places.deliveries
        return None if folder is None or self.deliver_to is None else folder / self.deliver_to


def placed(job: TrialJob, places: Places) -> PlacedJob:
    """Return a job with what it names resolved, as a trainer gets it."""
    return PlacedJob(**{f.name: getattr(job, f.name) for f in fields(TrialJob)}, places=places)
