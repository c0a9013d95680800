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
    password: str | None = None,
    storage: str = DEFAULT_STORAGE,
) -> None:
    """Serve the studies in optuna-dashboard until Ctrl-C is pressed.

    Args:
        host: Address to listen on.
        announce: Takes the line that says where it is.
        port: By default 8080 or the next free one.
        password: What it asks for, under any user's name; needed wherever others can reach it.
        storage: Where the studies are.

    Raises:
        SweepError: There is no password where others can reach it, or no port is free.
    """
    board.serve(storage, host=host, port=port, password=password, announce=announce)
