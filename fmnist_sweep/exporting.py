"""An export from end to end: lock, data, final trainings, test set, bundle, dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from fmnist_sweep import data
from fmnist_sweep.cells import sayer
from fmnist_sweep.display import TrainingDisplay
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.reports.artifacts import attach_export
from fmnist_sweep.search.interrupts import stop_signals
from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.lease.postgres import claimed
from fmnist_sweep.storage.opening import artifact_folder, side_folder
from fmnist_sweep.winners.export import ExportPlan, run_plan


def run_export(
    plan: ExportPlan,
    *,
    storage_url: str,
    console: Console,
    n_workers: int | None = None,
    data_dir: Path | None = None,
) -> Mapping[str, Any]:
    """Export what was planned; nobody else exports or runs the study meanwhile, on any machine.

    Args:
        plan: An export whose bundle is not there yet.
        storage_url: Where the study is.
        console: Where the progress is shown.
        n_workers: Trainings side by side; None takes one for each core.
        data_dir: Where Fashion-MNIST is to be found.

    Returns:
        What the bundle's ``metrics.json`` holds.

    Raises:
        SweepError: As `run_plan` says.
    """
    say = sayer(console)
    name, final = plan.study.study_name, plan.final
    n_workers = n_cores() if n_workers is None else n_workers

    def make_engine(trainer: str | None) -> Engine:
        return LocalEngine(n_workers) if trainer is None else LocalEngine(1, trainer=trainer)

    # The claim is for a server's study: on another machine the lock of the folder is another one.
    with study_lock(side_folder(storage_url, name), name), claimed(storage_url, name, say=say):
        data_ref = data.open_data(plan.study.user_attrs["config"]["data"], data_dir=data_dir, say=say)
        for line in plan.outlook():
            say(line)
        what = f"{name}: {final.n_repeats} final trainings"
        with (
            stop_signals(say, what="trainings that are done are kept") as interrupted,
            TrainingDisplay(what, console) as display,
        ):
            facts = run_plan(plan, data_ref, make_engine, interrupted=interrupted, observer=display)
    attach_export(plan.study, plan.folder, artifact_folder(storage_url))
    return facts
