"""Hand a configuration out: train it on fresh seeds, read the test set once, write the bundle."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from fmnist_sweep import data as data_sets
from fmnist_sweep.core.engine_names import LOCAL
from fmnist_sweep.core.errors import ConfigError, SweepError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.observer import NoteTeller, Observer, Observers
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.programs import PREPARE_S
from fmnist_sweep.core.progress import RECONNECT_S
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.data.test_set import has_test
from fmnist_sweep.engines.base import OpenEngine
from fmnist_sweep.engines.opening import check_engine, open_engine, slots_of, worker_problems
from fmnist_sweep.export import call_contents, contents
from fmnist_sweep.export.bundle import write_bundle
from fmnist_sweep.export.finals import TEST_READER, FinalPlan, read_test, shared_part, train_finals
from fmnist_sweep.export.own_parts import MakeEngine, OwnParts, own_parts, require_savable
from fmnist_sweep.export.plan import ExportPlan
from fmnist_sweep.export.readings import complete_reading, record_reading, require_unread
from fmnist_sweep.export.trying import try_bundle
from fmnist_sweep.reports.artifacts import attach_export
from fmnist_sweep.reports.exported import bundle_entry
from fmnist_sweep.search.interrupts import stop_signals
from fmnist_sweep.storage.address import file_mode
from fmnist_sweep.storage.lease.lease import lease
from fmnist_sweep.storage.opening import artifact_folder, shared_name
from fmnist_sweep.storage.reconnecting import Patience, wait_for_server, waiting
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import write_checkpoint_storage, write_export


def run_plan(
    plan: ExportPlan,
    data: DataRef,
    make_engine: MakeEngine,
    *,
    shared: SharedFolder | None = None,
    check: Callable[[], None] = lambda: None,
    interrupted: threading.Event | None = None,
    observer: Observer | None = None,
    mode: int | None = None,
) -> Mapping[str, Any]:
    """Train, read the test set once, write the bundle, and note it in the study.

    Args:
        plan: Whose bundle is not there yet.
        data: The sweep's data set.
        make_engine: Where the trainings run.
        shared: As in `train_finals`.
        check: Called before each write to the study; raises where it is no longer held.
        interrupted: Once set, the trainings are given up; those that are done are kept.
        observer: Told what happens to the trainings.
        mode: As in `write_bundle`.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        SweepError: A training failed, the data set is another, or the bundle can't be written; the study then
            holds a reading of the test set if, and only if, it may have been read.
    """
    study, final = plan.study, plan.final
    require_fitting_data(study, data, flip_average=final.flip_average)
    interrupted = threading.Event() if interrupted is None else interrupted
    places = _places(final, data)
    if not plan.is_tested:
        if not all(delivery.is_trained for delivery in final.deliveries):
            require_savable(final, data.key, make_engine, places, interrupted=interrupted)
        for one in plan.finals:
            with make_engine(None, _places(one, data)) as engine:
                train_finals(
                    one,
                    data.key,
                    engine,
                    shared=shared,
                    check=check,
                    interrupted=interrupted,
                    observer=observer,
                )
        if _can_be_tested(plan, data):
            check()
            # Asked once more: another export may have come before this one since it was planned.
            require_unread(study, again=plan.again)
            for delivery in plan.deliveries:
                delivery.forget_test()
            record_reading(study, plan.choice, key=final.key, n_models=len(plan.deliveries))
            for one in plan.finals:
                with make_engine(TEST_READER, _places(one, data)) as engine:
                    read_test(one, data.key, engine)
    deliveries = final.deliveries
    check()
    if all(delivery.is_tested for delivery in plan.deliveries):
        # Also of an earlier export, which was killed before it could say so.
        complete_reading(study, key=final.key)
    own = own_parts(final, data.key, make_engine, places)
    facts, fill = bundle_filler(plan, data, own)
    write_bundle(plan.folder, facts, fill, mode=mode)
    check()
    summary = _kind(data).export_summary(facts, deliveries[0])
    write_export(study, summary, bundle_entry(str(plan.folder), facts))
    _forget_other_choices(plan)
    return facts


def _kind(data: DataRef) -> Any:
    return contents if data.form == "images" else call_contents


def bundle_filler(
    plan: ExportPlan, data: DataRef, own: OwnParts
) -> tuple[dict[str, Any], Callable[[Path], None]]:
    """Return what a bundle's ``metrics.json`` holds, and what writes all else into its folder.

    Args:
        plan: The export, its models delivered.
        data: The sweep's data set.
        own: What the model needs of the user's own.
    """
    deliveries = plan.final.deliveries
    facts: dict[str, Any] = _kind(data).export_facts(plan, data, deliveries, own)

    def fill(place: Path) -> None:
        _kind(data).fill_bundle(place, plan, data, deliveries, facts, own=own)
        if data.form == "call" and own.runs_alone:
            # A bundle is done once its script was seen to work where nothing else is.
            try_bundle(place)

    return facts, fill


def require_fitting_data(study: optuna.Study, data: DataRef, *, flip_average: bool) -> None:
    """Raise `SweepError` if a data set is not the one that a study was made on, or can't be mirrored."""
    swept_on = StoredStudy.of(study).data_digest
    if data.digest != swept_on:
        raise SweepError(
            f"study {study.study_name!r}: its data set has changed since the sweep: its content was "
            f"{str(swept_on)[:12]} and is {data.digest[:12]}; put the old one back"
        )
    if flip_average and data.form != "images":
        raise SweepError(
            f"study {study.study_name!r}: --flip-average needs images with class numbers; what the fit of "
            "this sweep takes is handed on as it is"
        )


