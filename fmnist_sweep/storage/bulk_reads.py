"""A storage that gives back all trials of a study by a few statements.

Optuna makes an object of every row first: for a study of thousands of trials with their curves, that takes
most of the time and of the memory that a command takes in all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any, Final

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.storage.collector import collector_paused
from fmnist_sweep.storage.json_text import parsed
from fmnist_sweep.storage.studies import UNREADABLE

_TRIALS: Final = models.TrialModel.__table__.c
_VALUES: Final = models.TrialValueModel.__table__.c
_PARAMS: Final = models.TrialParamModel.__table__.c
_REPORTS: Final = models.TrialIntermediateValueModel.__table__.c
_ATTRIBUTES: Final = (
    models.TrialUserAttributeModel.__table__.c,
    models.TrialSystemAttributeModel.__table__.c,
)
_AT_ONCE: Final = 5000
"""Rows that are fetched together."""

_WITHOUT_VALUE: Final = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}
"""Numbers that no table holds as one, by the kind that stands for them."""


class BulkStorage(RDBStorage):
    """Optuna's storage, which reads a study that it has not read yet in its own way.

    Whatever can't be read in this way is left to Optuna, which then says what is wrong in its own words.
    """

    @override
    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        if states is None and trial_id_greater_than < 0:
            try:
                # A large study is some hundred thousand rows, all of which stay: looking through them for
                # garbage, again and again, takes longer than reading them.
                with collector_paused(), self.engine.connect() as connection:
                    trials = _read(connection, study_id)
            except (*UNREADABLE, sqlalchemy.exc.SQLAlchemyError):
                trials = []
            if trials:
                return trials
        return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)


def _read(connection: sqlalchemy.Connection, study_id: int) -> list[FrozenTrial]:
    """Return all trials of a study, oldest first; none where there is no such study."""
    # The trials first: whatever one of them has was stored before its state.
    rows = connection.execute(
        sqlalchemy.select(
            _TRIALS.trial_id, _TRIALS.number, _TRIALS.state, _TRIALS.datetime_start, _TRIALS.datetime_complete
        )
        .where(_TRIALS.study_id == study_id)
        .order_by(_TRIALS.trial_id)
    ).all()
    if not rows:
        return []

    def of_trials(*columns: Any, order: Iterable[Any] = ()) -> Iterable[Any]:
        owner = columns[0]
        query = sqlalchemy.select(*columns).join_from(owner.table, models.TrialModel.__table__)
        found = connection.execute(query.where(_TRIALS.study_id == study_id).order_by(*order))
        # Row by row, the fetching alone would take a third of the time.
        return chain.from_iterable(found.partitions(_AT_ONCE))

    values: dict[int, dict[int, float]] = defaultdict(dict)
    for trial, objective, value, kind in of_trials(
        _VALUES.trial_id, _VALUES.objective, _VALUES.value, _name(_VALUES.value_type)
    ):
        values[trial][objective] = _number(value, kind)
    distribution = cache(json_to_distribution)
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    drawn_from: dict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    for trial, name, value, text in of_trials(
        _PARAMS.trial_id,
        _PARAMS.param_name,
        _PARAMS.param_value,
        _PARAMS.distribution_json,
        order=[_PARAMS.param_id],
    ):
        drawn_from[trial][name] = distribution(text)
        params[trial][name] = drawn_from[trial][name].to_external_repr(value)
    reports: dict[int, dict[int, float]] = defaultdict(dict)
    for trial, step, value, kind in of_trials(
        _REPORTS.trial_id, _REPORTS.step, _REPORTS.intermediate_value, _name(_REPORTS.intermediate_value_type)
    ):
        reports[trial][step] = _number(value, kind)
    user, system = (_attributes(of_trials(c.trial_id, c.key, c.value_json)) for c in _ATTRIBUTES)
    return [
        FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=_in_order(values.get(trial)),
            datetime_start=_local(start),
            datetime_complete=_local(complete),
            params=params.get(trial, {}),
            distributions=drawn_from.get(trial, {}),
            user_attrs=user.get(trial, {}),
            system_attrs=system.get(trial, {}),
            intermediate_values=reports.get(trial, {}),
            trial_id=trial,
        )
        for trial, number, state, start, complete in rows
    ]


def _attributes(rows: Iterable[tuple[int, str, str]]) -> Mapping[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for trial, key, text in rows:
        found[trial][key] = parsed(text)
    return found


def _name(kind: sqlalchemy.Column[Any]) -> sqlalchemy.TypeCoerce[str]:
    """Return a column of an enumeration as the names that are stored: to look each up takes as long again."""
    return sqlalchemy.type_coerce(kind, sqlalchemy.String())


def _number(value: float | None, kind: str) -> float:
    if kind == "FINITE" and value is not None:
        return value
    return _WITHOUT_VALUE[kind]


def _in_order(values: Mapping[int, float] | None) -> list[float] | None:
    """Return the values of a trial, one for each objective; None without any."""
    return None if values is None else [values[i] for i in range(len(values))]


def _local(time: datetime | None) -> datetime | None:
    # Stored in UTC, and told in local time, both without a zone.
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
