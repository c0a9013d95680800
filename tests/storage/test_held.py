"""A study whose one writer holds its trials: its tables hold what Optuna would write, in fewer steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from statements import counted

from fmnist_sweep.storage import held as holding_module
from fmnist_sweep.storage.bulk_reads import BulkStorage
from fmnist_sweep.storage.bulk_writes import add_trials
from fmnist_sweep.storage.held import HeldStorage, holding
from fmnist_sweep.storage.lease.ownership import put_back

TABLES = (
    *("trials", "trial_values", "trial_params", "trial_user_attributes", "trial_system_attributes"),
    "trial_intermediate_values",
)
IDS = ("_id", "datetime_start", "datetime_complete")


def study_named(storage: BulkStorage, name: str) -> optuna.Study:
    """Return a new study that draws the same as every other one."""
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=2)
    return optuna.create_study(study_name=name, storage=storage, sampler=sampler, direction="maximize")


def again(storage: BulkStorage, name: str) -> optuna.Study:
    """Return a study as another process opens it."""
    return optuna.load_study(study_name=name, storage=storage)


def run(study: optuna.Study) -> None:
    """Do with a study what a sweep does: ask, report, prune, tell, fail, put back."""
    study.pruner = optuna.pruners.SuccessiveHalvingPruner()
    for n in range(8):
        trial = study.ask()
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_int("depth", 1, 3)
        trial.suggest_categorical("activation", ["relu", "tanh"])
        trial.set_user_attr("curve", {"val": (0.1, 0.2), 3: None})
        pruned = False
        for step in range(4):
            trial.report(0.1 * step - 0.01 * n, step)
            pruned = pruned or trial.should_prune()
        if n == 5:
            study.tell(trial, state=TrialState.FAIL)
        elif pruned:
            study.tell(trial, state=TrialState.PRUNED)
        elif n < 7:
            study.tell(trial, 0.5 - 0.01 * n)
        else:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def rows(storage: BulkStorage, study: str) -> dict[str, Any]:
    """Return all that the tables hold of a study, but for the times and the numbers of rows."""
    numbers = {t._trial_id: t.number for t in again(storage, study).get_trials(deepcopy=False)}
    found = {}
    with storage.engine.connect() as connection:
        for table in TABLES:
            all_rows = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()  # noqa: S608 - ours
            found[table] = sorted(
                (numbers[row["trial_id"]], repr({k: v for k, v in row.items() if not k.endswith(IDS)}))
                for row in all_rows
                if row["trial_id"] in numbers
            )
    return found


def test_the_tables_hold_what_optuna_would_have_written(storage: BulkStorage) -> None:
    """Row for row: the same draws, prunings, values and attributes."""
    run(study_named(storage, "theirs"))
    ours = study_named(storage, "ours")
    with holding(ours) as held:
        assert isinstance(held, HeldStorage)
        run(ours)
    assert rows(storage, "ours") == rows(storage, "theirs")


def test_what_is_known_is_what_is_stored(storage: BulkStorage) -> None:
    """While it is held, after it, and for whoever opens it anew."""
    study = study_named(storage, "one")
    with holding(study):
        run(study)
        inside = study.get_trials()
    opened = again(storage, "one").get_trials()
    assert study.get_trials() == opened
    assert [t.number for t in inside] == list(range(8))
    for one, other in zip(inside, opened, strict=True):
        assert (one.state, one.values, one.params, one.distributions) == (
            *(other.state, other.values, other.params, other.distributions),
        )
        assert (one.user_attrs, one.system_attrs) == (other.user_attrs, other.system_attrs)
        assert one.intermediate_values == other.intermediate_values
        assert (one.datetime_start, one.datetime_complete) == (other.datetime_start, other.datetime_complete)


def test_reports_are_written_together(storage: BulkStorage) -> None:
    """A hundred take no more statements than one, and none before their time."""
    study = study_named(storage, "one")
    with holding(study) as held:
        assert held is not None
        trial = study.ask()
        held.write()
        asked = []
        for steps in (range(1), range(1, 101)):
            with counted(storage.engine) as statements:
                for step in steps:
                    trial.report(0.5, step)
                assert statements == []
                held.write()
            asked.append(len(statements))
        assert asked[0] == asked[1]
        trial.report(0.6, 101)
        held.write_in_time()
        assert again(storage, "one").trials[0].last_step == 100
    assert again(storage, "one").trials[0].last_step == 101


def test_whole_numbers_are_stored_beside_others(storage: BulkStorage) -> None:
    """As scores, values and parameters: a server takes a column of them as one value of one type."""
    study = study_named(storage, "one")
    with holding(study):
        first, second = study.ask(), study.ask()
        for trial in (first, second):
            trial.suggest_int("depth", 1, 3)
            trial.suggest_float("rate", 0.0, 1.0)
        first.report(1, 0)
        second.report(np.float64(0.5), 0)
        second.report(math.nan, 1)
        study.tell(first, 1)
    one, other = again(storage, "one").trials
    assert (one.value, one.intermediate_values, other.intermediate_values[0]) == (1.0, {0: 1.0}, 0.5)
    assert math.isnan(other.intermediate_values[1])


def test_what_waited_long_enough_is_written(storage: BulkStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a parent that is killed loses no more than that."""
    monkeypatch.setattr(holding_module, "WRITTEN_WITHIN_S", 0.0)
    study = study_named(storage, "one")
    with holding(study) as held:
        assert held is not None
        study.ask().report(0.5, 0)
        held.write_in_time()
        assert again(storage, "one").trials[0].last_step == 0