def _can_be_tested(plan: ExportPlan, data: DataRef) -> bool:
    """Return whether the data have a test part, and every trained model of the export can be measured on it.

    A model whose fit prepares its data for itself can't.
    """
    if data.form == "images":
        return has_test(data)
    return not call_contents.untested(data, plan.deliveries)


def _places(final: FinalPlan, data: DataRef) -> Places:
    folder, code = final.folder, StoredStudy.of(final.study).folders
    return Places.of(data, checkpoints=folder, deliveries=folder, code=code)


def _forget_other_choices(plan: ExportPlan) -> None:
    kept = [final.folder for final in plan.finals]
    for folder in plan.final.root.iterdir():
        if folder not in kept and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def run_export(
    plan: ExportPlan,
    *,
    storage_url: str,
    say: Callable[[str], None],
    observers: Iterable[Observer] = (),
    engine: str = LOCAL,
    address: str | None = None,
    checkpoint_storage: str | None = None,
    trials_per_gpu: int | None = None,
    n_workers: int | None = None,
    data_dir: Path | None = None,
) -> Mapping[str, Any]:
    """Export what was planned; nobody else exports or runs the study meanwhile, on any machine.

    Args:
        plan: An export whose bundle is not there yet.
        storage_url: Where the study is.
        say: Takes a line for the user.
        observers: Told what happens to the trainings; see `Observer`.
        engine: Name of the engine that they run on; see `open_engine`. All else, such as the reading of the
            test set, runs on this machine.
        address: Of the cluster; None leaves it to the engine.
        checkpoint_storage: Folder in which its nodes keep checkpoints; None brings them to this machine.
        trials_per_gpu: Trainings that share a GPU of one of its nodes; None leaves it to the engine.
        n_workers: Trainings side by side; None takes one for each core that the engine has.
        data_dir: Where Fashion-MNIST is to be found.

    Returns:
        What the bundle's ``metrics.json`` holds.

    Raises:
        SweepError: As `run_plan` says.
    """
    name, final = plan.study.study_name, plan.final
    problems = worker_problems(engine, n_workers)
    if problems:
        raise ConfigError(name, problems)
    slots = slots_of(engine, n_workers)
    shared = None
    if checkpoint_storage is not None:
        shared = SharedFolder(checkpoint_storage, shared_name(storage_url, name))

    def make_engine(trainer: str | None, places: Places) -> OpenEngine:
        if trainer is not None:
            return open_engine(LOCAL, 1, places=places, trainer=trainer)
        return open_engine(
            engine,
            slots,
            places=places,
            time_limit_s=final.time_limit_s,
            address=address,
            checkpoint_storage=shared_part(shared, places.checkpoints),
            trials_per_gpu=trials_per_gpu,
        )

    swept = StoredStudy.of(plan.study)
    budget = swept.config.get("budget", {})
    seconds = budget.get("prepare_seconds", PREPARE_S)
    patience = partial(Patience, storage_url, budget.get("reconnect_seconds", RECONNECT_S), say=say)
    wait_for_server(plan.study, patience())
    with (
        lease(storage_url, name, say=say) as held,
        waiting(plan.study, patience(is_kept=held.is_kept)),
    ):
        data_ref = data_sets.open_data(
            swept.config["data"],
            data_dir=data_dir,
            say=say,
            folders=swept.folders,
            seconds=seconds,
            reading=data_sets.Reading.of(swept.config),
        )
        check_engine(engine, address, checkpoint_storage, trials_per_gpu)
        if shared is not None:
            write_checkpoint_storage(plan.study, shared.record)
        for line in plan.outlook():
            say(line)
        with stop_signals(say, what="trainings that are done are kept") as interrupted:
            facts = run_plan(
                plan,
                data_ref,
                make_engine,
                shared=shared,
                check=held.check,
                interrupted=interrupted,
                observer=Observers([NoteTeller(say), *observers], say),
                mode=file_mode(storage_url),
            )
    attach_export(plan.study, plan.folder, artifact_folder(storage_url))
    return facts
