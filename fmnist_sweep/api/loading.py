"""Bring studies back that were kept as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import optuna

from fmnist_sweep.api.keeping import REFERENCE
from fmnist_sweep.core.errors import StorageError, SweepError
from fmnist_sweep.reports.dashboard import attach_figures
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.text_form import load as bring_back


def load(
    files: Iterable[Path] | None = None, *, storage: str = DEFAULT_STORAGE
) -> Iterator[tuple[Path, optuna.Study | None]]:
    """Bring studies back that were kept as text: read-only, named ``reference-NAME``.

    Args:
        files: The files; None takes all of ``reference/``.
        storage: Where they are made.

    Yields:
        Each file with its study; None where that is there already.

    Raises:
        SweepError: There are no files.
        StorageError: Files that can't be read, or are none of these; the others have been brought back.
    """
    paths = sorted(REFERENCE.glob("*.jsonl")) if files is None else list(files)
    if not paths:
        raise SweepError(
            "reference/ holds no studies (*.jsonl); keep some there with: fmnist-sweep dump NAME"
        )
    made = open_storage(storage, create=True)
    refused = []
    for path in paths:
        try:
            study = bring_back(path, made)
        except SweepError as error:
            # One file that is damaged must not keep the others from being brought back.
            refused.append(str(error))
            continue
        if study is not None:
            attach_figures(study)
        yield path, study
    if refused:
        raise StorageError("\n".join(refused))
