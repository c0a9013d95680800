"""Show studies on a static page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fmnist_sweep.api.options import Say, say_nothing
from fmnist_sweep.api.studies import read_studies, require_studies, uses_storage
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.reports.page import write_report
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.damage import passed_by


@uses_storage
def report(
    output: Path,
    *,
    storage: str = DEFAULT_STORAGE,
    names: Iterable[str] | None = None,
    say: Say = say_nothing,
) -> Path:
    """Write a static page on studies, and return its file.

    Args:
        output: The page.
        storage: Where the studies are.
        names: Of the studies; None takes all.
        say: Takes a line on each study that is damaged: the page names it too.

    Raises:
        SweepError: There are no studies.
        StorageError: The page can't be written.
    """
    # Before the studies are read.
    if output.is_dir():
        raise StorageError(f"--output: {output} is a directory; name a file in it, such as index.html")
    studies = read_studies(storage=storage, names=names)
    require_studies(studies, safe_url(storage))
    for study in studies:
        if study.damaged:
            say(passed_by(study))
    return write_report(studies, output, storage=safe_url(storage))
