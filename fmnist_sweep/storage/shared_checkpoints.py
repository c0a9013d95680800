"""The checkpoints of a study's trials in a folder that the nodes share, as the parent process sees them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from typing_extensions import override

from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.storage.checkpoints import MAX_FINISHED_BYTES, CheckpointFolder, finished_name

_UNFINISHED: Final = re.compile(r"\.?trial-(\d+)\.(checkpoint|npz)(-.*\.part)?")
"""A checkpoint, or weights that its trial keeps, or one of them that was being written."""

_PAUSE_S: Final = 60.0
"""For how long a folder that fails is left alone: nobody is to wait for each file of a silent store."""


class SharedCheckpoints(CheckpointFolder):
    """Checkpoints in a shared folder, which nodes write and read; and those of runs without it, beside them.

    Nodes put beside a checkpoint the weights that its trial keeps, which whoever goes on from it needs. What
    is removed or renamed is so in the background, in its order: a search is not to wait for an object store.

    Args:
        shared: The study's own folder.
        path: As in `CheckpointFolder`: a trial that has no checkpoint in the shared one goes on from there.
        max_finished_bytes: As in `CheckpointFolder`.
    """

    def __init__(
        self, shared: SharedFolder, path: Path, *, max_finished_bytes: int = MAX_FINISHED_BYTES
    ) -> None:
        super().__init__(path, max_finished_bytes=max_finished_bytes)
        self._shared = shared
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._again_at = 0.0
        # What is not known is not there.
        self._there: set[str] = set()
        with _tried_again_later():
            self._there |= shared.sizes().keys()

    @override
    def remove(self, trial: int) -> None:
        super().remove(trial)
        for name in (self.key(trial), f"trial-{trial}.npz"):
            self._there.discard(name)
            self._later(partial(self._shared.remove, name))

    @override
    def finish(self, job: TrialJob) -> None:
        super().finish(job)
        name = finished_name(job)
        self._there.add(name)
        self._later(partial(self._finish, self.key(job.trial), name))

    def _finish(self, name: str, finished: str) -> None:
        self._shared.rename(name, finished)
        sizes = {n: size for n, size in self._shared.sizes().items() if n.startswith("finished-")}
        excess = sum(sizes.values()) - self._max_finished_bytes
        for old, size in sizes.items():
            if excess <= 0:
                break
            excess -= size
            self._shared.remove(old)

    @override
    def go_on(self, job: TrialJob) -> bool:
        name = finished_name(job)
        if self.key(job.trial) in self._there:
            return False
        if name in self._there:
            self._there.discard(name)
            with _tried_again_later():
                # In its turn: that one may be about to get its name.
                if self._worker.submit(self._shared.rename, name, self.key(job.trial)).result():
                    return True
        return super().go_on(job)

    @override
    def keep(self, trials: Collection[int]) -> None:
        super().keep(trials)
        for name in self._there.copy():
            found = _UNFINISHED.fullmatch(name)
            if found is not None and (int(found[1]) not in trials or found[3]):
                self._there.discard(name)
                self._later(partial(self._shared.remove, name))

    @override
    def size(self) -> int:
        return super().size() + sum(size for name, size in self._listed().items() if _is_checkpoint(name))

    @override
    def holds(self) -> str:
        names = self._listed()
        kinds = {
            "unfinished": any(map(_UNFINISHED.fullmatch, names)),
            "finished": any(name.startswith("finished-") for name in names),
        }
        return " and ".join(kind for kind, there in kinds.items() if there) or super().holds()

    @override
    def __str__(self) -> str:
        return str(self._shared)

    def _listed(self) -> dict[str, int]:
        """Return the sizes of what there is, once all that was to be removed is gone."""
        with _tried_again_later():
            return self._worker.submit(self._shared.sizes).result()
        return {}

    def _later(self, act: Callable[[], object]) -> None:
        def tried() -> None:
            if time.monotonic() < self._again_at:
                return
            try:
                act()
            except OSError:
                self._again_at = time.monotonic() + _PAUSE_S

        self._worker.submit(tried)


def _is_checkpoint(name: str) -> bool:
    return name.startswith("finished-") or _UNFINISHED.fullmatch(name) is not None


@contextmanager
def _tried_again_later() -> Iterator[None]:
    # What can't be removed now is tried again at the start of the next run.
    with suppress(OSError):
        yield
