"""Whether a study is still where it was taken: its file may be removed, moved or replaced meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import optuna

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.address import sqlite_path
from fmnist_sweep.storage.backup import OpenDatabase
from fmnist_sweep.storage.creating import side_files


class StorageFile:
    """The file of an SQLite storage as it was when a study in it was taken.

    A process that has it open can write to it after it was removed: into nothing, without an error. A path
    tells of it only to those who ask.

    Args:
        path: The file.
        study: Name of the study, for the message.
    """

    def __init__(self, path: Path, study: str) -> None:
        self._path = path
        self._name = study
        self._taken = _found(path)
        self._saver: OpenDatabase | None = None
        self._lost = ""

    def take(self, study: optuna.Study) -> None:
        """Know the file as it is now, and keep a connection to it, to save what is stored if it is lost."""
        self.release()
        self._taken = _found(self._path)
        self._saver = OpenDatabase.of(study)

    def release(self) -> None:
        """Close the connection that is kept."""
        saver, self._saver = self._saver, None
        if saver is not None:
            saver.close()

    def is_there(self) -> bool:
        """Return whether the file is the one that was taken."""
        found, taken = _found(self._path), self._taken
        if self._lost or found is None or taken is None:
            return not self._lost and found is taken
        if not os.path.samestat(found, taken):
            return False
        # Who may read it may change.
        self._taken = found
        return True

    def check(self) -> None:
        """Return as long as the file is the one that was taken.

        Raises:
            StorageError: It is lost; what it held is saved to another file where that can be done. The
                message says what to do.
        """
        if not self.is_there():
            self._lost = self._lost or self._what_was_lost()
            raise StorageError(self._lost)

    def _what_was_lost(self) -> str:
        path = self._path
        how = "replaced by another file" if path.exists() else "removed, or moved away"
        head = f"{path} was {how} while study {self._name!r} was in use; this command ends here."
        saved = self._save()
        in_place = [one.name for one in (path, *side_files(path)) if one.exists()]
        aside = f"move {', '.join(in_place)} out of the way, then " if in_place else ""
        if saved is None:
            return (
                f"{head}\nWhat it held is where it was moved, or in the last backup: {aside}put that in its"
                " place, and the same command goes on."
            )
        return (
            f"{head}\nWhat was stored until then is saved in {saved}: {aside}rename that to {path.name}, and"
            " the same command goes on."
        )

    def _save(self) -> Path | None:
        if self._saver is None or self._taken is None:
            return None
        now = datetime.now(tz=UTC).astimezone()
        target = self._path.with_name(f"{self._path.stem}-saved-{now:%Y-%m-%d-%H%M%S}{self._path.suffix}")
        return target if self._saver.save(target, mode=self._taken.st_mode & 0o666) else None


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


@contextmanager
def storage_file(url: str, study: str) -> Iterator[StorageFile | None]:
    """Watch over the file of a storage; None where it is no file."""
    path = sqlite_path(url)
    file = None if path is None else StorageFile(path, study)
    try:
        yield file
    finally:
        if file is not None:
            file.release()
