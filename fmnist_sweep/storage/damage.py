"""What is done with a study that is damaged: it is passed by, or refused where it was named."""

from __future__ import annotations

from fmnist_sweep.core.errors import StudyDamagedError
from fmnist_sweep.storage.stored import StoredStudy


def passed_by(study: StoredStudy) -> str:
    """Return the line on a damaged study that a command passes by."""
    return f"study {study.name!r} is damaged and passed by: {study.damage}"


def require_whole(study: StoredStudy, *, with_confirmation: bool = False) -> None:
    """Raise `StudyDamagedError` for a study that is damaged.

    Args:
        study: The study.
        with_confirmation: Also for one whose confirmation is.
    """
    for one in (study, study.linked if with_confirmation else None):
        if one is not None and one.damaged:
            raise StudyDamagedError(one.name, one.damaged)
