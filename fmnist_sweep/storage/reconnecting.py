"""A storage in a PostgreSQL server that may go away for a while: what was asked of it is asked again.

Whether a write that got no answer was done, nobody tells: each is made so that doing it twice does it once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import optuna
import sqlalchemy.exc
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session
from typing_extensions import override

from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.bulk_reads import BulkStorage

R = TypeVar("R")

LOST_ERRORS: Final = (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError)
"""What a storage raises whose database can't be used, among other things."""

_PAUSE_S: Final = 0.5

_NO_CONNECTION: Final = "08"
"""What the names of errors of a connection begin with."""

_SHUTTING_DOWN: Final = ("57P01", "57P02", "57P03")
"""What PostgreSQL calls a server that ends, crashed, or is not yet ready."""


class Patience:
    """How long a server that is away is waited for.

    Args:
        url: Address of the storage, for the message.
        seconds: From the first answer that did not come; 0 waits for nothing.
        say: Takes a line for the user.
        is_kept: Asked once the server answers again, before anything is written: returns False as long as
            it can't be told whether the study is this process's still, and raises where it is not. None
            where nothing is held.

    Once the time is over, nothing is waited for any more.
    """

    def __init__(
        self,
        url: str,
        seconds: float,
        *,
        say: Callable[[str], None],
        is_kept: Callable[[], bool] | None = None,
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._say = say
        self._is_kept = is_kept
        self._is_waiting = False
        self._is_over = False

    def call(self, operation: Callable[[int], R]) -> R:
        """Do something with the storage, again and again while its server is away.

        Args:
            operation: Is told how often it was tried before, and may have been done then.

        Raises:
            StorageInternalError: The server did not come back in time.
            SQLAlchemyError: The same.
            SweepError: As ``is_kept`` says.
        """
        try:
            return operation(0)
        except LOST_ERRORS as error:
            if self._is_waiting or self._is_over or not is_away(error):
                raise
            lost = error
        self._is_waiting = True
        try:
            return self._call_again(operation, lost)
        except KeyboardInterrupt:
            # Whoever presses Ctrl-C twice does not want to wait at the next write.
            self._is_over = True
            raise
        finally:
            self._is_waiting = False

    def _call_again(self, operation: Callable[[int], R], lost: Exception) -> R:
        deadline = time.monotonic() + self._seconds
        n_tried, is_told = 0, False
        # At first at once: a connection that was cut says nothing of the server.
        while True:
            try:
                if self._is_kept is None or self._is_kept():
                    n_tried += 1
                    result = operation(n_tried)
                    break
            except LOST_ERRORS as error:
                if not is_away(error):
                    raise
                lost = error
            if time.monotonic() >= deadline:
                self._is_over = True
                raise lost
            if not is_told:
                is_told = True
                goes_on = "" if self._is_kept is None else " The trainings go on."
                waits = f"trying again for up to {self._seconds:g} s.{goes_on}"
                self._say(f"{safe_url(self._url)} does not answer; {waits}")
            time.sleep(_PAUSE_S)
        if is_told:
            self._say(f"{safe_url(self._url)} answers again.")
        return result


def is_away(error: Exception) -> bool:
    """Return whether an error says that a server is gone, and not that it refuses what it was asked."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    if isinstance(cause, sqlalchemy.exc.PendingRollbackError):
        # Optuna asks in another way where a statement fails; of a lost connection this is all that is left.
        return True
    if not isinstance(cause, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError):
        return False
    # None of an attempt to connect that failed.
    state = getattr(cause.orig, "sqlstate", None) or _NO_CONNECTION
    return cause.connection_invalidated or state.startswith(_NO_CONNECTION) or state in _SHUTTING_DOWN


def _patient(name: str) -> Callable[..., Any]:
    """Return a method of Optuna's storage that can be repeated as it is."""
    method = getattr(BulkStorage, name)

    @functools.wraps(method)
    def patient(self: ReconnectingStorage, *args: Any, **options: Any) -> Any:
        return self.patiently(lambda _tried: method(self, *args, **options))

    return patient


class ReconnectingStorage(BulkStorage):
    """Optuna's storage, which waits for its server as long as its `Patience` says; None waits for nothing.

    Optuna's own storages repeat nothing but the making of a trial, and that without asking whether the first
    one was made. What reads a storage through Optuna's cache uses some of its private methods, so these are
    here as well. Not for several threads while it has a patience.
    """

    patience: Patience | None = None

    def patiently(self, operation: Callable[[int], R]) -> R:
        """Do something with the storage as `Patience.call` does it."""
        return operation(0) if self.patience is None else self.patience.call(operation)

    set_study_user_attr = _patient("set_study_user_attr")
    set_study_system_attr = _patient("set_study_system_attr")
    get_study_id_from_name = _patient("get_study_id_from_name")
    get_study_name_from_id = _patient("get_study_name_from_id")
    get_study_directions = _patient("get_study_directions")
    get_study_user_attrs = _patient("get_study_user_attrs")
    get_study_system_attrs = _patient("get_study_system_attrs")
    get_all_studies = _patient("get_all_studies")
    get_trial = _patient("get_trial")
    get_trial_id_from_study_id_trial_number = _patient("get_trial_id_from_study_id_trial_number")
    get_trial_user_attrs = _patient("get_trial_user_attrs")
    get_trial_system_attrs = _patient("get_trial_system_attrs")
    get_trial_param = _patient("get_trial_param")
    _get_trials = _patient("_get_trials")
    _get_best_trial_id = _patient("_get_best_trial_id")
    # A parameter that is there already is left; the others replace what is there.
    _set_trial_param = _patient("_set_trial_param")
    set_trial_intermediate_value = _patient("set_trial_intermediate_value")
    set_trial_user_attr = _patient("set_trial_user_attr")
    set_trial_system_attr = _patient("set_trial_system_attr")

    @override
    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        def create(n_tried: int) -> int:
            try:
                return RDBStorage.create_new_study(self, directions, study_name)
            except optuna.exceptions.DuplicatedStudyError:
                if not n_tried or study_name is None:
                    raise
                return RDBStorage.get_study_id_from_name(self, study_name)

        return self.patiently(create)

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        def write(n_tried: int) -> bool:
            if n_tried and RDBStorage.get_trial(self, trial_id).state is state:
                # Optuna would refuse to end a trial twice, and take one that runs for another process's.
                return True
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)

        return self.patiently(write)

    @override
    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if self.patience is None:
            return super()._create_new_trial(study_id, template_trial)
        tried: list[dict[str, Any]] = []

        def create(_tried: int) -> int:
            with Session(self.engine) as session, session.begin():
                # As Optuna does it: trials are numbered by counting.
                models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
                for trial in tried:
                    # A server that crashed may give a number again that it gave before.
                    if session.query(models.TrialModel).filter_by(**trial).count():
                        return int(trial["trial_id"])
                made = self._get_prepared_new_trial(study_id, template_trial, session)
                session.flush()
                known = ("trial_id", "study_id", "number", "_datetime_start_utc")
                tried.append({name: getattr(made, name) for name in known})
                return int(made.trial_id)

        made: FrozenTrial = self.get_trial(self.patiently(create))
        return made


