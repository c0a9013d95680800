"""A study's trials as the one process that writes them holds them: kept in memory, written together.

Optuna writes each parameter, attribute and report in a transaction of its own, and reads all running trials
again with each question: of a study with hundreds of workers that takes all of the parent's time. Whoever
holds a study's lease is its one writer, so what it has written need not be read again. Only trials that
another tool enqueues come from elsewhere; they are found where a trial is to be made, and come before it.
"""

from __future__ import annotations

import copy
import json
import time
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.storage.bulk_writes import UPSERTS, told_as_optuna, upsert_rows
from fmnist_sweep.storage.json_text import parsed
from fmnist_sweep.storage.new_trials import make_trial
from fmnist_sweep.storage.packed import Packing
from fmnist_sweep.storage.reconnecting import patiently
from fmnist_sweep.storage.studies import tables_of

WRITTEN_WITHIN_S: Final = 1.0
"""How long reports may wait to be written: what a parent that is killed loses of them is told again."""

_KEPT_S: Final = 5.0
"""How long a connection may rest and be used again without asking whether its server is there."""

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
        self._told_at: datetime | None = None
        self._numbers: list[int] = []
        self._waiting: set[int] = set()
        self._ids: list[int] = []
        self._tried = False
        self._packing = Packing()
        self._connection: sqlalchemy.Connection | None = None
        self._rests_since = 0.0
        cached.get_all_trials(self._held_id, deepcopy=False)
        self._add_trials_to_cache(self._held_id, list(self._trials.values()))
        drawn = self._studies[self._held_id].param_distribution
        for trial in self._trials.values():
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
        trials = self._trials
        if states == (TrialState.WAITING,):
            # As with each trial that is asked for: there may be ten thousand others.
            found = [trials[number] for number in sorted(self._waiting)]
        else:
            if len(self._numbers) != len(trials):
                self._numbers = sorted(trials)
            found = [t for n in self._numbers if (t := trials[n]) and (states is None or t.state in states)]
        return copy.deepcopy(found) if deepcopy else found

    @override
    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        super()._add_trials_to_cache(study_id, trials)
        if study_id != self._held_id:
            return
        for trial in trials:
            number, at = trial._trial_id, bisect_left(self._ids, trial._trial_id)  # noqa: SLF001
            if self._ids[at : at + 1] != [number]:
                self._ids.insert(at, number)
            self._sort_in(trial)

    def _sort_in(self, trial: FrozenTrial) -> None:
        if trial.state is TrialState.WAITING:
            self._waiting.add(trial.number)
        else:
            self._waiting.discard(trial.number)

    @contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        """Give a transaction, as a rule on the connection of the last one.

        A pool asks the server whether it is there with each connection that it gives.
        """
        connection = self._connection
        if connection is not None and time.monotonic() - self._rests_since > _KEPT_S:
            self.disconnect()
            connection = None
        with told_as_optuna():
            try:
                self._connection = connection = connection or self._engine.connect()
                with connection.begin():
                    yield connection
            except BaseException:
                self.disconnect()
                raise
        self._rests_since = time.monotonic()

    def disconnect(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- new trials ----------------------------------------------------------------------------------------

    @override
    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial that runs; or take up one that another tool has put into the study to be run."""
        if study_id != self._held_id or template_trial is not None:
            return super().create_new_trial(study_id, template_trial)
        began = datetime.now(UTC).replace(tzinfo=None)
        while True:
            trial_id = patiently(self._held, partial(self._make, began))
            if trial_id is not None:
                return trial_id
            for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.WAITING,)):
                with suppress(optuna.exceptions.UpdateFinishedTrialError):
                    if self.set_trial_state_values(trial._trial_id, TrialState.RUNNING):  # noqa: SLF001
                        return trial._trial_id  # noqa: SLF001

    def _make(self, began: datetime) -> int | None:
        """Make a trial and return its id; None where the study has others now, which are then known."""
        with self._transaction() as connection:
            made = make_trial(connection, self._held_id, self._ids, began)
        if isinstance(made, FrozenTrial):
            self._add_trials_to_cache(self._held_id, [made])
            return made._trial_id  # noqa: SLF001
        self._add_trials_to_cache(self._held_id, [self._backend.get_trial(other) for other in made])
        return None

    # --- writing -------------------------------------------------------------------------------------------

    @override
    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        drawn = self._studies[self._held_id].param_distribution
        before = drawn.setdefault(param_name, distribution)
        check_distribution_compatibility(before, distribution)
        text = distribution_to_json(distribution)
        distribution = self._packing.one(text, distribution)

        def change(trial: FrozenTrial) -> None:
            value = distribution.to_external_repr(param_value_internal)
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

        self._change(trial_id, change)
        # A column of whole and other numbers can't go to PostgreSQL as one value.
        value = float(param_value_internal)
        row = {"param_value": value, "distribution_json": text}
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
            trial.user_attrs = {**trial.user_attrs, key: parsed(text)}

        self._change(trial_id, change)
        self._add(_USER, trial_id, key, {"value_json": text})

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        text = json.dumps(value)

        def change(trial: FrozenTrial) -> None:
            trial.system_attrs = {**trial.system_attrs, key: parsed(text)}

        self._change(trial_id, change)
        self._add(_SYSTEM, trial_id, key, {"value_json": text})

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state is TrialState.RUNNING:
            # Another tool may have taken it: the database decides, by all that is known of it.
            self.write()
            try:
                return self._backend.set_trial_state_values(trial_id, state, values)
            finally:
                self._add_trials_to_cache(self._held_id, [self._backend.get_trial(trial_id)])
        now = self._told_at or datetime.now(UTC).replace(tzinfo=None)
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
        if state.is_finished() and self._told_at is None:
            # Now: what follows may remove what the trial could go on from.
            self.write()
        return True

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the ends of all trials that are told in this block be written together, at its end.

        They have one time. Until then nothing may be removed that one of them could go on from; where the
        block raises something, they still wait.
        """
        self._told_at = datetime.now(UTC).replace(tzinfo=None)
        try:
            yield
        finally:
            self._told_at = None
        if self._states:
            self.write()
        self.write_in_time()

    def _change(self, trial_id: int, change: Callable[[FrozenTrial], None]) -> None:
        """Replace a trial by a changed copy: whoever holds the old one sees it as it was."""
        trial = self.get_trial(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        changed = copy.copy(trial)
        change(changed)
        self._trials[trial.number] = changed
        self._sort_in(changed)

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
        ended = [trial_id for trial_id, stored in self._states.items() if stored["state"].is_finished()]
        self._pending.clear()
        self._states.clear()
        self._waiting_since = None
        for trial_id in ended:
            trial = self.get_trial(trial_id)
            self._trials[trial.number] = self._packing.pack(trial)

    def _write(self) -> None:
        """Do so; done twice, as where an answer was lost, it does it once."""
        again, self._tried = self._tried, True
        trials = {*self._states, *(trial for rows in self._pending.values() for trial, _ in rows)}
        with self._transaction() as connection:
            self._require_open(connection, trials, again=again)
            for table, key in _KEYS.items():
                rows = list(self._pending.get(table, {}).values())
                if rows:
                    upsert_rows(connection, table, ("trial_id", key), rows)
            together: dict[tuple[Any, ...], list[int]] = {}
            for trial_id, stored in self._states.items():
                together.setdefault(tuple(stored.items()), []).append(trial_id)
            for values, these in together.items():
                changed = sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id.in_(these))
                connection.execute(changed.values(dict(values)))

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
    writes = engine is not None and engine.dialect.name in UPSERTS and engine.dialect.insert_returning
    if not isinstance(before, _CachedStorage) or not writes:
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
        held.disconnect()
        study._storage = before  # noqa: SLF001
