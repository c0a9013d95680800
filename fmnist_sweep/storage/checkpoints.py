"""The checkpoints of a study's trials, as the parent process sees them: where, how much, when gone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fmnist_sweep.core.jobs import TrialJob, job_identity

_NAME: Final = re.compile(r"\.?trial-(\d+)\.checkpoint(-.*\.part)?")
"""A checkpoint, or one that was being written when its process was killed."""

MAX_FINISHED_BYTES: Final = 256 * 2**20
"""What the checkpoints of finished trials may take together: seventy of the default dense net."""


def finished_name(job: TrialJob) -> str:
    """Return the name of the checkpoint that jobs like one finish with, whatever their numbers of epochs."""
    # The trainer knows more of what decides: the file says so itself, and is refused where it differs.
    return f"finished-{job_identity(job, software=())[:32]}.checkpoint"


class CheckpointFolder:
    """One file for each trial that has begun and not ended, and those of finished ones worth going on from.

    Args:
        path: As `opening.side_folder` gives it; made when the first checkpoint is written.
        max_finished_bytes: Limit on the files of finished trials; those that were kept first go first.
    """

    def __init__(self, path: Path, *, max_finished_bytes: int = MAX_FINISHED_BYTES) -> None:
        self.path = path
        self._max_finished_bytes = max_finished_bytes

    def key(self, trial: int) -> str:
        """Return the name under which a trial's job knows its checkpoint, on whatever machine."""
        return f"trial-{trial}.checkpoint"

    def file(self, trial: int) -> Path:
        """Return where a trial's checkpoint is, or will be."""
        return self.path / self.key(trial)

    def remove(self, trial: int) -> None:
        """Forget a trial that has ended, and what its processes were writing when they were killed."""
        for path in [self.file(trial), *self.path.glob(f".{self.file(trial).name}-*.part")]:
            self._remove(path)

    def finish(self, job: TrialJob) -> None:
        """Keep the checkpoint of a job that was trained to its end, for a longer one to `go_on` from."""
        with suppress(OSError):
            self.file(job.trial).replace(self._finished(job))
        files = sorted(self.path.glob("finished-*.checkpoint"), key=lambda path: path.stat().st_mtime_ns)
        excess = sum(path.stat().st_size for path in files) - self._max_finished_bytes
        for path in files:
            if excess <= 0:
                break
            excess -= path.stat().st_size
            self._remove(path)

    def go_on(self, job: TrialJob) -> bool:
        """Give a job the checkpoint that one like it finished with, whatever their numbers of epochs.

        Returns:
            Whether there was one. A job that has a checkpoint of its own keeps that.
        """
        if self.file(job.trial).exists():
            return False
        try:
            # Moved, not copied: what comes of the longer job takes its place.
            self._finished(job).replace(self.file(job.trial))
        except OSError:
            return False
        return True

    def keep(self, trials: Collection[int]) -> None:
        """Remove what unfinished trials left but for these: a process that was killed cleans up nothing."""
        wanted = {self.file(trial) for trial in trials}
        for path in self._unfinished():
            if path not in wanted:
                self._remove(path)

    def size(self) -> int:
        """Return the number of bytes that the checkpoints take."""
        return sum(
            path.stat().st_size for path in [*self._unfinished(), *self.path.glob("finished-*.checkpoint")]
        )

    def holds(self) -> str:
        """Return in words whose checkpoints there are."""
        kinds = {
            "unfinished": any(self._unfinished()),
            "finished": any(self.path.glob("finished-*.checkpoint")),
        }
        return " and ".join(kind for kind, there in kinds.items() if there)

    def __str__(self) -> str:
        return str(self.path)

    def _finished(self, job: TrialJob) -> Path:
        return self.path / finished_name(job)

    def _unfinished(self) -> Iterator[Path]:
        if self.path.is_dir():
            yield from (path for path in self.path.iterdir() if _NAME.fullmatch(path.name))

    def _remove(self, path: Path) -> None:
        # What can't be removed now is tried again at the start of the next run.
        with suppress(OSError):
            path.unlink()
