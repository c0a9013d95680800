"""Hand a configuration out: train it on fresh seeds, read the test set once, write the bundle."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from fmnist_sweep import data as data_sets
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.progress import FinalProgress
from fmnist_sweep.data.test_set import has_test
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.export.bundle import write_bundle
from fmnist_sweep.export.contents import export_facts, export_summary, fill_bundle
from fmnist_sweep.export.finals import TEST_READER, FinalPlan, read_test, train_finals
from fmnist_sweep.export.plan import ExportPlan
from fmnist_sweep.export.readings import complete_reading, record_reading, require_unread
from fmnist_sweep.reports.artifacts import attach_export
from fmnist_sweep.reports.exported import ATTRIBUTE, BUNDLES, bundle_entry, with_bundle
from fmnist_sweep.search.interrupts import stop_signals
from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.lease.postgres import claimed
from fmnist_sweep.storage.opening import artifact_folder, side_folder

ShowProgress: TypeAlias = Callable[[FinalProgress], None]

MakeEngine = Callable[[str | None], Engine]
"""Gives an engine for the trainer of this import path; None stands for the trainer of sweeps."""


def run_plan(
    plan: ExportPlan,
    data: DataRef,
    make_engine: MakeEngine,
    *,
    interrupted: threading.Event | None = None,
    observer: ShowProgress = lambda _: None,
) -> Mapping[str, Any]:
    """Train, read the test set once, write the bundle, and note it in the study.

    Args:
        plan: Whose bundle is not there yet.
        data: The sweep's data set.
        make_engine: Where the trainings run.
        interrupted: Once set, the trainings are given up; those that are done are kept.
        observer: Called whenever something of the trainings happens.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        SweepError: A training failed, the data set is another, or the bundle can't be written; the study then
            holds a reading of the test set if, and only if, it may have been read.
    """
    study, final = plan.study, plan.final
    if data.digest != study.user_attrs["data_digest"]:
        raise SweepError(
            f"study {study.study_name!r}: its data set has changed since the sweep: its content was "
            f"{study.user_attrs['data_digest'][:12]} and is {data.digest[:12]}; put the old one back"
        )
    if not plan.is_tested:
        jobs = final.jobs(data)
        with closing(make_engine(None)) as engine:
            train_finals(engine, jobs, interrupted=interrupted, observer=observer)
        if has_test(data):
            # Asked once more: another export may have come before this one since it was planned.
            require_unread(study, again=plan.again)
            for delivery in final.deliveries:
                delivery.forget_test()
            record_reading(study, plan.choice, key=final.key, n_models=len(jobs))
            with closing(make_engine(TEST_READER)) as engine:
                read_test(engine, jobs, final.folder)
    deliveries = final.deliveries
    if all(delivery.is_tested for delivery in deliveries):
        # Also of an earlier export, which was killed before it could say so.
        complete_reading(study, key=final.key)
    facts = export_facts(plan, data, deliveries)
    write_bundle(plan.folder, facts, lambda folder: fill_bundle(folder, plan, data, deliveries, facts))
    study.set_user_attr(ATTRIBUTE, export_summary(facts, deliveries[0]))
    study.set_user_attr(BUNDLES, with_bundle(study, bundle_entry(str(plan.folder), facts)))
    _forget_other_choices(final)
    return facts


def _forget_other_choices(final: FinalPlan) -> None:
    for folder in final.root.iterdir():
        if folder != final.folder and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def run_export(
    plan: ExportPlan,
    *,
    storage_url: str,
    say: Callable[[str], None],
    display: Callable[[str], AbstractContextManager[ShowProgress]] = lambda _: nullcontext(lambda _: None),
    n_workers: int | None = None,
    data_dir: Path | None = None,
) -> Mapping[str, Any]:
    """Export what was planned; nobody else exports or runs the study meanwhile, on any machine.

    Args:
        plan: An export whose bundle is not there yet.
        storage_url: Where the study is.
        say: Takes a line for the user.
        display: Gives what shows the progress of what is trained, in words.
        n_workers: Trainings side by side; None takes one for each core.
        data_dir: Where Fashion-MNIST is to be found.

    Returns:
        What the bundle's ``metrics.json`` holds.

    Raises:
        SweepError: As `run_plan` says.
    """
    name, final = plan.study.study_name, plan.final
    n_workers = n_cores() if n_workers is None else n_workers

    def make_engine(trainer: str | None) -> Engine:
        return LocalEngine(n_workers) if trainer is None else LocalEngine(1, trainer=trainer)

    # The claim is for a server's study: on another machine the lock of the folder is another one.
    with study_lock(side_folder(storage_url, name), name), claimed(storage_url, name, say=say):
        data_ref = data_sets.open_data(plan.study.user_attrs["config"]["data"], data_dir=data_dir, say=say)
        for line in plan.outlook():
            say(line)
        what = f"{name}: {final.n_repeats} final trainings"
        with (
            stop_signals(say, what="trainings that are done are kept") as interrupted,
            display(what) as observer,
        ):
            facts = run_plan(plan, data_ref, make_engine, interrupted=interrupted, observer=observer)
    attach_export(plan.study, plan.folder, artifact_folder(storage_url))
    return facts