def test_the_end_of_a_trial_is_written_at_once(storage: BulkStorage) -> None:
    """With all that was told of it: what it could go on from may be removed then."""
    study = study_named(storage, "one")
    with holding(study):
        trial = study.ask()
        trial.report(0.5, 0)
        trial.set_user_attr("n", 1)
        study.tell(trial, 0.5)
        (stored,) = again(storage, "one").trials
        assert (stored.state, stored.value, stored.user_attrs) == (TrialState.COMPLETE, 0.5, {"n": 1})
        assert stored.intermediate_values == {0: 0.5}


def test_ends_of_one_turn_are_written_together(storage: BulkStorage) -> None:
    """Twenty take no more statements than two, none before the last; what is asked knows them at once."""
    study = study_named(storage, "one")
    asked = []
    with holding(study) as held:
        assert held is not None
        for n in (2, 20):
            trials = [study.ask() for _ in range(n)]
            held.write()
            with counted(storage.engine) as statements, held.together():
                for trial in trials:
                    trial.report(0.5, 0)
                    study.tell(trial, 0.5)
                assert statements == []
                assert study.trials[-1].state is TrialState.COMPLETE
                assert again(storage, "one").trials[-1].state is TrialState.RUNNING
                statements.clear()
            asked.append(len(statements))
            assert again(storage, "one").trials[-1].state is TrialState.COMPLETE
        inside = study.trials
    assert asked[0] == asked[1]
    assert inside == again(storage, "one").trials
    assert len({trial.datetime_complete for trial in inside}) == 2


def test_ends_that_were_cut_short_still_wait(storage: BulkStorage) -> None:
    """Whoever puts back what runs writes them."""
    study = study_named(storage, "one")
    with holding(study) as held:
        assert held is not None
        trial = study.ask()

        def end_one() -> None:
            with held.together():
                study.tell(trial, 0.5)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            end_one()
        assert again(storage, "one").trials[0].state is TrialState.RUNNING
        assert put_back(study) == 0
        assert again(storage, "one").trials[0].state is TrialState.COMPLETE


def test_a_trial_of_another_tool_is_found(storage: BulkStorage) -> None:
    """Also where this process has made a trial since."""
    study = study_named(storage, "one")
    with holding(study):
        study.ask()
        again(storage, "one").enqueue_trial({"rate": 0.01})
        first = study.ask()
        assert first.number == 1
        assert first.suggest_float("rate", 0.0, 1.0) == 0.01
        assert study.ask().number == 2


def test_trials_of_other_tools_keep_their_numbers(storage: BulkStorage) -> None:
    """Those that wait are taken in order; those that ended, or that another takes itself, are counted."""
    study = study_named(storage, "one")
    with holding(study):
        study.ask()
        other = again(storage, "one")
        other.add_trial(optuna.create_trial(value=0.5))
        other.enqueue_trial({"rate": 0.2})
        other.enqueue_trial({"rate": 0.3})
        assert [study.ask().number for _ in range(3)] == [2, 3, 4]
        other.enqueue_trial({"rate": 0.4})
        assert other.ask().number == 5
        assert study.ask().number == 6
        assert [t.state.name for t in study.trials] == ["RUNNING", "COMPLETE", *["RUNNING"] * 5]
    assert [t.number for t in again(storage, "one").trials] == list(range(7))


def test_a_trial_that_another_tool_took_first_is_left_to_it(storage: BulkStorage) -> None:
    """It is known to wait when it is taken elsewhere, and ended there."""
    study = study_named(storage, "one")
    study.enqueue_trial({"rate": 0.2})
    study.enqueue_trial({"rate": 0.3})
    with holding(study):
        other = again(storage, "one")
        other.ask()
        other.tell(other.ask(), 0.5)
        assert [study.ask().number for _ in range(2)] == [2, 3]
        assert [t.state.name for t in study.trials[:2]] == ["RUNNING", "COMPLETE"]


