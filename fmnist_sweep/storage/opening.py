"""Where studies live: Optuna storage and the study of a sweep."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.storages import RDBStorage

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import cache_folder
from fmnist_sweep.storage.address import (
    address_words,
    check_url,
    first_line,
    is_postgresql,
    optuna_url,
    safe_url,
    server_options,
    sqlite_path,
)
from fmnist_sweep.storage.bulk_reads import BulkStorage
from fmnist_sweep.storage.creating import (
    create_sqlite,
    is_made,
    require_no_leftovers,
    use_write_ahead_log,
)
from fmnist_sweep.storage.mending import is_damage, mend_words
from fmnist_sweep.storage.reconnecting import LOST_ERRORS, Patience, ReconnectingStorage
from fmnist_sweep.storage.scratch import remove_left_scratch
from fmnist_sweep.storage.server_lock import tables_lock

BUSY_TIMEOUT_S: Final = 60
"""A lock that is held for longer than SQLite's own 5 s would kill the writer."""

_SHOWN: Final = 200
"""Characters of a path in a message."""

_NOT_ALLOWED: Final = "42501"
"""What PostgreSQL calls a user without the right to a table."""


class _Connection(sqlite3.Connection):
    """SQLite as a sweep needs it: Optuna sets no pragma."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL")
        self.execute("PRAGMA foreign_keys=ON")


def _connected(path: Path) -> sqlite3.Connection:
    """Connect to a database that is there: one that was removed meanwhile is not made anew, empty."""
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        factory=_Connection,
        # As SQLAlchemy would have it for a file: its pool hands a connection from thread to thread.
        check_same_thread=False,
    )


def check_storage(url: str, *, create: bool) -> None:
    """Raise `StorageError` for an address that `open_storage` could not open, as far as can be seen."""
    check_url(url)
    path = sqlite_path(url)
    if path is None:
        return
    try:
        _check_sqlite_file(path, create=create)
    except OSError as error:
        # A name that is too long, a folder that is none, a disk that does not answer.
        shown = str(path) if len(str(path)) < _SHOWN else f"{str(path)[:_SHOWN]}..."
        raise StorageError(
            f"{shown} can't be used: {error.strerror or error}; choose another --storage"
        ) from None


def side_folder(url: str, study: str, *, kind: str = "checkpoints") -> Path:
    """Return the folder for what is kept of a study in files; it need not exist.

    It lies beside an SQLite storage, and in the user's cache for any other.

    Args:
        url: The storage's address.
        study: Name of the study, as a sweep file allows it: it can't lead out of the folder.
        kind: ``"checkpoints"`` of a running study, ``"exports"``: the trainings behind its bundles, or
            ``"weights"`` that are kept of its best trials.
    """
    return _beside(url, kind) / study


def shared_name(url: str, study: str) -> str:
    """Return the folder of a study's checkpoints in one that the studies of several storages share.

    Args:
        url: The storage's address.
        study: Name of the study.
    """
    path = sqlite_path(url)
    return f"{_digest(address_words(url) if path is None else str(path.absolute()))}/{study}"


def artifact_folder(url: str) -> Path:
    """Return the folder of the files that optuna-dashboard shows with studies; it need not exist."""
    return _beside(url, "artifacts")


def _beside(url: str, kind: str) -> Path:
    path = sqlite_path(url)
    if path is not None:
        return Path(f"{path.absolute()}.{kind}")
    return cache_folder() / kind / _digest(address_words(url))


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def open_storage(url: str, *, create: bool, patience: Patience | None = None) -> RDBStorage:
    """Open a study storage.

    Args:
        url: A SQLAlchemy address such as ``"sqlite:///studies.db"``.
        create: Make the database where there is none.
        patience: How long its server is waited for, now and later; None does not wait; see `wait_for_server`.

    Raises:
        StorageError: It is missing, can't be read or written, is no database, or holds tables that another
            version of Optuna made. Nothing in it is changed.
    """
    check_storage(url, create=create)
    path = sqlite_path(url)
    try:
        if path is not None and create:
            remove_left_scratch(path.parent)
            if not path.exists():
                create_sqlite(path)
        if patience is None or not is_postgresql(url):
            storage = _opened(url, create=create)
        else:
            storage = patience.call(lambda _tried: _opened(url, create=create))
        if path is not None and create:
            use_write_ahead_log(storage)
        if isinstance(storage, ReconnectingStorage):
            storage.patience = patience
    except RuntimeError as error:
        advice = first_line(error, url).replace("$STORAGE_URL", safe_url(url))
        raise StorageError(
            f"{safe_url(url)} holds tables of another Optuna version; keep a copy of it. {advice}"
        ) from None
    except optuna.exceptions.StorageInternalError as error:
        told = getattr(error.__cause__, "orig", None)
        if isinstance(told, sqlite3.Error) and told.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY:
            # In write-ahead mode there are two files beside a database, also for those who only read it.
            raise StorageError(
                f"the folder of {path} is read-only, and SQLite has to write there even to read; "
                "copy the file to another folder"
            ) from None
        # Its own text guesses; the database's error is behind it.
        how = _mend_words(error, url)
        what = "can't be read" if how else "holds no studies"
        told_by = f"{safe_url(url)} {what}: {first_line(error.__cause__ or error, url)}"
        raise StorageError("\n".join(filter(None, [told_by, how]))) from None
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, ImportError, OSError, ValueError) as error:
        # A driver that dislikes its options, or a host's name, says so with whatever is at hand.
        told_by = f"{safe_url(url)} can't be opened: {first_line(error, url)}"
        raise StorageError("\n".join(filter(None, [told_by, _mend_words(error, url)]))) from None
    return storage


def _opened(url: str, *, create: bool) -> RDBStorage:
    path = sqlite_path(url)
    options = server_options(url) if path is None else {"creator": partial(_connected, path.absolute())}
    filled = _is_filled(url, options)
    if path is None and not filled and not create:
        raise StorageError(f"{safe_url(url)} holds no studies yet; run a sweep first")
    # The lease, which a wait for a server asks after, is PostgreSQL's alone.
    kind = ReconnectingStorage if is_postgresql(url) else BulkStorage
    # Of two that make them at once, one would fail.
    with nullcontext() if filled else tables_lock(url):
        return kind(optuna_url(url), engine_kwargs=options, skip_table_creation=not create or filled)


@contextmanager
def storage_in_use(url: str) -> Iterator[None]:
    """Raise `StorageError` where a storage that was opened can no longer be read or written.

    A statement that the database does not understand is no such case, and stays the bug that it is.
    """
    try:
        yield
    except LOST_ERRORS as error:
        lost = storage_lost(error, url)
        if lost is None:
            raise
        how = _mend_words(error, url)
        rest = how or "What was written before is kept; once that is mended, the same command goes on."
        raise StorageError(f"{lost}\n{rest}") from None


def _mend_words(error: BaseException, url: str) -> str:
    """Return what to do about a file that an error says is damaged; empty for any other error."""
    path = sqlite_path(url)
    wrapped = isinstance(error, optuna.exceptions.StorageInternalError)
    damaged = is_damage(error.__cause__ if wrapped else error)
    return mend_words(path) if path is not None and damaged else ""


def storage_lost(error: BaseException | None, url: str) -> str | None:
    """Return the line that says how a storage was lost; None for an error that is of another kind."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    if cause is None or not _is_of_the_database(cause):
        return None
    return f"{safe_url(url)} can no longer be used: {first_line(cause, url)}"


