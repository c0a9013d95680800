"""The weights that are kept of a study's best trials, as the parent process sees them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NAME: Final = re.compile(r"\.?trial-(\d+)\.npz(-.*\.part)?")
"""A file, or one that was being written when its process was killed."""


class WeightsFolder:
    """One file for each trial whose weights are kept; see `fmnist_sweep.core.kept`.

    Args:
        path: As `opening.side_folder` gives it; made when the first file is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def key(self, trial: int) -> str:
        """Return the name under which a trial's job knows its file, on whatever machine."""
        return f"trial-{trial}.npz"

    def file(self, trial: int) -> Path:
        """Return where a trial's weights are, or will be."""
        return self.path / self.key(trial)

    def keep(self, n: int, ranks: Mapping[int, Any], waiting: Collection[int] = ()) -> None:
        """Remove all files but those of the best trials, and of those that have not ended.

        Args:
            n: Of so many trials that have ended the files stay.
            ranks: Of the trials that may be among the best, the least is the best.
            waiting: Trials that have not ended.
        """
        files = list(self._files())
        ended = sorted({trial for trial, path in files if trial in ranks}, key=lambda trial: ranks[trial])
        wanted = {*ended[:n], *waiting}
        for trial, path in files:
            if trial not in wanted:
                # What can't be removed now is tried again with the next trial.
                with suppress(OSError):
                    path.unlink()

    def size(self) -> int:
        """Return the number of bytes that the files take."""
        return sum(path.stat().st_size for _, path in self._files())

    def _files(self) -> Iterator[tuple[int, Path]]:
        if self.path.is_dir():
            for path in self.path.iterdir():
                found = _NAME.fullmatch(path.name)
                if found is not None:
                    yield int(found[1]), path
