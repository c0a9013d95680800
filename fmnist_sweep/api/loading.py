"""Bring studies back that were kept as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import optuna

from fmnist_sweep.api.keeping import REFERENCE
from fmnist_sweep.core.errors import SweepError
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
        StorageError: A file can't be read, or is none of these.
    """
    paths = sorted(REFERENCE.glob("*.jsonl")) if files is None else list(files)
    if not paths:
        raise SweepError(
            "reference/ holds no studies (*.jsonl); keep some there with: fmnist-sweep dump NAME"
        )
    made = open_storage(storage, create=True)
    for path in paths:
        study = bring_back(path, made)
        if study is not None:
            attach_figures(study)
        yield path, study
