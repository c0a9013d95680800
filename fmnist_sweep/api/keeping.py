"""Keep studies: copies of a storage, studies as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmnist_sweep.api.options import Say, say_nothing
from fmnist_sweep.api.studies import open_studies, uses_storage
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.engines.machine import machine
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import file_mode
from fmnist_sweep.storage.backup import Backup, back_up
from fmnist_sweep.storage.damage import passed_by, require_whole
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import linked_study
from fmnist_sweep.storage.text_form import dump as write_text

REFERENCE = Path("reference")
"""Folder of studies that are kept as text."""


@uses_storage
def backup(file: Path | None = None, *, storage: str = DEFAULT_STORAGE, overwrite: bool = False) -> Backup:
    """Write a whole, verified copy of an SQLite storage, also while a sweep is running.

    It takes no lease: a copy is of what was committed when it began, whoever writes meanwhile.

    Raises:
        StorageError: As `back_up` says.
    """
    return back_up(storage, file, overwrite=overwrite)


@uses_storage
def dump(
    studies: Sequence[str] | None = None,
    *,
    output: Path = REFERENCE,
    storage: str = DEFAULT_STORAGE,
    say: Say = say_nothing,
) -> list[tuple[Path, int]]:
    """Write studies as text, each with its confirmation.

    Args:
        studies: Names; None takes all but reference studies.
        output: Folder that each study's file goes into.
        storage: Where they are.
        say: Takes a line on each study that is damaged and was not named.

    Returns:
        Each file with its number of trials.

    Raises:
        StudyDamagedError: A study that was named is damaged.
        StorageError: A file can't be written.
    """
    # Before the studies are read.
    if output.exists() and not output.is_dir():
        raise StorageError(f"--output: {output} is a file; name a folder that the studies' files go into")

    def is_asked_for(study: StoredStudy) -> bool:
        return bool(studies) or not (study.is_confirmation or study.read_only is not None)

    whole = []
    for study in open_studies(storage=storage, names=dict.fromkeys(studies) if studies else None):
        stored = StoredStudy.of(study)
        if studies:
            require_whole(stored, with_confirmation=True)
        elif stored.damaged:
            say(passed_by(stored))
        if not stored.damaged and is_asked_for(stored):
            # A confirmation that is damaged has been told by itself.
            linked = stored.linked
            whole += [study, *([linked_study(study)] if linked is not None and not linked.damaged else ())]
    written = []
    for study in [one for one in whole if one is not None]:
        path = output / f"{safe_name(study.study_name)}.jsonl"
        written.append((path, write_text(study, path, machine=machine(), mode=file_mode(storage))))
    return written
