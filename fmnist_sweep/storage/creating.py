"""A new SQLite database: made whole or not at all, and never over what an old one left."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from optuna.storages import RDBStorage

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.address import optuna_url, sqlite_url
from fmnist_sweep.storage.scratch import scratch_folder

_SIDE_FILES: Final = ("-wal", "-shm", "-journal")

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""What a file system without hard links answers; which one, is up to it."""


def side_files(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside a database, as far as they are there."""
    # SQLite follows links, and names them after what it finds.
    real = os.path.realpath(path)
    return [side for suffix in _SIDE_FILES if (side := Path(f"{real}{suffix}")).exists()]


def require_no_leftovers(path: Path, *, otherwise: str = "--storage") -> None:
    """Raise where a database is to be made beside side files of an old one, which SQLite would take in.

    Args:
        path: The database; one that is there, and not empty, may have such files.
        otherwise: What else the user can choose.

    Raises:
        StorageError: There are such files; nothing is changed.
    """
    left = [side.name for side in side_files(path)]
    # Looked at last: another process may have made the database meanwhile, with files of its own.
    if left and not is_made(path):
        some = len(left) > 1
        raise StorageError(
            f"{path} {'is empty' if path.exists() else 'does not exist'}, but {' and '.join(left)} of an old"
            f" database {'are' if some else 'is'} beside it, and would spoil a new one. If that database was"
            f" moved, move {'them' if some else 'it'} to it; otherwise delete {'them' if some else 'it'}, or"
            f" choose another {otherwise}"
        )


def is_made(path: Path) -> bool:
    """Return whether a database is there and holds something."""
    return path.exists() and path.stat().st_size > 0


def create_sqlite(path: Path) -> None:
    """Make a database with all its tables at once: killed on the way, or in a race, none is half made.

    Raises:
        StorageError: Side files of an old database lie there.
        OSError: It can't be made there.
    """
    with scratch_folder(path.parent) as folder:
        new = folder / "new.db"
        storage = RDBStorage(optuna_url(sqlite_url(new)))
        use_write_ahead_log(storage)
        storage.remove_session()
        storage.engine.dispose()
        require_no_leftovers(path)
        _put_in_place(new, path)


def use_write_ahead_log(storage: RDBStorage) -> None:
    """Let readers such as the dashboard not block the writer, nor it them; this stays with the file."""
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _put_in_place(new: Path, path: Path) -> None:
    """Give a file its name, unless another process has made one of that name meanwhile."""
    try:
        # Unlike a rename, a link never takes the place of another file.
        path.hardlink_to(new)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with _one_at_a_time(path.parent):
            if not path.exists():
                new.rename(path)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # A file system that has no locks either is left with a race of milliseconds.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
