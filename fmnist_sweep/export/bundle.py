"""A bundle: the folder that a user takes home, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.core.errors import StorageError, SweepError
from fmnist_sweep.core.files import set_mode

FACTS: Final = "metrics.json"
_FORMAT: Final = "fmnist-sweep bundle 1"


def bundle_facts(folder: Path) -> Mapping[str, Any] | None:
    """Return what a bundle's ``metrics.json`` holds; None where there is no bundle of ours."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.get("format") == _FORMAT else None


def check_place(folder: Path) -> None:
    """Raise for a place that a bundle can't be written to, as far as can be seen beforehand.

    Raises:
        SweepError: Something that is no bundle is there.
        StorageError: The folder that it is to be in can't be made or written.
    """
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        # An export was killed between two renames.
        aside.rename(folder)
    if (folder.exists() or folder.is_symlink()) and bundle_facts(folder) is None:
        what = "a file" if folder.is_file() else "a folder that is no bundle of fmnist-sweep"
        raise SweepError(f"{folder} is {what}; nothing is overwritten: move it, or choose another --output")
    try:
        # Asked by trying: permissions alone don't tell of read-only mounts. What is missing is made with the
        # bundle, so that an export that is refused leaves no empty folder.
        os.close(_new_file(next(place for place in folder.parents if _is_there(place))))
    except OSError as error:
        raise _unwritable(folder.parent, error) from None


def write_bundle(
    folder: Path, facts: Mapping[str, Any], fill: Callable[[Path], object], *, mode: int | None = None
) -> None:
    """Write a bundle: what was there before stays whole until the new one is.

    Args:
        folder: Its name; what is there is replaced if it is a bundle.
        facts: What ``metrics.json`` is to hold; it is written last.
        fill: Writes all other files into the folder that it is given.
        mode: Permissions of its files; None lets all read them.

    Raises:
        SweepError: As `check_place` says.
        StorageError: It can't be written, as when the disk is full; nothing half written is left.
    """
    check_place(folder)
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        # Of an export that was killed.
        shutil.rmtree(left, ignore_errors=True)
    made = [place for place in folder.parents if not _is_there(place)]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    try:
        fill(new)
        document = {"format": _FORMAT, **facts}
        (new / FACTS).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        _to_disk(new, 0o644 if mode is None else mode)
        _put_in_place(new, folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
        with suppress(OSError):
            for place in made:
                # Those that hold a bundle by now stay.
                place.rmdir()


def _is_there(place: Path) -> bool:
    return os.path.lexists(place)


def _new_file(folder: Path) -> int:
    descriptor, name = tempfile.mkstemp(dir=folder)
    Path(name).unlink()
    return descriptor


def _to_disk(folder: Path, mode: int) -> None:
    """Wait until all is on the disk, and let others read it: temporary folders are for their owner's eyes."""
    # Who may read the files may look into the folders.
    for_folders = 0o700 | mode | (mode & 0o444) >> 2
    for path in folder.rglob("*"):
        if path.is_dir():
            set_mode(path, for_folders)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
        set_mode(path, mode)
    set_mode(folder, for_folders)


def _put_in_place(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    # A folder can't be replaced by a rename: the old one steps aside, and back if the new one can't follow.
    aside = _aside(folder)
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        with suppress(OSError):
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _unwritable(place: Path, error: OSError) -> StorageError:
    return StorageError(f"{place} can't be written: {error.strerror or error}; choose another --output")
