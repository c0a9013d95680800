"""Many trials put into a study at once: as Optuna would have put them, in a few statements."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import optuna
import pytest
from made_studies import empty_study, fill_study
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from statements import counted

from fmnist_sweep.storage.bulk_reads import BulkStorage
from fmnist_sweep.storage.bulk_writes import add_trials, set_system_attributes, upsert_rows

TABLES = ("trials", "trial_values", "trial_params", "trial_user_attributes", "trial_intermediate_values")


def given(n: int = 6) -> list[FrozenTrial]:
    """Return finished trials, the last with numbers that no table holds as one."""
    made = empty_study(None)
    fill_study(made, n)
    trials = [t for t in made.get_trials() if t.state.is_finished()]
    odd = optuna.create_trial(
        value=-math.inf, intermediate_values={3: math.nan, 1: math.inf}, system_attrs={"fixed_params": {}}
    )
    trials[0].datetime_start = datetime(2026, 7, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - as Optuna has it
    return [*trials, odd]


def rows(storage: BulkStorage, table: str, study: optuna.Study) -> list[Any]:
    """Return all that a table holds of a study, without the numbers of its rows."""
    with storage.engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()  # noqa: S608 - ours
    numbers = {t._trial_id: t.number for t in study.get_trials(deepcopy=False)}
    ids = ("trial_id", "study_id", "param_id", f"{table.removesuffix('s')}_id")
    plain = [({k: v for k, v in row.items() if k not in ids}, numbers.get(row["trial_id"])) for row in found]
    return sorted((repr(row), number) for row, number in plain if number is not None)


def test_the_tables_hold_what_optuna_would_have_put_there(storage: BulkStorage) -> None:
    """Row for row, behind the trials that the study has already."""
    before = optuna.create_trial(value=1.0)
    studies = [optuna.create_study(study_name=name, storage=storage) for name in ("one", "two")]
    for study in studies:
        study.add_trial(before)
    trials = given()
    add_trials(studies[0], trials)
    studies[1].add_trials(trials)
    ours, theirs = ([rows(storage, table, study) for table in TABLES] for study in studies)
    assert ours == theirs
    assert [t.number for t in studies[0].trials] == list(range(len(trials) + 1))


def test_no_trial_takes_statements_of_its_own(storage: BulkStorage) -> None:
    """Ten times as many trials are put there by as many statements."""
    asked = []
    for n in (2, 20):
        study = optuna.create_study(study_name=f"of-{n}", storage=storage)
        with counted(storage.engine) as statements:
            add_trials(study, given(n))
        asked.append(len(statements))
    assert asked[0] == asked[1] < 20


def test_trials_that_do_not_fit_are_refused_before_any_is_put_there(sqlite_storage: BulkStorage) -> None:
    """A trial that is not whole, and two that draw one parameter in different ways."""
    study = optuna.create_study(storage=sqlite_storage)
    whole = optuna.create_trial(value=1.0, params={"x": 1}, distributions={"x": IntDistribution(0, 2)})
    other = optuna.create_trial(value=1.0, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 2)})
    cut = optuna.create_trial(value=1.0)
    cut.values = None
    for bad in (other, cut):
        with pytest.raises(ValueError, match=r"distribution|should be set"):
            add_trials(study, [whole, bad])
    assert study.trials == []


def test_what_is_kept_beside_a_study_is_put_there_at_once(storage: BulkStorage) -> None:
    """In one statement, in the place of what was there; a study in memory takes it too."""
    for study in (optuna.create_study(storage=storage), optuna.create_study()):
        keep, study_id = study._storage, study._study_id
        keep.set_study_system_attr(study_id, "a", 1)
        set_system_attributes(study, {"a": [2], "b": "\u5c42"})
        assert keep.get_study_system_attrs(study_id) == {"a": [2], "b": "\u5c42"}
    study = optuna.create_study(storage=storage)
    with counted(storage.engine) as statements:
        set_system_attributes(study, {str(i): i for i in range(50)})
    assert len(statements) == 1


def test_a_study_in_memory_takes_them_too() -> None:
    """Where there are no tables, Optuna adds them."""
    study = optuna.create_study()
    add_trials(study, given(2))
    assert len(study.trials) == len(given(2))


def test_many_rows_are_one_statement(storage: BulkStorage) -> None:
    """What has a row's key takes its place; numbers that no column holds, and quotes, come through."""
    study = optuna.create_study(storage=storage)
    number = study.ask()._trial_id
    of_reports, of_attributes = models.TrialIntermediateValueModel, models.TrialUserAttributeModel
    told = of_reports.intermediate_value_to_stored_repr
    given = [
        {0: 0.5, 1: math.nan, 2: math.inf, 3: -math.inf, 4: 1e-300},
        {1: 0.25, 4: math.nan, **{step: step / 7 for step in range(5, 500)}},
    ]
    texts = {"a": '["\u5c42", "it\'s {1,2}"]', "b": "null", "c": '"\\\\"'}
    with counted(storage.engine) as statements, storage.engine.begin() as connection:
        for reports in given:
            rows = [
                {
                    "trial_id": number,
                    "step": step,
                    "intermediate_value": value,
                    "intermediate_value_type": kind,
                }
                for step, score in reports.items()
                for value, kind in [told(score)]
            ]
            upsert_rows(connection, of_reports.__table__, ("trial_id", "step"), rows)
        attributes = [{"trial_id": number, "key": key, "value_json": text} for key, text in texts.items()]
        upsert_rows(connection, of_attributes.__table__, ("trial_id", "key"), attributes)
    assert len(statements) == 3
    if storage.engine.dialect.name == "postgresql":
        assert all("unnest" in statement for statement in statements)
    (trial,) = study.trials
    stored = sorted(trial.intermediate_values.items())
    assert repr(stored) == repr(sorted({**given[0], **given[1]}.items()))
    assert trial.user_attrs == {key: json.loads(text) for key, text in texts.items()}
