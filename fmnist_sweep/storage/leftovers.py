"""The files of a study beside its storage: copied for another name, removed, and both also after a kill.

What decides is the storage, in which a study is renamed or deleted in one transaction. Before that it is
written down which files may be left over; whatever becomes of the process, those that no study has go.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from optuna.storages import RDBStorage
from sqlalchemy import Connection

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.core.files import write_atomically
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.shared_folder import LEFT_OUT, SharedFolder
from fmnist_sweep.storage import tables
from fmnist_sweep.storage.lease.file_lock import LOCK, study_lock
from fmnist_sweep.storage.opening import artifact_folder, shared_name, side_folder
from fmnist_sweep.storage.scratch import left_scratch, scratch_folder

KINDS: Final = ("checkpoints", "exports", "weights")
"""The side folders of a study."""

_LIST: Final = "left.json"


@contextmanager
def no_leftovers(
    url: str,
    storage: RDBStorage,
    names: Collection[str],
    artifacts: Collection[str] = (),
    shared: Collection[str] = (),
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Remove, once the block has ended in whatever way, the files of studies that are not there then.

    Args:
        url: The storage's address.
        storage: It, opened.
        names: Studies that the block removes, renames or makes; this process holds them.
        artifacts: Files of the dashboard that no study may have any more.
        shared: Folders for checkpoints that no study may have any more, as `SharedFolder.record` gives them.
        say: Takes a line on each of those that stays.

    Raises:
        StorageError: The folder of checkpoints, where the list is kept meanwhile, can't be written.
    """
    place = _place(url)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with scratch_folder(place) as folder:
            listed = {"names": list(names), "artifacts": sorted(artifacts), "shared": list(shared)}
            write_atomically(folder / _LIST, json.dumps(listed))
            try:
                yield
            finally:
                _remove_unowned(url, storage, names, artifacts)
                _remove_shared(url, storage, shared, say)
    except OSError as error:
        raise StorageError(f"{place} can't be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            place.rmdir()


def remove_leftovers(url: str, storage: RDBStorage) -> None:
    """Do what a process that was killed in `no_leftovers` had still to do."""
    for folder in left_scratch(_place(url)):
        try:
            listed = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # It was killed before it did anything.
            continue
        for name in listed["names"]:
            # Whoever runs a study of that name now has the folder to itself.
            with suppress(StudyBusyError), study_lock(side_folder(url, name), name):
                _remove_unowned(url, storage, [name], ())
        _remove_unowned(url, storage, (), listed["artifacts"])
        # Lists of earlier releases have none.
        _remove_shared(url, storage, listed.get("shared", ()), lambda _: None)


def _place(url: str) -> Path:
    # Beside the folders of studies, none of which is hidden.
    return side_folder(url, "")


def _remove_unowned(
    url: str, storage: RDBStorage, names: Collection[str], artifacts: Collection[str]
) -> None:
    with storage.engine.connect() as connection:
        known, shown = set(tables.all_names(connection)), tables.artifacts(connection)
    for name in set(names) - known:
        for kind in KINDS:
            _empty(side_folder(url, name, kind=kind))
    for artifact in set(artifacts) - shown:
        for path in artifact_files(url, [artifact]):
            with suppress(OSError):
                path.unlink()


def _remove_shared(
    url: str, storage: RDBStorage, shared: Collection[str], say: Callable[[str], None]
) -> None:
    """Remove folders that nodes of a cluster shared, unless a study has them: one renamed leaves its name."""
    with storage.engine.connect() as connection:
        kept = set(tables.all_names(connection))
        noted = {one for study in kept for one in _noted(connection, study)}
    for folder in shared:
        address = folder.removesuffix(LEFT_OUT)
        name = address.rpartition("/")[2]
        inside = shared_name(url, name)
        if name in kept or folder in noted:
            continue
        why = ""
        if not address.endswith(f"/{inside}"):
            why = "they were kept under another address of this storage"
        elif folder != address:
            why = "its keys and settings are not stored"
        else:
            try:
                SharedFolder(address.removesuffix(f"/{inside}"), inside).remove_all()
            except (OSError, ImportError) as error:
                why = one_line(error)
        if why:
            say(f"Checkpoints in {address} stay ({why}); nobody needs them any more.")


def _noted(connection: Connection, study: str) -> list[str]:
    number = tables.study_id(connection, study)
    return [] if number is None else tables.checkpoint_storage(connection, number)


def _empty(folder: Path) -> None:
    """Remove all that is in a folder but for its lock, and the folder if that leaves nothing."""
    for path in contents(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def contents(folder: Path) -> list[Path]:
    """Return what is in a folder of a study, less the lock of whoever holds it."""
    try:
        return [path for path in folder.iterdir() if path.name != LOCK]
    except OSError:
        return []


def size(folder: Path) -> int:
    """Return the number of bytes of all files in a folder of a study."""
    return sum(
        path.lstat().st_size
        for one in contents(folder)
        for path in (one, *(one.rglob("*") if one.is_dir() else ()))
        if path.is_file()
    )


def artifact_files(url: str, artifacts: Collection[str]) -> list[Path]:
    """Return the files of the dashboard of these names, as far as they are there."""
    folder = artifact_folder(url)
    # Anybody can have written a name.
    paths = [folder / name for name in artifacts if Path(name).name == name]
    return [path for path in paths if path.is_file()]


def copy_folders(url: str, old: str, new: str) -> None:
    """Give another study all files of one, which keeps them; without copying where there are hard links.

    They are never written in place: each new one takes the name of an old one.

    Raises:
        StorageError: They can't be written.
    """
    for kind in KINDS:
        source, target = (side_folder(url, name, kind=kind) for name in (old, new))
        try:
            for path in contents(source):
                target.mkdir(parents=True, exist_ok=True)
                if path.is_dir():
                    shutil.copytree(path, target / path.name, copy_function=_linked)
                else:
                    _linked(path, target / path.name)
        except OSError as error:
            raise StorageError(f"{target} can't be written: {error.strerror or error}") from None


def _linked(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
