"""A trial made in two statements, where Optuna takes six and reads all of the study's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import DateTime, Integer, bindparam

_STUDIES: Final = models.StudyModel.__table__
_TRIALS: Final = models.TrialModel.__table__
_NEWER: Final = (_TRIALS.c.study_id == bindparam("study", type_=Integer)) & (
    _TRIALS.c.trial_id >= bindparam("since", type_=Integer)
)
_LOCK: Final = (
    sqlalchemy.select(_STUDIES.c.study_id)
    .where(_STUDIES.c.study_id == bindparam("study", type_=Integer))
    .with_for_update()
)
_MAKE: Final = (
    sqlalchemy.insert(_TRIALS)
    .from_select(
        ["number", "study_id", "state", "datetime_start"],
        sqlalchemy.select(
            bindparam("number", type_=Integer),
            bindparam("study", type_=Integer),
            sqlalchemy.literal(TrialState.RUNNING, _TRIALS.c.state.type),
            bindparam("began", type_=DateTime),
        ).where(
            sqlalchemy.select(sqlalchemy.func.count()).select_from(_TRIALS).where(_NEWER).scalar_subquery()
            == bindparam("n_newer", type_=Integer)
        ),
    )
    .returning(_TRIALS.c.trial_id)
)
_FIND: Final = sqlalchemy.select(
    _TRIALS.c.trial_id, _TRIALS.c.number, _TRIALS.c.state, _TRIALS.c.datetime_start
).where(_NEWER)

_OVERLAP: Final = 100
"""Trials that are looked at once more: a server may show an id after a higher one."""


def make_trial(
    connection: sqlalchemy.Connection, study_id: int, ids: Sequence[int], began: datetime
) -> FrozenTrial | Sequence[int]:
    """Make a trial that runs, unless another process has put trials into the study.

    Args:
        connection: A transaction in which nothing was done yet.
        study_id: The study's.
        ids: Those of all trials that are known, in order.
        began: When it begins, in UTC and without a zone. Asked with the same again, as where an answer was
            lost, it makes no second one.

    Returns:
        The trial; or the ids of the others.
    """
    newest = ids[-_OVERLAP:]
    told = {"study": study_id, "since": newest[0] if len(newest) == _OVERLAP else 0, "began": began}
    # As Optuna: whoever else makes a trial waits, for its number follows from how many there are.
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK, told)
    made = connection.execute(_MAKE, {**told, "number": len(ids), "n_newer": len(newest)}).scalar()
    if made is not None:
        return _begun(made, len(ids), began)
    others = [row for row in connection.execute(_FIND, told) if row.trial_id not in newest]
    for trial_id, number, state, begun in others:
        if state is TrialState.RUNNING and begun == began:
            return _begun(trial_id, number, began)
    return [row.trial_id for row in others]


def _begun(trial_id: int, number: int, began: datetime) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=began.replace(tzinfo=UTC).astimezone().replace(tzinfo=None),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )
