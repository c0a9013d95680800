"""Studies at rest: their names, and one of them for reading."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage

from fmnist_sweep.core.errors import StorageError, StudyNotFoundError, StudyReadOnlyError, did_you_mean
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.storage.attributes import CONFIRMS, READ_ONLY
from fmnist_sweep.storage.checking import text_names
from fmnist_sweep.storage.collector import collector_paused

UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What Optuna raises, among others, for rows without JSON, or with a value outside its distribution."""


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of all studies, oldest first.

    Raises:
        StorageError: As `text_names` says.
    """
    try:
        return text_names(optuna.get_all_study_names(storage))
    except UNREADABLE:
        # Optuna reads the attributes of all studies for it: those of one must not hide the others.
        if not isinstance(storage, RDBStorage):
            raise
        with storage.engine.connect() as connection:
            names = connection.exec_driver_sql("SELECT study_name FROM studies ORDER BY study_id")
            return text_names(names.scalars())


def load_study(storage: BaseStorage, name: str, *, with_trials: bool = True) -> optuna.Study:
    """Open a study for reading.

    Args:
        storage: Where it is.
        name: Its name.
        with_trials: Read its trials now, sooner than they would be read one by one.

    Raises:
        StudyNotFoundError: There is none of that name.
        StorageError: What is stored of it is nothing that Optuna knows.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        names = study_names(storage)
        have = f"there are {', '.join(names)}" if names else "the storage has no studies yet"
        raise StudyNotFoundError(f"no study {name!r}{did_you_mean(name, names)} ({have})") from None
    except UNREADABLE as error:
        told = f"study {name!r} is damaged, and can't be opened: {one_line(error, 200)}"
        raise StorageError(f"{told}; bring its database back from a backup") from None
    if not with_trials:
        return study
    # What can't be read is told by whoever asks for it, see `StoredStudy.damaged`.
    with collector_paused(), suppress(*UNREADABLE):
        # Optuna keeps what it has read.
        study.get_trials(deepcopy=False)
    return study


def tables_of(study: optuna.Study) -> sqlalchemy.Engine | None:
    """Return the connection to the tables that hold a study; None for one in memory."""
    storage = study._storage  # noqa: SLF001 - a study does not tell its storage otherwise
    # Optuna keeps what it has read in a storage around the one that reads.
    behind = getattr(storage, "_backend", storage)
    return behind.engine if isinstance(behind, RDBStorage) else None


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
    """Return the study that holds the repeats of another, or None where that was never confirmed.

    One that no longer tells what it confirms is taken for it: whoever uses it sees that it is damaged.
    """
    try:
        linked = optuna.load_study(
            study_name=confirm_name(study.study_name),
            storage=study._storage,  # noqa: SLF001 - a study does not tell its storage otherwise
        )
    except KeyError:
        return None
    try:
        confirms = linked.user_attrs.get(CONFIRMS, "")
    except UNREADABLE:
        return linked
    return linked if confirms == study.study_name or not isinstance(confirms, str) else None
