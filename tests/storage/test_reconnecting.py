"""A storage whose server goes away, on SQLite: the errors are made, and come wherever they may."""

from __future__ import annotations

import inspect
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState

from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.storage import reconnecting
from fmnist_sweep.storage.held import holding
from fmnist_sweep.storage.reconnecting import Patience, ReconnectingStorage, wait_for_server, waiting

NO_DATABASE_CALL = {
    "delete_study",
    "record_heartbeat",
    "_get_stale_trial_ids",
    "get_heartbeat_interval",
    "get_heartbeat_stale_trial_callback",
}
"""What no run asks of a storage."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing between two attempts."""
    monkeypatch.setattr(reconnecting, "_PAUSE_S", 0.0)


@pytest.fixture
def said() -> list[str]:
    """What the user is told."""
    return []


@pytest.fixture
def flaky(sqlite_storage: RDBStorage, said: list[str]) -> Iterator[ReconnectingStorage]:
    """A storage without studies that waits a minute for its server."""
    url = str(sqlite_storage.engine.url)
    storage = ReconnectingStorage(url, sqlite_storage.engine_kwargs, skip_table_creation=True)
    sqlite_storage.engine.dispose()
    storage.patience = Patience(url, 60, say=said.append, is_kept=lambda: True)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def cut(storage: RDBStorage, call: str, *, when: Callable[[int], bool], after: bool = False) -> list[int]:
    """Let the database fail in a call of its driver, before or after it is done; return where it failed."""
    dialect, failed, n = storage.engine.dialect, [], 0
    real = getattr(dialect, call)

    def fails(*args: Any, **options: Any) -> Any:
        nonlocal n
        n += 1
        if not after and when(n):
            failed.append(n)
            raise sqlite3.OperationalError("server closed the connection unexpectedly")
        real(*args, **options)
        if after and when(n):
            failed.append(n)
            raise sqlite3.OperationalError("server closed the connection unexpectedly")

    setattr(dialect, call, fails)
    return failed


def study_with_everything(storage: optuna.storages.BaseStorage, *, held: bool = False) -> optuna.Study:
    """Do all that a run does with a storage, whose trials it holds or not."""
    study = optuna.create_study(study_name="all", storage=storage, direction="maximize")
    with holding(study) if held else nullcontext():
        do_everything(study)
    return study


def do_everything(study: optuna.Study) -> None:
    """Do all that a run does with a study."""
    study.set_user_attr("config", {"a": 1})
    study.enqueue_trial({"x": 0.5}, user_attrs={"retry_of": 7})
    for number in range(3):
        trial = study.ask()
        assert trial.number == number
        trial.suggest_float("x", 0.0, 1.0)
        trial.set_user_attr("run", "me")
        for step in range(2):
            trial.report(step / 7, step)
            trial.should_prune()
        if number == 1:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            trial = study.ask()
            assert trial.number == number
        study.tell(trial, *([None, TrialState.PRUNED] if number == 2 else [1 / 3]))
    study.add_trial(optuna.create_trial(value=0.25, params={}, distributions={}))


