"""Show studies: a static page, or optuna-dashboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fmnist_sweep.api.studies import read_studies, require_studies, uses_storage
from fmnist_sweep.reports import dashboard as board
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


@uses_storage
def dashboard(
    *,
    host: str,
    announce: Callable[[str], None],
    port: int | None = None,
    storage: str = DEFAULT_STORAGE,
) -> None:
    """Serve the studies in optuna-dashboard until Ctrl-C is pressed.

    Args:
        host: Address to listen on.
        announce: Takes the line that says where it is.
        port: By default 8080 or the next free one.
        storage: Where the studies are.
    """
    board.serve(storage, host=host, port=port, announce=announce)
