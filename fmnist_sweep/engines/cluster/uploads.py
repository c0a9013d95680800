"""Checkpoints on their way from a node to the folder that nodes share, and from there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import CheckpointSkipped
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.shared_folder import TRY, SharedFolder
from fmnist_sweep.engines.cluster.messages import Message

_THREADS: Final = 4
"""Checkpoints that are written side by side: an object store answers late, and takes many."""


_MARK: Final = ".seen-by-all-"


def mark(shared: SharedFolder) -> str:
    """Put a file into a folder, by which nodes know that theirs is the same one, and return its name.

    Those of runs that were killed go: a study's folder is one run's at a time.

    Raises:
        EngineError: The folder can't be written.
    """
    name = f"{_MARK}{uuid.uuid4().hex}"
    try:
        for left in shared.sizes():
            if left.startswith((_MARK, TRY)):
                shared.remove(left)
        shared.write(name, b"the nodes of a run look for this file")
    except OSError as error:
        raise EngineError(f"checkpoint_storage {shared} can't be written: {error}") from error
    return name


def unmark(shared: SharedFolder, marker: str) -> None:
    """Remove the file that `mark` has put there."""
    with suppress(OSError):
        shared.remove(marker)


def trouble_with(shared: SharedFolder, marker: str) -> str:
    """Return in a line why a folder can't be used from this machine; empty where it can."""
    trouble = shared.trouble()
    if not trouble:
        try:
            seen = shared.read(marker) is not None
        except OSError as error:
            trouble = str(error)
        else:
            trouble = "" if seen else "it is another folder there, and not shared"
    return trouble and f"checkpoint_storage {shared} can't be used there: {trouble}"


def fetched(shared: SharedFolder, job: TrialJob, weights: Path | None) -> bytes | None:
    """Return the checkpoint that a job goes on from; None where none is shared.

    Args:
        shared: The folder.
        job: The job.
        weights: File that gets the weights which the trial had kept by then; None where it keeps none.

    Raises:
        OSError: The folder can't be read.
    """
    content = None if job.checkpoint is None else shared.read(job.checkpoint)
    if content is not None and job.keep is not None and weights is not None:
        kept = shared.read(job.keep.name)
        if kept is not None:
            weights.parent.mkdir(exist_ok=True)
            weights.write_bytes(kept)
    return content


class Uploads:
    """Writes what messages bring to a shared folder, while other trials are listened to.

    Beside its checkpoint lie the weights that a trial keeps: they are of an epoch that is not trained again
    where the trial goes on from the checkpoint. They go to the parent as well, which keeps them in the end.

    Args:
        shared: The folder.
        hand_on: Takes messages, less their checkpoints; called from other threads, too.
    """

    def __init__(self, shared: SharedFolder, hand_on: Callable[[Message], None]) -> None:
        self._shared = shared
        self._hand_on = hand_on
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="uploads")
        self._writing: dict[int, Future[None]] = {}

    def is_busy(self, trial: int) -> bool:
        """Return whether a trial's checkpoint before is still on its way."""
        before = self._writing.get(trial)
        return before is not None and not before.done()

    def send(self, job: TrialJob, message: Message, *, is_last: bool) -> None:
        """Write a message's checkpoint, and hand on the rest: at once, or its last once all is written.

        Args:
            job: The trial's job.
            message: With a checkpoint only where `is_busy` said no, but for the last.
            is_last: Whether it is the trial's last one.
        """
        bare = replace(message, checkpoint=None)
        before = self._writing.pop(job.trial, None)
        if is_last:
            self._threads.submit(self._end, job, message, bare, before)
            return
        self._hand_on(bare)
        if message.checkpoint is not None:
            before = self._threads.submit(self._write, job, message)
        if before is not None:
            self._writing[job.trial] = before

    def _end(self, job: TrialJob, message: Message, bare: Message, before: Future[None] | None) -> None:
        if before is not None:
            # Threads take up what was given first: it is written, or done.
            before.result()
        self._write(job, message)
        self._hand_on(bare)

    def _write(self, job: TrialJob, message: Message) -> None:
        try:
            # In this order: a checkpoint is never without the weights before it.
            if message.weights is not None and job.keep is not None:
                self._shared.write(job.keep.name, message.weights)
            if message.checkpoint is not None and job.checkpoint is not None:
                self._shared.write(job.checkpoint, message.checkpoint)
        except OSError as error:
            # It costs what was to be kept, not the trial.
            self._hand_on(Message(CheckpointSkipped(job.trial, str(error))))

    def close(self) -> None:
        """Let go, once what is being written is."""
        self._threads.shutdown(cancel_futures=True)