def patiently(study: optuna.Study, operation: Callable[[], R]) -> R:
    """Do something with a study's tables as its storage does what it is asked: see `Patience.call`.

    Args:
        study: The study.
        operation: May be done twice: whether a write that got no answer was done, nobody tells.
    """
    storage = _backend(study)
    return storage.patiently(lambda _tried: operation()) if storage is not None else operation()


def _backend(study: optuna.Study) -> ReconnectingStorage | None:
    """Return a study's storage where it is one that waits."""
    storage = study._storage  # noqa: SLF001 - a study does not tell its storage otherwise
    storage = getattr(storage, "_backend", storage)
    return storage if isinstance(storage, ReconnectingStorage) else None


def wait_for_server(study: optuna.Study, patience: Patience | None) -> Patience | None:
    """Let a study's storage wait for its server from now on, and return how it did before.

    Without effect where it has none that is waited for.
    """
    storage = _backend(study)
    if storage is None:
        return None
    before, storage.patience = storage.patience, patience
    return before


@contextmanager
def waiting(study: optuna.Study, patience: Patience | None) -> Iterator[None]:
    """Let a study's storage wait for its server in this block as `wait_for_server` does; None: not at all."""
    before = wait_for_server(study, patience)
    try:
        yield
    finally:
        wait_for_server(study, before)
