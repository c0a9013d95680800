"""The files of a study's unfinished trials, as the parent process sees them: where, how much, when gone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"\.?trial-(\d+)\.checkpoint(-.*\.part)?")
"""A checkpoint, or one that was being written when its process was killed."""


class CheckpointFolder:
    """One file for each trial that has begun and not ended.

    Args:
        path: As `study.side_folder` gives it; made when the first checkpoint is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, trial: int) -> Path:
        """Return where a trial's checkpoint is, or will be."""
        return self.path / f"trial-{trial}.checkpoint"

    def remove(self, trial: int) -> None:
        """Forget a trial that has ended, and what its processes were writing when they were killed."""
        for path in [self.file(trial), *self.path.glob(f".{self.file(trial).name}-*.part")]:
            self._remove(path)

    def keep(self, trials: Collection[int]) -> None:
        """Remove what is not a checkpoint of these trials: a process that was killed cleans up nothing."""
        wanted = {self.file(trial) for trial in trials}
        for path in self._files():
            if path not in wanted:
                self._remove(path)

    def size(self) -> int:
        """Return the number of bytes that the checkpoints take."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> Iterator[Path]:
        if self.path.is_dir():
            yield from (path for path in self.path.iterdir() if _NAME.fullmatch(path.name))

    def _remove(self, path: Path) -> None:
        # What can't be removed now is tried again at the start of the next run.
        with suppress(OSError):
            path.unlink()
