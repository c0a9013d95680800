"""Export winners: train them on fresh seeds, read the test set once, write bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from fmnist_sweep.api.options import RunOptions, Say, say_nothing
from fmnist_sweep.api.studies import open_studies, require_model, uses_storage
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.observer import Observer, Observers
from fmnist_sweep.core.progress import RECONNECT_S
from fmnist_sweep.export.bundle import bundle_facts
from fmnist_sweep.export.fast import plan_fast_export, run_fast_export
from fmnist_sweep.export.plan import N_FINALS, ExportPlan, is_users_sweep, plan_export
from fmnist_sweep.export.run import run_export
from fmnist_sweep.observers.opening import Observed, open_observers
from fmnist_sweep.reports.exported_call import export_words
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.damage import passed_by
from fmnist_sweep.storage.opening import side_folder
from fmnist_sweep.storage.reconnecting import Patience, wait_for_server
from fmnist_sweep.storage.stored import StoredStudy


def to_export(
    studies: Sequence[str] | None = None, *, storage: str = DEFAULT_STORAGE, say: Say = say_nothing
) -> list[optuna.Study]:
    """Return the named studies, or, without names, all whole sweeps of the user's own; see `open_studies`.

    Args:
        studies: Names; one that is given twice counts once.
        storage: Where they are.
        say: Takes a line on each that is damaged and was not named.
    """
    opened = open_studies(storage=storage, names=dict.fromkeys(studies) if studies else None)
    for study in opened:
        wait_for_server(study, Patience(storage, RECONNECT_S, say=say))
    if studies:
        return opened
    found = []
    for study in opened:
        stored = StoredStudy.of(study)
        if stored.damaged:
            say(passed_by(stored))
        elif is_users_sweep(stored):
            found.append(study)
    return found


@uses_storage
def plan(
    study: optuna.Study,
    *,
    output: Path,
    storage: str = DEFAULT_STORAGE,
    fast: bool = False,
    **choice: Any,
) -> ExportPlan:
    """Return what an export would do, all checks made that need nothing heavy.

    Args:
        study: A sweep's study.
        output: Folder that the bundle goes into.
        storage: Where the study is.
        fast: Take the weights that the search has kept: nothing is trained, and no test set is read.
        choice: ``trial``, ``n_repeats``, ``again``, ``force``, ``flip_average``, as `plan_export` has them;
            for a fast export ``trial`` and ``force`` alone.

    Raises:
        SweepError: There is nothing to export, no place for it, the test set was read before, or the weights
            for a fast export were not kept.
    """
    require_model(StoredStudy.of(study))
    if fast:
        if choice.pop("flip_average", False):
            raise SweepError("a fast export hands the model out as it was trained: leave out flip_average")
        if choice.pop("again", False) or choice.pop("n_repeats", N_FINALS) != N_FINALS:
            raise SweepError(
                "a fast export trains nothing and reads no test set: leave out repeats and again"
            )
        return plan_fast_export(study, output=output, storage=storage, **choice)
    root = side_folder(storage, study.study_name, kind="exports")
    return plan_export(study, output=output, root=root, **choice)


@uses_storage
def export(
    planned: ExportPlan,
    *,
    storage: str = DEFAULT_STORAGE,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
    observe: Observed | Iterable[str] = (),
) -> Mapping[str, Any]:
    """Train what was planned on fresh seeds, read the test set once, and write the bundle.

    Args:
        planned: As `plan` gives it; its bundle is not there yet.
        storage: Where the study is.
        options: How it is trained.
        say: Takes a line for the user.
        observers: Told what happens to the trainings.
        observe: Names of observers, or their settings by name, that are told of the bundle once it is there.

    Returns:
        What the bundle's ``metrics.json`` holds.

    Raises:
        SweepError: A training failed, the data are others, or the bundle can't be written.
    """
    chosen = options or RunOptions()
    # What can't be opened is told before anything is trained.
    told = Observers(open_observers(observe), say)
    if planned.fast:
        # It loads one model, on this machine.
        facts = run_fast_export(planned, storage_url=storage, say=say, data_dir=chosen.data_dir)
    else:
        facts = run_export(planned, storage_url=storage, say=say, observers=observers, **chosen.of_export())
    told.on_export(planned.study.study_name, planned.folder)
    return facts


def words(planned: ExportPlan) -> list[str]:
    """Return what came of an export, in sentences: who won, by how much, and what was measured since.

    Args:
        planned: An export whose bundle is there.
    """
    stored = StoredStudy.of(planned.study)
    if planned.fast:
        return export_words(stored, bundle_facts(planned.folder) or {})
    said = [] if planned.choice.headline is None else [planned.choice.headline]
    return said if stored.export is None else [*said, *export_words(stored, stored.export)]
