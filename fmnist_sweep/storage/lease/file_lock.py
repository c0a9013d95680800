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

LOCK: Final = "lock"
"""Name of the file in the folder of a study's checkpoints."""

_HELD_BY_ANOTHER: Final = (errno.EAGAIN, errno.EACCES)

_N_TRIES: Final = 100

_NAMED_WITHIN_S: Final = 1.0


class FileLock:
    """A lock that is held. Take one with `study_lock`."""

    def __init__(self, path: Path, study: str) -> None:
        self._path = path
        self._study = study
        self._descriptor = _locked(path, study)

    def renew(self) -> None:
        """Take the lock again where its file was removed: another process could take it meanwhile.

        Raises:
            StudyBusyError: One has.
            StorageError: The folder can't be written.
        """
        if _is_named(self._path, self._descriptor):
            return
        try:
            descriptor = _locked(self._path, self._study)
        except OSError as error:
            raise _unwritable(self._path.parent, error) from None
        os.close(self._descriptor)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back, and remove its folder if nothing else is left in it."""
        if _is_named(self._path, self._descriptor):
            # Whoever waits for it looks again whether the file that it locked is still there.
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        with suppress(OSError):
            self._path.parent.rmdir()
            self._path.parent.parent.rmdir()


@contextmanager
def study_lock(folder: Path, study: str) -> Iterator[FileLock]:
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
        lock = FileLock(folder / LOCK, study)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield lock
    finally:
        lock.release()


def _unwritable(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"{folder} can't be written: {error.strerror or error}")


def _is_named(path: Path, descriptor: int) -> bool:
    """Return whether a file that is open is the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


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
        if _is_named(path, descriptor):
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
