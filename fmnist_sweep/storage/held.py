"""A study's trials as the one process that writes them holds them: kept in memory, written together.

Optuna writes each parameter, attribute and report in a transaction of its own, and reads all running trials
again with each question: of a study with hundreds of workers that takes all of the parent's time. Whoever
holds a study's lease is its one writer, so what it has written need not be read again. Only trials that
another tool enqueues come from elsewhere; they are looked for whenever a waiting trial is asked for.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.storage.bulk_writes import UPSERTS, told_as_optuna, upsert_rows
from fmnist_sweep.storage.reconnecting import patiently
from fmnist_sweep.storage.studies import tables_of

WRITTEN_WITHIN_S: Final = 1.0
"""How long reports may wait to be written: what a parent that is killed loses of them is told again."""

_OVERLAP: Final = 100
"""Numbers of trials that are looked at once more."""

_TRIALS: Final = models.TrialModel.__table__
_PARAMS: Final = models.TrialParamModel.__table__
_USER: Final = models.TrialUserAttributeModel.__table__
_SYSTEM: Final = models.TrialSystemAttributeModel.__table__
_REPORTS: Final = models.TrialIntermediateValueModel.__table__
_VALUES: Final = models.TrialValueModel.__table__
_KEYS: Final = {_PARAMS: "param_name", _USER: "key", _SYSTEM: "key", _REPORTS: "step", _VALUES: "objective"}
"""What tells the rows of one trial from each other, in the order in which the tables are written."""


class HeldStorage(_CachedStorage):
    """Optuna's cache of a study whose trials this process alone writes.

    Args:
        cached: The storage as Optuna opened it; what is read and written goes on to be known there.
        study: The study.
    """

    def __init__(self, cached: _CachedStorage, study: optuna.Study) -> None:
        # One memory for both: what is learnt here need not be read again when the run is over.
        super().__init__(cached._backend)  # noqa: SLF001
        self._studies = cached._studies  # noqa: SLF001
        self._trial_id_to_study_id_and_number = cached._trial_id_to_study_id_and_number  # noqa: SLF001
        self._study_id_and_number_to_trial_id = cached._study_id_and_number_to_trial_id  # noqa: SLF001
        self._held = study
        self._held_id = study._study_id  # noqa: SLF001 - a study does not tell otherwise
        engine = tables_of(study)
        if engine is None:
            raise RuntimeError("a study in memory needs not be held")
        self._engine = engine
        self._pending: dict[sqlalchemy.FromClause, dict[tuple[int, Any], dict[str, Any]]] = {}
        self._states: dict[int, dict[str, Any]] = {}
        self._waiting_since: float | None = None
        self._numbers: list[int] = []
        self._seen_until = -1
        self._tried = False
        cached.get_all_trials(self._held_id, deepcopy=False)
        drawn = self._studies[self._held_id].param_distribution
        for trial in self._trials.values():
            self._seen_until = max(self._seen_until, trial._trial_id)  # noqa: SLF001
            for name, distribution in trial.distributions.items():
                drawn.setdefault(name, distribution)

    @property
    def _trials(self) -> dict[int, FrozenTrial]:
        return self._studies[self._held_id].trials

    # --- reading -------------------------------------------------------------------------------------------

    @override
    def get_trial(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._trial_id_to_study_id_and_number:
            return super().get_trial(trial_id)
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        return self._studies[study_id].trials[number]

    @override
    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if study_id != self._held_id:
            return super().get_all_trials(study_id, deepcopy, states)
        if states is not None and TrialState.WAITING in states:
            self._look_for_others()
        trials = self._trials
        if len(self._numbers) != len(trials):
            self._numbers = sorted(trials)
        found = [t for n in self._numbers if (t := trials[n]) and (states is None or t.state in states)]
        return copy.deepcopy(found) if deepcopy else found

    def _look_for_others(self) -> None:
        """Take up trials that another tool has put into the study."""
        # A server may show a number after a higher one.
        since = self._seen_until - _OVERLAP
        query = sqlalchemy.select(_TRIALS.c.trial_id).where(
            _TRIALS.c.study_id == self._held_id, _TRIALS.c.trial_id > since
        )

        def read() -> list[int]:
            with told_as_optuna(), self._engine.connect() as connection:
                return list(connection.execute(query).scalars())

        for trial_id in patiently(self._held, read):
            self._seen_until = max(self._seen_until, trial_id)
            if trial_id not in self._trial_id_to_study_id_and_number:
                self._add_trials_to_cache(self._held_id, [self._backend.get_trial(trial_id)])

    # --- writing -------------------------------------------------------------------------------------------

    @override
    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        drawn = self._studies[self._held_id].param_distribution
        before = drawn.setdefault(param_name, distribution)
        check_distribution_compatibility(before, distribution)

        def change(trial: FrozenTrial) -> None:
            value = distribution.to_external_repr(param_value_internal)
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

        self._change(trial_id, change)
        # A column of whole and other numbers can't go to PostgreSQL as one value.
        value = float(param_value_internal)
        row = {"param_value": value, "distribution_json": distribution_to_json(distribution)}
        self._add(_PARAMS, trial_id, param_name, row)

    @override
    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        def change(trial: FrozenTrial) -> None:
            trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

        self._change(trial_id, change)
        told = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        value, kind = told(float(intermediate_value))
        self._add(_REPORTS, trial_id, step, {"intermediate_value": value, "intermediate_value_type": kind})

    @override
    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        text = json.dumps(value)

        def change(trial: FrozenTrial) -> None:
            trial.user_attrs = {**trial.user_attrs, key: json.loads(text)}

        self._change(trial_id, change)
        self._add(_USER, trial_id, key, {"value_json": text})

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        text = json.dumps(value)

        def change(trial: FrozenTrial) -> None:
            trial.system_attrs = {**trial.system_attrs, key: json.loads(text)}

        self._change(trial_id, change)
        self._add(_SYSTEM, trial_id, key, {"value_json": text})

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state is TrialState.RUNNING:
            # Another tool may have taken it: the database decides.
            taken = self._backend.set_trial_state_values(trial_id, state, values)
            self._add_trials_to_cache(self._held_id, [self._backend.get_trial(trial_id)])
            return taken
        now = datetime.now(UTC).replace(tzinfo=None)
        stored: dict[str, Any] = {"state": state}

        def change(trial: FrozenTrial) -> None:
            trial.state = state
            if values is not None:
                trial.values = [float(value) for value in values]
            if state.is_finished():
                trial.datetime_complete = now.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)

        self._change(trial_id, change)
        if state.is_finished():
            stored["datetime_complete"] = now
        for objective, value in enumerate(values or ()):
            number, kind = models.TrialValueModel.value_to_stored_repr(float(value))
            self._add(_VALUES, trial_id, objective, {"value": number, "value_type": kind})
        self._states[trial_id] = stored
        # Now: what follows may remove what the trial could go on from.
        self.write()
        return True

    def _change(self, trial_id: int, change: Callable[[FrozenTrial], None]) -> None:
        """Replace a trial by a changed copy: whoever holds the old one sees it as it was."""
        trial = self.get_trial(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        changed = copy.copy(trial)
        change(changed)
        self._trials[trial.number] = changed

    def _add(self, table: sqlalchemy.FromClause, trial_id: int, key: Any, row: Mapping[str, Any]) -> None:
        rows = self._pending.setdefault(table, {})
        rows[trial_id, key] = {"trial_id": trial_id, _KEYS[table]: key, **row}
        self._waiting_since = self._waiting_since or time.monotonic()

    def write_in_time(self) -> None:
        """Write what has waited for `WRITTEN_WITHIN_S`."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since >= WRITTEN_WITHIN_S:
            self.write()

    def write(self) -> None:
        """Write all that waits, in one transaction; what can't be written still waits."""
        self._tried = False
        if self._pending or self._states:
            patiently(self._held, self._write)
        self._pending.clear()
        self._states.clear()
        self._waiting_since = None

    def _write(self) -> None:
        """Do so; done twice, as where an answer was lost, it does it once."""
        again, self._tried = self._tried, True
        trials = {*self._states, *(trial for rows in self._pending.values() for trial, _ in rows)}
        with told_as_optuna(), self._engine.begin() as connection:
            self._require_open(connection, trials, again=again)
            for table, key in _KEYS.items():
                rows = list(self._pending.get(table, {}).values())
                if rows:
                    upsert_rows(connection, table, ("trial_id", key), rows)
            for trial_id, stored in self._states.items():
                connection.execute(
                    sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id == trial_id).values(stored)
                )

    def _require_open(self, connection: sqlalchemy.Connection, trials: set[int], *, again: bool) -> None:
        """Raise what Optuna raises for trials that are gone, or that somebody else has ended.

        Args:
            connection: The transaction.
            trials: What is to be written to.
            again: Whether this was tried before, and may have been done.
        """
        query = sqlalchemy.select(_TRIALS.c.trial_id, _TRIALS.c.state).where(_TRIALS.c.trial_id.in_(trials))
        rows = connection.execute(query.with_for_update()).all()
        found: dict[int, TrialState] = {trial: state for trial, state in rows}  # noqa: C416 - rows are no pairs
        if found.keys() != trials:
            raise KeyError(models.NOT_FOUND_MSG)
        for trial_id, state in found.items():
            mine = self._states.get(trial_id, {}).get("state") if again else None
            if state.is_finished() and state is not mine:
                self.check_trial_is_updatable(trial_id, state)

    # --- leaving -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Write what waits, and let Optuna's cache know what it need not read again."""
        self.write()
        info = self._studies[self._held_id]
        by_id = {trial._trial_id: trial for trial in self._trials.values()}  # noqa: SLF001
        info.unfinished_trial_ids = {i for i, trial in by_id.items() if not trial.state.is_finished()}
        info.last_finished_trial_id = max(by_id.keys() - info.unfinished_trial_ids, default=-1)


@contextmanager
def holding(study: optuna.Study) -> Iterator[HeldStorage | None]:
    """Hold a study's trials in this block, of which this process must be the one writer.

    Args:
        study: The study.

    Returns:
        What writes together; None for a study in memory, which needs no such thing.
    """
    before, engine = study._storage, tables_of(study)  # noqa: SLF001 - a study does not tell otherwise
    if not isinstance(before, _CachedStorage) or engine is None or engine.dialect.name not in UPSERTS:
        yield None
        return
    held = HeldStorage(before, study)
    study._storage = held  # noqa: SLF001
    try:
        yield held
        held.leave()
    except BaseException:
        # The study may be another's by now, or its storage gone: what was not written is not known either.
        before._studies.pop(study._study_id, None)  # noqa: SLF001
        raise
    finally:
        study._storage = before  # noqa: SLF001
