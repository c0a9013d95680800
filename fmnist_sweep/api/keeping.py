"""Keep studies: copies of a storage, studies as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmnist_sweep.api.studies import open_studies, uses_storage
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.engines.machine import machine
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import file_mode
from fmnist_sweep.storage.backup import Backup, back_up
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
    studies: Sequence[str] | None = None, *, output: Path = REFERENCE, storage: str = DEFAULT_STORAGE
) -> list[tuple[Path, int]]:
    """Write studies as text, each with its confirmation.

    Args:
        studies: Names; None takes all but reference studies.
        output: Folder that each study's file goes into.
        storage: Where they are.

    Returns:
        Each file with its number of trials.

    Raises:
        StorageError: A file can't be written.
    """

    def is_asked_for(study: StoredStudy) -> bool:
        return bool(studies) or not (study.is_confirmation or study.read_only is not None)

    found = [s for s in open_studies(storage=storage, names=studies) if is_asked_for(StoredStudy.of(s))]
    written = []
    for study in [s for one in found for s in (one, linked_study(one)) if s is not None]:
        path = output / f"{safe_name(study.study_name)}.jsonl"
        written.append((path, write_text(study, path, machine=machine(), mode=file_mode(storage))))
    return written
