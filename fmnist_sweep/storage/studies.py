"""Studies at rest: their names, and one of them for reading."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.storages import BaseStorage

from fmnist_sweep.core.errors import StudyNotFoundError, StudyReadOnlyError, did_you_mean
from fmnist_sweep.storage.attributes import CONFIRMS, READ_ONLY


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of all studies, oldest first."""
    return optuna.get_all_study_names(storage)


def load_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Open a study for reading.

    Raises:
        StudyNotFoundError: There is none of that name.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        names = study_names(storage)
        have = f"there are {', '.join(names)}" if names else "the storage has no studies yet"
        raise StudyNotFoundError(f"no study {name!r}{did_you_mean(name, names)} ({have})") from None
    with _collector_paused():
        # Optuna keeps what it has read. A large study is some hundred thousand rows, all of which stay:
        # looking through them for garbage, again and again, takes longer than reading them.
        study.get_trials(deepcopy=False)
    return study


@contextmanager
def _collector_paused() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def require_writable(study: optuna.Study) -> None:
    """Raise `StudyReadOnlyError` for a study that no command changes."""
    why = study.user_attrs.get(READ_ONLY)
    if why is not None:
        mend = "choose another name with --study, or run a sweep of your own"
        raise StudyReadOnlyError(f"study {study.study_name!r} is read-only ({why}); {mend}")


def confirm_name(study: str) -> str:
    """Return the name of the study that confirms another.

    Example:
        >>> confirm_name("dense")
        'dense-confirm'
    """
    return f"{study}-confirm"


def linked_study(study: optuna.Study) -> optuna.Study | None:
    """Return the study that holds the repeats of another, or None where that was never confirmed."""
    try:
        linked = optuna.load_study(
            study_name=confirm_name(study.study_name),
            storage=study._storage,  # noqa: SLF001 - a study does not tell its storage otherwise
        )
    except KeyError:
        return None
    return linked if linked.user_attrs.get(CONFIRMS) == study.study_name else None
