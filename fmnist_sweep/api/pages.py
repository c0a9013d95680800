"""Show studies on a static page."""

from __future__ import annotations

from pathlib import Path

from fmnist_sweep.api.studies import read_studies, require_studies, uses_storage
from fmnist_sweep.reports.page import write_report
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url


@uses_storage
def report(output: Path, *, storage: str = DEFAULT_STORAGE) -> Path:
    """Write a static page on all studies, and return its file.

    Raises:
        SweepError: There are no studies.
        StorageError: The page can't be written.
    """
    studies = read_studies(storage=storage)
    require_studies(studies, safe_url(storage))
    return write_report(studies, output, storage=safe_url(storage))
