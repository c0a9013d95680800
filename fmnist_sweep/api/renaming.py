"""Rename a study."""

from __future__ import annotations

from fmnist_sweep.api.options import Say, say_nothing
from fmnist_sweep.api.studies import open_study, uses_storage
from fmnist_sweep.reports.dashboard import attach_figures
from fmnist_sweep.storage import DEFAULT_STORAGE, managing


@uses_storage
def rename(
    old: str,
    new: str,
    *,
    storage: str = DEFAULT_STORAGE,
    take_over: bool = False,
    say: Say = say_nothing,
) -> list[tuple[str, str]]:
    """Rename a study with all that is linked to it by its name; `managing.rename` has the arguments.

    Returns:
        The old and the new name of each study that was renamed: it, and its confirmation.
    """
    renamed = managing.rename(storage, old, new, say=say, take_over=take_over)
    for _, name in renamed:
        attach_figures(open_study(name, storage=storage))
    return renamed
