"""The user's cache folder for data sets, and how files get into it whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from platformdirs import user_cache_path

from fmnist_sweep.errors import DataError


def cache_folder() -> Path:
    """Return this user's cache folder for data sets; it need not exist."""
    return user_cache_path("fmnist-sweep")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; it gets its own when the block ends and all is on the disk.

    Whatever interrupts the block, nothing half-written is ever found under the final name, and a file that
    was there before stays, for processes that have it mapped even after it was replaced.

    Args:
        path: The final name, in a folder that exists.

    Yields:
        A stream for the content. An exception in the block throws the content away.

    Raises:
        OSError: The folder can't be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        # mkstemp's files are for their owner's eyes only, but several users may share a cache.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def told_as_data_error(folder: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `DataError` that says what to do about a folder."""
    try:
        yield
    except OSError as error:
        problem = (
            f"can't be read or written: {error.strerror or error}; free some space, or set XDG_CACHE_HOME"
            " to a folder that you may write to"
        )
        raise DataError(str(error.filename or folder), [problem]) from error
