"""A whole copy of an SQLite storage, also while a sweep writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast

import optuna
from sqlalchemy.pool import PoolProxiedConnection

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import set_mode
from fmnist_sweep.storage.address import check_url, safe_url, sqlite_path
from fmnist_sweep.storage.creating import require_no_leftovers, side_files
from fmnist_sweep.storage.mending import is_damage, mend_words
from fmnist_sweep.storage.opening import BUSY_TIMEOUT_S, check_storage
from fmnist_sweep.storage.scratch import scratch_folder


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was made and verified, and what is in it."""

    path: Path
    n_studies: int
    n_trials: int


def back_up(url: str, target: Path | None = None, *, overwrite: bool = False) -> Backup:
    """Copy a storage to a file, through SQLite's own backup call.

    The copy holds every transaction that was committed when it began and nothing of later ones. In the
    write-ahead mode in which a sweep runs, it keeps nobody waiting. A file of that name appears, or is
    replaced, only once the copy is whole and verified. What lies beside the storage, such as the checkpoints
    of running trials, is not part of it.

    Args:
        url: Address of an SQLite storage, of whatever Optuna version.
        target: The file to write; by default beside the storage, its name with the time added.
        overwrite: Replace a file that is there.

    Raises:
        StorageError: The storage is no SQLite file, can't be read or is damaged, or the target is there
            already or can't be written.
    """
    check_url(url)
    source = sqlite_path(url)
    if source is None:
        raise StorageError(
            f"{safe_url(url)} is not an SQLite file; copy it with the tool of its server, such as: "
            "pg_dump --format=custom --file=studies.dump DATABASE"
        )
    check_storage(url, create=False)
    target = _default_target(source) if target is None else target
    _check_target(source, target, overwrite=overwrite)
    try:
        # In a folder of its own, so that SQLite's side files go with it, on the file system of the target.
        with scratch_folder(target.parent) as folder:
            copy = folder / "copy.db"
            counts = _copy(source, copy)
            require_no_leftovers(target, otherwise="file")
            # Who may not read a storage may not read its copy.
            set_mode(copy, source.stat().st_mode & 0o666)
            copy.replace(target)
    except sqlite3.Error as error:
        how = f"\n{mend_words(source)}" if is_damage(error) else ""
        raise StorageError(f"{source} can't be copied to {target}: {error}{how}") from None
    except OSError as error:
        raise StorageError(f"{target} can't be written: {error.strerror or error}") from None
    return Backup(target, *counts)


def _default_target(source: Path) -> Path:
    now = datetime.now(tz=UTC).astimezone()
    return source.with_name(f"{source.stem}-{now:%Y-%m-%d-%H%M%S}{source.suffix}")


def _check_target(source: Path, target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise StorageError(f"{target} is a directory; name a file in it")
    if not target.parent.is_dir():
        raise StorageError(f"the folder of {target} does not exist; make it, or choose another file")
    if not target.exists():
        require_no_leftovers(target, otherwise="file")
        return
    if target.samefile(source):
        raise StorageError(f"{target} is the storage itself; choose another file")
    if not target.is_file():
        raise StorageError(f"{target} is no file that could be replaced; choose another")
    if not overwrite:
        raise StorageError(f"{target} exists; choose another file, or replace it with --force")
    left = [path.name for path in side_files(target)]
    if left:
        # SQLite would take them up with the new file, and damage it.
        raise StorageError(
            f"{target} is in use as a database, or was: {' and '.join(left)} beside it; choose another"
            " file, or delete all of these if no program uses them"
        )


def _copy(source: Path, copy: Path) -> tuple[int, int]:
    """Copy a database, check the copy, and return its numbers of studies and trials."""
    address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)) as reader:
        return _copied(reader, copy, source)


def _copied(reader: sqlite3.Connection, copy: Path, source: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(copy)) as writer:
        # All pages in one step: in several, each write of another process would start it over.
        reader.backup(writer, pages=-1)
        found = [row[0] for row in writer.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise StorageError(f"{source} is damaged: {found[0]}; no copy is made.\n{mend_words(source)}")
        n_studies, n_trials = (
            writer.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of our own
            for table in ("studies", "trials")
        )
        return n_studies, n_trials


class OpenDatabase:
    """A connection to an SQLite storage that is kept: it still reads the file after that was removed.

    Args:
        connection: One that nothing else uses.
    """

    def __init__(self, connection: PoolProxiedConnection) -> None:
        self._connection = connection
        # With its first reading SQLite opens all the files that it needs.
        self._connection.cursor().execute("SELECT count(*) FROM studies").fetchone()

    @classmethod
    def of(cls, study: optuna.Study) -> Self | None:
        """Return a connection to the storage of a study; None where that is no SQLite file."""
        storage = study._storage  # noqa: SLF001 - a study does not tell its storage otherwise
        engine = getattr(getattr(storage, "_backend", storage), "engine", None)
        if engine is None or engine.dialect.name != "sqlite":
            return None
        return cls(engine.raw_connection())

    def save(self, target: Path, *, mode: int) -> bool:
        """Copy the storage to a new file, with these permissions, and return whether that could be done."""
        reader = self._connection.driver_connection
        try:
            with scratch_folder(target.parent) as folder:
                copy = folder / "copy.db"
                _copied(cast("sqlite3.Connection", reader), copy, target)
                set_mode(copy, mode)
                copy.rename(target)
        except (sqlite3.Error, OSError, StorageError):
            return False
        return True

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
