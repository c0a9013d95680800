"""The lock of a study on one machine: a file that ends to be locked with the process that locked it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.storage.lease.process import Owner, busy

_LOCK: Final = "lock"

_HELD_BY_ANOTHER: Final = (errno.EAGAIN, errno.EACCES)

_N_TRIES: Final = 100

_NAMED_WITHIN_S: Final = 1.0


@contextmanager
def study_lock(folder: Path, study: str) -> Iterator[None]:
    """Hold the lock of a study; it ends with the process, however that ends.

    To be taken before the study is made: of two processes that start at once, one gets it.

    Args:
        folder: As `opening.side_folder` gives it; removed at the end if nothing else is left in it.
        study: Name of the study, for the message.

    Raises:
        StudyBusyError: Another process holds it; the message names it.
        StorageError: The folder can't be written.
    """
    try:
        descriptor = _locked(folder / _LOCK, study)
    except OSError as error:
        raise StorageError(f"{folder} can't be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        # Whoever waits for it looks again whether the file that it locked is still there.
        (folder / _LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _locked(path: Path, study: str) -> int:
    """Return the descriptor of the lock file, locked and with this process's name in it."""
    n_gone = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not inherited by other programs: the lock is this process's alone.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # The last holder has just removed the folder, or nothing can be made in this place.
            n_gone += 1
            if n_gone == _N_TRIES:
                raise
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held = error.errno in _HELD_BY_ANOTHER
            holder = _holder(descriptor) if held else {}
            os.close(descriptor)
            if not held:
                raise
            raise StudyBusyError(busy(study, holder)) from None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Owner.this_process())).encode())
            return descriptor
        os.close(descriptor)


def _holder(descriptor: int) -> Mapping[str, Any]:
    """Return who holds a lock file; empty where it does not say so within `_NAMED_WITHIN_S`."""
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while True:
        try:
            parsed: Mapping[str, Any] = json.loads(os.pread(descriptor, 4096, 0))
        except ValueError:
            # It has the lock and has not yet written its name.
            if time.monotonic() > deadline:
                return {}
            time.sleep(0.01)
        else:
            return parsed
