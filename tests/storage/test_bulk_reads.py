"""All trials of a study by a few statements: the same as Optuna gives, whatever was stored."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from made_studies import empty_study, fill_study
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from statements import counted

from fmnist_sweep.storage.bulk_reads import BulkStorage
from fmnist_sweep.storage.bulk_writes import add_trials


def copied(storage: RDBStorage, n: int, *, name: str = "dense") -> optuna.Study:
    """Put a study of trials of every state into a storage."""
    made = empty_study(None)
    fill_study(made, n)
    study = optuna.create_study(study_name=name, storage=storage)
    add_trials(study, made.get_trials())
    return study


def as_optuna_reads(storage: RDBStorage, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return RDBStorage._get_trials(storage, study._study_id, None, set(), -1)


def told(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    """Return all that a trial holds; by its text where NaN is not equal to itself."""
    fields = ("number", "state", "params", "distributions", "user_attrs", "system_attrs", "_trial_id")
    times = (trial.datetime_start, trial.datetime_complete)
    reports = repr(sorted(trial.intermediate_values.items()))
    return *(getattr(trial, name) for name in fields), *times, trial.values, reports


def test_what_is_read_is_what_optuna_reads(storage: BulkStorage) -> None:
    """Trials of every state, with numbers that are none, two objectives, and the order of what was drawn."""
    study = copied(storage, 24)
    trial = study.ask()
    for step, value in enumerate((0.5, math.inf, -math.inf, math.nan)):
        trial.report(value, step)
    study.tell(trial, math.inf)
    study.enqueue_trial({"depth": 1})
    two = optuna.create_study(storage=storage, directions=["maximize", "minimize"])
    two.add_trial(optuna.create_trial(values=[1.0, -math.inf], system_attrs={"half": "\ud800"}))
    for made in (study, two):
        read = storage._get_trials(made._study_id, None, set(), -1)
        expected = as_optuna_reads(storage, made)
        assert list(map(told, read)) == list(map(told, expected))
        assert [list(t.params) for t in read] == [list(t.params) for t in expected]
    assert {t.state for t in study.trials} >= {TrialState.PRUNED, TrialState.WAITING, TrialState.RUNNING}


def test_no_trial_takes_a_statement_of_its_own(storage: BulkStorage) -> None:
    """A study of ten times as many trials is read by as many statements."""
    asked = []
    for n in (3, 30):
        study = copied(storage, n, name=f"of-{n}")
        fresh = optuna.load_study(study_name=study.study_name, storage=storage)
        with counted(storage.engine) as statements:
            fresh.get_trials(deepcopy=False)
        asked.append(len(statements))
    assert asked[0] == asked[1] < 10


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trial_user_attributes SET value_json = '{half' WHERE key = 'seconds'",
        "UPDATE trial_params SET distribution_json = '{}'",
        "UPDATE trial_values SET objective = 5",
    ],
)
def test_what_can_not_be_read_is_told_in_the_words_of_optuna(
    sqlite_storage: BulkStorage, damage: str
) -> None:
    """Reading in bulk hides nothing, and says nothing of its own."""
    study = copied(sqlite_storage, 3)
    with sqlite_storage.engine.begin() as connection:
        connection.exec_driver_sql(damage)
    with pytest.raises((ValueError, LookupError)) as expected:
        as_optuna_reads(sqlite_storage, study)
    with pytest.raises(type(expected.value)) as told:
        sqlite_storage._get_trials(study._study_id, None, set(), -1)
    assert str(told.value) == str(expected.value)
