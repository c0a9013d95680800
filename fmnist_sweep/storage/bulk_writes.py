"""Many finished trials put into a study by a few statements, where Optuna takes some forty for each.

The rows are those that Optuna writes: what reads a study can't tell the difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.dialects import postgresql, sqlite

from fmnist_sweep.storage.reconnecting import patiently
from fmnist_sweep.storage.studies import tables_of

_AT_ONCE: Final = 1000
"""Trials of which the rows are made before they are written: all at once would take hundreds of MB."""


def add_trials(study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
    """Put finished trials into a study, all of them or none; see `optuna.Study.add_trials`.

    Raises:
        ValueError: A trial is not whole, or draws a parameter from another distribution than the others.
    """
    engine = tables_of(study)
    # Without the numbers that the tables gave its trials, nothing could be put to them.
    if engine is None or not engine.dialect.insert_executemany_returning:
        study.add_trials(trials)
        return
    for trial in trials:
        trial._validate()  # noqa: SLF001 - as Optuna does it with each
    study_id = study._study_id  # noqa: SLF001
    _require_compatible(study, trials)
    with told_as_optuna(), engine.begin() as connection:
        # As Optuna: whoever else adds a trial waits, for its number follows from how many there are.
        owner = models.StudyModel.__table__
        locked = sqlalchemy.select(owner.c.study_id).where(owner.c.study_id == study_id).with_for_update()
        connection.execute(locked)
        of_study = models.TrialModel.__table__.c.study_id == study_id
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(models.TrialModel.__table__)
        number = connection.execute(count.where(of_study)).scalar_one()
        for first in range(0, len(trials), _AT_ONCE):
            _insert(connection, study_id, number + first, trials[first : first + _AT_ONCE])


UPSERTS: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def set_system_attributes(study: optuna.Study, values: Mapping[str, Any]) -> None:
    """Put values beside a study, as optuna-dashboard keeps them there; one of the same key is replaced.

    Raises:
        optuna.exceptions.StorageInternalError: The storage can't be written.
    """
    engine, study_id = tables_of(study), study._study_id  # noqa: SLF001
    insert = None if engine is None else UPSERTS.get(engine.dialect.name)
    if engine is None or insert is None:
        for key, value in values.items():
            study._storage.set_study_system_attr(study_id, key, value)  # noqa: SLF001
    elif values:
        table = models.StudySystemAttributeModel.__table__
        new: Any = insert(table)
        statement = new.on_conflict_do_update(
            index_elements=[table.c.study_id, table.c.key], set_={"value_json": new.excluded.value_json}
        )
        rows = [{"study_id": study_id, "key": k, "value_json": json.dumps(v)} for k, v in values.items()]

        def write() -> None:
            with told_as_optuna(), engine.begin() as connection:
                connection.execute(statement, rows)

        patiently(study, write)


def upsert_rows(
    connection: sqlalchemy.Connection,
    table: sqlalchemy.FromClause,
    keys: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Put rows into a table by one statement; one with the same keys is replaced.

    Args:
        connection: Of SQLite or PostgreSQL.
        table: The table.
        keys: Columns that tell its rows from each other; no two of ``rows`` are equal in them.
        rows: At least one; all name the same columns. A column's values are all of one type, or None.
    """
    dialect, names = connection.dialect.name, tuple(rows[0])
    values: Any = {name: [row[name] for row in rows] for name in names} if dialect == "postgresql" else rows
    connection.execute(_upsert(dialect, table, keys, names), values)


@cache
def _upsert(dialect: str, table: sqlalchemy.FromClause, keys: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """Return the statement of `upsert_rows`: to put it together takes as long as to run it."""
    insert: Any = UPSERTS[dialect]
    new = insert(table)
    if dialect == "postgresql":
        # Psycopg would send, and the server run, a statement for each row: here each column is one value.
        arrays = [sqlalchemy.bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in names]
        new = new.from_select(names, sqlalchemy.select(*map(sqlalchemy.func.unnest, arrays)))
    changed = {name: new.excluded[name] for name in names if name not in keys}
    return new.on_conflict_do_update(index_elements=keys, set_=changed)


@contextmanager
def told_as_optuna() -> Iterator[None]:
    """Raise what Optuna raises where a storage can't be written."""
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise optuna.exceptions.StorageInternalError(str(error)) from error


def _require_compatible(study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
    """Raise `ValueError` if a parameter is drawn from distributions that Optuna keeps apart."""
    first: dict[str, BaseDistribution] = {}
    known = study.get_trials(deepcopy=False)
    for trial in (*known, *trials):
        for name, distribution in trial.distributions.items():
            before = first.setdefault(name, distribution)
            if before is not distribution:
                check_distribution_compatibility(before, distribution)


def _insert(
    connection: sqlalchemy.Connection, study_id: int, number: int, trials: Sequence[FrozenTrial]
) -> None:
    """Write some trials, numbered from ``number``."""
    table = models.TrialModel.__table__
    rows = [
        {
            "number": number + i,
            "study_id": study_id,
            "state": trial.state,
            "datetime_start": _utc(trial.datetime_start),
            "datetime_complete": _utc(trial.datetime_complete),
        }
        for i, trial in enumerate(trials)
    ]
    returning = sqlalchemy.insert(table).returning(table.c.trial_id, table.c.number)
    owned = [(given, trials[nth - number]) for given, nth in connection.execute(returning, rows)]
    for model, parts in (
        (models.TrialValueModel, _values),
        (models.TrialParamModel, _params),
        (models.TrialUserAttributeModel, lambda trial: _attributes(trial.user_attrs)),
        (models.TrialSystemAttributeModel, lambda trial: _attributes(trial.system_attrs)),
        (models.TrialIntermediateValueModel, _reports),
    ):
        made = [{"trial_id": trial_id, **row} for trial_id, trial in owned for row in parts(trial)]
        if made:
            connection.execute(sqlalchemy.insert(model.__table__), made)


def _values(trial: FrozenTrial) -> Iterator[Mapping[str, Any]]:
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield {"objective": objective, "value": stored, "value_type": kind}


def _params(trial: FrozenTrial) -> Iterator[Mapping[str, Any]]:
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield {
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }


def _attributes(attributes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in attributes.items():
        yield {"key": key, "value_json": json.dumps(value)}


def _reports(trial: FrozenTrial) -> Iterator[Mapping[str, Any]]:
    told = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    for step, value in trial.intermediate_values.items():
        stored, kind = told(value)
        yield {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _utc(time: datetime | None) -> datetime | None:
    # Told in local time and stored in UTC, both without a zone.
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
