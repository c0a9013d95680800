"""Folders for what is to appear whole, and what killed processes left of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".fmnist-sweep-part"
_LOCK: Final = "lock"


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """Make a hidden folder that is gone with the block; one that a killed process left goes first.

    Args:
        place: The folder that it is made in, on the file system of what is to appear there.

    Yields:
        The folder. ``lock`` in it is taken.

    Raises:
        OSError: It can't be made.
    """
    remove_left_scratch(place)
    folder, descriptor = _locked(place)
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)
        os.close(descriptor)


def remove_left_scratch(place: Path) -> None:
    """Remove the scratch folders of processes that were killed; those of live ones are locked."""
    for folder in place.glob(f".*{_SUFFIX}"):
        with suppress(OSError):
            # Of one that was killed before its lock was made: nothing is in it. One that lives makes another.
            folder.rmdir()
            continue
        with suppress(OSError):
            descriptor = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: of a process that is killed on the way, the next one knows the rest."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
    shutil.rmtree(folder)


def _locked(place: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=place, prefix=".", suffix=_SUFFIX))
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            # Another process took it for one that was left.
            continue
        # Where there are no locks, nobody takes the folder for one that was left.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / _LOCK).exists():
            return folder, descriptor
        # So it did between the two lines above.
        os.close(descriptor)
