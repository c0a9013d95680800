"""Files that appear whole or not at all, their names, and the user's cache folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from platformdirs import user_cache_path

from fmnist_sweep.core.errors import DataError, StorageError

STUDY_NAME: Final = r"^\w[\w .+-]{0,99}$"
"""What a study may be called: folders are named after it."""

STUDY_NAME_WORDS: Final = "letters, digits, spaces and . _ + - are allowed, at most 100"


def cache_folder() -> Path:
    """Return this user's cache folder for data sets; it need not exist."""
    return user_cache_path("fmnist-sweep")


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


def set_mode(path: Path, mode: int) -> None:
    """Set the permissions of a file of ours; without effect on a file system that has none."""
    with suppress(PermissionError):
        path.chmod(mode)


@contextmanager
def new_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; it gets its own when the block ends and all is on the disk.

    Whatever interrupts the block, nothing half-written is ever found under the final name, and a file that
    was there before stays, for processes that have it mapped even after it was replaced. What a process left
    that was killed in the block is removed by the next one that writes the file.

    Args:
        path: The final name, in a folder that exists.
        mode: Its permissions: by default all may read it, since several users may share a cache.

    Yields:
        A stream for the content. An exception in the block throws the content away.

    Raises:
        OSError: The folder can't be written, or something that is no file has that name.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A device or a pipe, such as /dev/null, would be gone, for all programs of the machine.
        raise FileExistsError(errno.EEXIST, "it is no file that could be replaced", str(path))
    _remove_left_parts(path)
    temporary, descriptor = _locked_part(path)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            # mkstemp's files are for their owner's eyes only.
            set_mode(temporary, mode)
            # Before it is closed, which ends its lock.
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _locked_part(path: Path) -> tuple[Path, int]:
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
        # Where there are no locks, nobody takes the file for one that was left.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if Path(name).exists():
            return Path(name), descriptor
        # Between the lines above another process took it for one that was left.
        os.close(descriptor)


def _remove_left_parts(path: Path) -> None:
    """Remove what processes left that were killed as they wrote a file; those of live ones are locked."""
    part = re.compile(rf"\.{re.escape(path.name)}-\w{{8}}\.part")
    for left in path.parent.iterdir():
        if part.fullmatch(left.name):
            with suppress(OSError):
                descriptor = os.open(left, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()
                finally:
                    os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Raises:
        StorageError: It can't be written.
    """
    umask = os.umask(0)
    os.umask(umask)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path, mode=0o666 & ~umask) as file:
            file.write(text.encode())
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}; choose another place") from None


def content_of(file: Path | None) -> bytes | None:
    """Return what a file holds; None where there is none, or none that can be read."""
    try:
        return None if file is None else file.read_bytes()
    except OSError:
        return None


def safe_name(name: str) -> str:
    """Return a study's name as a file name that can't leave its folder.

    Example:
        >>> [safe_name(n) for n in ("dense", "../../etc/cron", "<b>", "..")]
        ['dense', 'etc-cron', 'b', 'study']
    """
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "study"