def test_a_trial_is_made_in_a_few_statements(storage: BulkStorage) -> None:
    """However many the study has: nothing of them is read."""
    asked = []
    for n in (1, 300):
        study = study_named(storage, f"of-{n}")
        add_trials(study, [optuna.create_trial(value=0.5)] * n)
        with holding(study):
            study.ask()
            with counted(storage.engine) as statements:
                assert study.ask().number == n + 1
        asked.append(len(statements))
    assert asked[0] == asked[1] <= 2


def test_trials_are_put_back_together(storage: BulkStorage) -> None:
    """A thousand that run when Ctrl-C is pressed take no more statements than one."""
    asked = []
    for n in (1, 20):
        study = study_named(storage, f"of-{n}")
        with holding(study) as held:
            assert held is not None
            trials = [study.ask() for _ in range(n)]
            with counted(storage.engine) as statements:
                for trial in trials:
                    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                held.write()
            asked.append(len(statements))
            assert [t.state for t in again(storage, f"of-{n}").trials] == [TrialState.WAITING] * n
            assert [study.ask().number for _ in range(n)] == list(range(n))
    assert asked[0] == asked[1]


def in_use(storage: BulkStorage) -> int:
    """Return how many connections to a database are."""
    pool = storage.engine.pool
    assert isinstance(pool, sqlalchemy.QueuePool)
    return pool.checkedout()


def test_the_connection_is_given_back(storage: BulkStorage) -> None:
    """Whether or not the block came to its end: nothing keeps a database open."""
    study = study_named(storage, "one")
    with holding(study):
        study.tell(study.ask(), 0.5)
    assert in_use(storage) == 0

    def run_on() -> None:
        with holding(study):
            study.ask()
            raise RuntimeError("taken over")

    with pytest.raises(RuntimeError, match="taken over"):
        run_on()
    assert in_use(storage) == 0


def test_what_another_process_has_ended_is_not_written_to(storage: BulkStorage) -> None:
    """As Optuna refuses it; and nothing of it is known afterwards."""
    study = study_named(storage, "one")

    def run_on() -> None:
        with holding(study):
            trial = study.ask()
            trial.report(0.5, 0)
            again(storage, "one").tell(0, 0.9)
            study.tell(trial, 0.5)

    with pytest.raises(UpdateFinishedTrialError):
        run_on()
    (stored,) = study.trials
    assert (stored.value, stored.intermediate_values) == (0.9, {})


def test_after_an_error_nothing_more_is_written(storage: BulkStorage) -> None:
    """The study may have been taken over."""
    study = study_named(storage, "one")

    def run_on() -> None:
        with holding(study):
            study.ask().report(0.5, 0)
            raise RuntimeError("taken over")

    with pytest.raises(RuntimeError, match="taken over"):
        run_on()
    assert study.trials[0].intermediate_values == {}


def test_a_write_that_got_no_answer_is_done_once(
    storage: BulkStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked twice, it ends a trial once."""
    study = study_named(storage, "one")
    with holding(study) as held:
        assert held is not None
        write = held._write

        def twice() -> None:
            write()
            write()

        monkeypatch.setattr(held, "_write", twice)
        trial = study.ask()
        trial.report(0.5, 0)
        study.tell(trial, 0.7)
    (stored,) = again(storage, "one").trials
    assert (stored.state, stored.value) == (TrialState.COMPLETE, 0.7)


def test_what_can_not_be_written_still_waits(storage: BulkStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full raises what Optuna would raise."""
    study = study_named(storage, "one")
    with holding(study) as held:
        assert held is not None
        trial = study.ask()
        trial.report(0.5, 0)

        def full(*_: Any, **__: Any) -> None:
            raise sqlalchemy.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))

        with monkeypatch.context() as patched:
            patched.setattr(held, "_require_open", full)
            with pytest.raises(optuna.exceptions.StorageInternalError, match="full"):
                held.write()
        held.write()
    assert again(storage, "one").trials[0].last_step == 0


def test_parameters_keep_their_distribution(storage: BulkStorage) -> None:
    """Also that of an earlier run's trials."""
    study = study_named(storage, "one")
    study.add_trial(
        optuna.create_trial(value=1, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})
    )
    with holding(study), pytest.raises(ValueError, match="distribution"):
        study.ask().suggest_categorical("x", ["a", "b"])


def test_a_study_in_memory_is_left_alone() -> None:
    """It has no tables."""
    study = optuna.create_study()
    with holding(study) as held:
        assert held is None