def _is_of_the_database(error: BaseException) -> bool:
    """Return whether a database failed, or forbids what was asked, and not whoever asked."""
    if isinstance(error, sqlalchemy.exc.ProgrammingError):
        return getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED
    if isinstance(error, sqlalchemy.exc.PendingRollbackError):
        # What is left of a connection that was lost between two statements.
        return True
    mistakes = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError, sqlalchemy.exc.NotSupportedError)
    return isinstance(error, sqlalchemy.exc.DatabaseError | sqlalchemy.exc.InterfaceError) and not isinstance(
        error, mistakes
    )


def _is_filled(url: str, options: dict[str, Any]) -> bool:
    """Return whether tables must not be made: never between those of another program or another Optuna."""
    path = sqlite_path(url)
    if path is not None:
        return is_made(path)
    engine = sqlalchemy.create_engine(url, **options)
    try:
        # A server's database may well hold tables of other programs: these are Optuna's, and the last of
        # them is made when all others are whole.
        return {"version_info", "studies", "alembic_version"} <= {
            *sqlalchemy.inspect(engine).get_table_names()
        }
    finally:
        engine.dispose()


def _check_sqlite_file(path: Path, *, create: bool) -> None:
    if create:
        require_no_leftovers(path)
    # A pipe would be waited for without end.
    if path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "no file"
        raise StorageError(f"{path} is {what}; a storage is a file, such as studies.db")
    if not path.exists():
        if not create:
            raise StorageError(f"{path} does not exist; run a sweep first, such as: make sweep-dense")
        if not path.parent.is_dir():
            raise StorageError(f"the folder of {path} does not exist; make it, or choose another --storage")
        if not os.access(path.parent, os.W_OK):
            raise StorageError(f"the folder of {path} is read-only; choose another --storage")
        return
    if not os.access(path, os.R_OK):
        raise StorageError(f"{path} can't be read; check its permissions")
    if create and not os.access(path, os.W_OK):
        raise StorageError(f"{path} is read-only; make it writable, or choose another --storage")
    with path.open("rb") as file:
        head = file.read(16)
    if head and head != b"SQLite format 3\x00":
        raise StorageError(f"{path} is not an SQLite database; choose another --storage")
