"""Studies of a storage, opened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import optuna

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.wording import NOT_STORED
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.opening import open_storage, storage_in_use
from fmnist_sweep.storage.reconnecting import Patience
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, study_names

P = ParamSpec("P")
R = TypeVar("R")


def uses_storage(call: Callable[P, R]) -> Callable[P, R]:
    """Report it as an error if the storage, given as ``storage``, fails while a function uses it."""

    @functools.wraps(call)
    def guarded(*args: P.args, **options: P.kwargs) -> R:
        with storage_in_use(str(options.get("storage", DEFAULT_STORAGE))):
            return call(*args, **options)

    return guarded


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's own log lines to itself for a while: it logs every study that is created."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@uses_storage
def open_studies(
    *,
    storage: str = DEFAULT_STORAGE,
    names: Iterable[str] | None = None,
    patience: Patience | None = None,
) -> list[optuna.Study]:
    """Return the named studies of a storage, or all of them, oldest first.

    Args:
        storage: Its address.
        names: Names of studies; None takes all.
        patience: How long its server is waited for, now and later; None does not wait.

    Raises:
        StudyNotFoundError: There is no study of a name.
        StorageError: The storage can't be read.
    """
    opened = open_storage(storage, create=False, patience=patience)
    return [load_study(opened, name) for name in (names or study_names(opened))]


def read_studies(*, storage: str = DEFAULT_STORAGE, names: Iterable[str] | None = None) -> list[StoredStudy]:
    """Return what the named studies of a storage hold, or all of them; see `open_studies`."""
    return [StoredStudy.of(study) for study in open_studies(storage=storage, names=names)]


@uses_storage
def open_study(
    name: str, *, storage: str = DEFAULT_STORAGE, patience: Patience | None = None
) -> optuna.Study:
    """Return one study of a storage; the arguments as in `open_studies`.

    Raises:
        StudyNotFoundError: There is no study of that name.
        StorageError: The storage can't be read.
    """
    (found,) = open_studies(storage=storage, names=[name], patience=patience)
    return found


def require_model(study: StoredStudy) -> None:
    """Raise `SweepError` if only an objective of the user's knows a study's model, data and seeds."""
    if study.is_of_objective:
        raise SweepError(f"study {study.name!r}: {NOT_STORED}")


def require_studies(studies: Sequence[StoredStudy], where: str) -> None:
    """Raise `SweepError` if a storage, named in ``where``, has no studies."""
    if not studies:
        raise SweepError(f"{where} has no studies yet; run a sweep first, such as: make sweep-dense")
