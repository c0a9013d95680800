"""Names that a tuner takes where none are given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fmnist_sweep.api.studies import open_studies
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE


def storage_in(directory: str | Path | None) -> str:
    """Return the storage in a folder, which is made; the default one without a folder."""
    if directory is None:
        return DEFAULT_STORAGE
    folder = Path(directory).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'studies.db'}"


def study_name(given: str | None, hypermodel: Any) -> str:
    """Return the name of a study: as given, or that of the model.

    Example:
        >>> study_name("mine", "models:build"), study_name(None, "models:build")
        ('mine', 'build')
    """
    if given:
        return given
    if isinstance(hypermodel, str):
        return hypermodel.rpartition(":")[2]
    name = getattr(hypermodel, "__name__", None) or type(hypermodel).__name__
    return re.sub(r"\W+", "", str(name)) or "model"


def free_name(name: str, storage: str) -> str:
    """Return a name that no study of the storage has: this one, or it with the next number."""
    try:
        taken = {study.study_name for study in open_studies(storage=storage)}
    except SweepError:
        return name
    if name not in taken:
        return name
    return next(f"{name}-{i}" for i in range(2, len(taken) + 3) if f"{name}-{i}" not in taken)