@pytest.mark.parametrize(
    ("call", "every", "after"),
    [("do_commit", 3, True), ("do_commit", 3, False), ("do_execute", 31, True), ("do_execute", 31, False)],
)
@pytest.mark.parametrize("held", [False, True])
def test_an_answer_that_is_lost_loses_and_doubles_nothing(
    flaky: ReconnectingStorage, call: str, every: int, *, after: bool, held: bool
) -> None:
    """Whatever was asked, and whether or not it was done: the study is as if nothing had been."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    failed = cut(flaky, call, when=lambda n: n % every == 0, after=after)
    study = study_with_everything(flaky, held=held)
    trials = study.trials
    assert failed
    assert [t.number for t in trials] == [0, 1, 2, 3]
    assert [t.state.name for t in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert [t.value for t in trials] == [1 / 3, 1 / 3, 1 / 7, 0.25]
    assert [sorted(t.intermediate_values.items()) for t in trials] == [[(0, 0.0), (1, 1 / 7)]] * 3 + [[]]
    assert (trials[0].params, trials[0].user_attrs) == ({"x": 0.5}, {"retry_of": 7, "run": "me"})
    assert study.user_attrs == {"config": {"a": 1}}
    assert [s.study_name for s in optuna.get_all_study_summaries(flaky)] == ["all"]


def test_a_server_that_comes_back_is_told_once(flaky: ReconnectingStorage, said: list[str]) -> None:
    """That it is away, and that it is back; a connection that was merely cut is not worth a line."""
    study = optuna.create_study(study_name="a", storage=flaky)
    cut(flaky, "do_execute", when=lambda n: n == 1)
    study.set_user_attr("x", 1)
    assert said == []
    cut(flaky, "do_execute", when=lambda n: n < 5)
    study.set_user_attr("x", 2)
    address = str(flaky.engine.url)
    assert said == [
        f"{address} does not answer; trying again for up to 60 s. The trainings go on.",
        f"{address} answers again.",
    ]
    assert study.user_attrs == {"x": 2}


def test_a_server_that_stays_away_is_waited_for_once(flaky: ReconnectingStorage, said: list[str]) -> None:
    """The error comes when the time is over, and what follows does not wait."""
    study = optuna.create_study(study_name="a", storage=flaky)
    wait_for_server(study, Patience("sqlite:///x", 0.05, say=said.append))
    failed = cut(flaky, "do_execute", when=lambda _: True)
    for more in (True, False):
        before = len(failed)
        with pytest.raises(optuna.exceptions.StorageInternalError):
            study.set_user_attr("x", 1)
        assert (len(failed) > before + 1) is more
    assert said == ["sqlite:///x does not answer; trying again for up to 0.05 s."]


def test_no_time_is_no_wait(flaky: ReconnectingStorage, said: list[str]) -> None:
    """What a server was asked is asked once more, and no more."""
    study = optuna.create_study(study_name="a", storage=flaky)
    wait_for_server(study, Patience("sqlite:///x", 0, say=said.append))
    failed = cut(flaky, "do_execute", when=lambda _: True)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.set_user_attr("x", 1)
    assert (len(failed), said) == (2, [])


def test_nothing_is_written_before_the_study_is_known_to_be_kept(
    flaky: ReconnectingStorage, said: list[str]
) -> None:
    """While that can't be told it is waited for; of a study that was taken over nothing is written."""
    study = optuna.create_study(study_name="a", storage=flaky)
    answers: list[Any] = [False, False, True]

    def is_kept() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert study.user_attrs == {}
        return bool(answer)

    wait_for_server(study, Patience("sqlite:///x", 60, say=said.append, is_kept=is_kept))
    cut(flaky, "do_execute", when=lambda n: n == 1)
    study.set_user_attr("x", 1)
    assert answers == []
    answers.append(StudyBusyError("taken over"))
    cut(flaky, "do_execute", when=lambda n: n == 1)
    with pytest.raises(StudyBusyError):
        study.set_user_attr("y", 1)
    assert study.user_attrs == {"x": 1}


def test_a_mistake_is_no_server_that_is_away(
    flaky: ReconnectingStorage, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that the database refuses is an error at once, as ever."""
    study = optuna.create_study(study_name="a", storage=flaky)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(study_name="a", storage=flaky)

    def refused(*_: Any) -> None:
        raise sqlite3.ProgrammingError("no such table")

    monkeypatch.setattr(flaky.engine.dialect, "do_execute", refused)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.set_user_attr("x", 1)
    assert said == []


def test_ctrl_c_ends_the_wait(flaky: ReconnectingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that of all writes that would follow."""
    study = optuna.create_study(study_name="a", storage=flaky)
    failed = cut(flaky, "do_execute", when=lambda _: True)

    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pressed)
    with pytest.raises(KeyboardInterrupt):
        study.set_user_attr("x", 1)
    before = len(failed)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.set_user_attr("x", 1)
    assert len(failed) == before + 1


def test_a_wait_may_be_for_a_while(flaky: ReconnectingStorage, said: list[str]) -> None:
    """After it the storage waits as before."""
    study = optuna.create_study(study_name="a", storage=flaky)
    before = flaky.patience
    with waiting(study, Patience("sqlite:///x", 1, say=said.append)):
        assert flaky.patience is not before
    assert flaky.patience is before
    in_memory = optuna.create_study()
    assert wait_for_server(in_memory, before) is None


def test_no_call_of_optunas_cache_is_left_out() -> None:
    """Another Optuna may ask a storage for something else: each call waits for its server."""
    asked = set(re.findall(r"_backend\.(\w+)\(", inspect.getsource(_CachedStorage)))
    ours = vars(ReconnectingStorage).keys()
    assert asked - ours == NO_DATABASE_CALL
    assert all(hasattr(RDBStorage, name) for name in ours & asked)


def test_a_lost_connection_is_told_from_a_refusal() -> None:
    """By PostgreSQL's own names of errors: a full disk, or a lock that another has, is no server away."""

    class _Told(Exception):  # noqa: N818 - as a driver has it
        def __init__(self, state: str | None) -> None:
            self.sqlstate = state

    def away(state: str | None) -> bool:
        return reconnecting.is_away(sqlalchemy.exc.OperationalError("", {}, _Told(state)))

    assert all(map(away, [None, "08006", "57P01", "57P02", "57P03"]))
    assert not any(map(away, ["53100", "55P03", "57014", "40P01"]))
    assert reconnecting.is_away(sqlalchemy.exc.PendingRollbackError())
    assert not reconnecting.is_away(sqlalchemy.exc.IntegrityError("", {}, _Told("23505")))
