"""Browse studies in optuna-dashboard."""

from __future__ import annotations

from collections.abc import Callable

from fmnist_sweep.api.studies import uses_storage
from fmnist_sweep.reports import dashboard as board
from fmnist_sweep.storage import DEFAULT_STORAGE


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
