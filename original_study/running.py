"""The paper from end to end: every experiment, then the final models' one look at the test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from fmnist_sweep.analysis.measures import confusion
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.plan import plan_export
from fmnist_sweep.export.run import run_export
from fmnist_sweep.reports.dashboard import attach_figures
from fmnist_sweep.search.run import run
from fmnist_sweep.storage.opening import check_storage, open_storage, side_folder
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, study_names
from fmnist_sweep.storage.writing import write_paper_test
from original_study.experiments import FINALS, Experiment
from original_study.showing import Lines


@dataclass(frozen=True)
class Stopped:
    """Why a paper ended before its end.

    Attributes:
        study: The study that was running.
        stop: What ended it.
        progress: What it was at.
    """

    study: str
    stop: Stop
    progress: Progress


def run_experiments(
    wanted: Sequence[Experiment], *, storage_url: str, say: Callable[[str], None], **options: Any
) -> Stopped | None:
    """Train what the experiments' studies do not hold yet, one experiment after another.

    Args:
        wanted: The experiments, in order.
        storage_url: Where their studies are, or are made.
        say: Takes a line for the user.
        options: Those of `fmnist_sweep.search.run.run`.

    Returns:
        None once all are through, trials that failed included; else what ended it.

    Raises:
        SweepError: As `fmnist_sweep.search.run.run` says.
    """
    check_storage(storage_url, create=True)
    for i, experiment in enumerate(wanted, start=1):
        name = experiment.study_name
        if not experiment.left(_stored(storage_url, experiment)):
            continue
        say(f"Experiment {i} of {len(wanted)}: {experiment.name}")
        stop, progress = run(experiment, storage_url=storage_url, say=say, observers=[Lines(say)], **options)
        study = _stored(storage_url, experiment)
        if study is not None:
            attach_figures(study)
        if stop in (Stop.INTERRUPTED, Stop.FAILURES):
            return Stopped(name, stop, progress)
    return None


def read_test_set(
    wanted: Sequence[Experiment],
    output: Path,
    *,
    storage_url: str,
    say: Callable[[str], None],
    **options: Any,
) -> None:
    """Export the final models, unless that was done, and keep in their studies what the test set said.

    Args:
        wanted: The experiments, all trained.
        output: Folder for the bundles.
        storage_url: Where the studies are.
        say: Takes a line for the user.
        options: Those of `fmnist_sweep.export.run.run_export`.

    Raises:
        SweepError: A training failed, or the test set was read for something else.
    """
    for experiment in wanted:
        study = _stored(storage_url, experiment)
        if experiment.name not in FINALS or study is None:
            continue
        if StoredStudy.of(study).paper_test is not None:
            continue
        plan = plan_export(
            study,
            output=output,
            root=side_folder(storage_url, study.study_name, kind="exports"),
            n_repeats=experiment.n_repeats,
        )
        if not plan.is_there:
            run_export(
                plan,
                storage_url=storage_url,
                say=say,
                **options,
            )
        write_paper_test(study, [_tested(delivery) for delivery in plan.final.deliveries])


def _tested(delivery: Delivery) -> dict[str, Any]:
    counts = confusion(*delivery.predictions["test"])
    return {
        "seed": delivery.seed,
        "test_accuracy": round(float(counts.trace() / counts.sum()), 6),
        "confusion": counts.tolist(),
    }


def stored_studies(storage_url: str, wanted: Callable[[str], bool]) -> dict[str, optuna.Study]:
    """Return those studies of a storage whose names are wanted; none where there is no storage yet."""
    try:
        storage = open_storage(storage_url, create=False)
    except StorageError:
        # The run that follows tells what is wrong with an address.
        return {}
    return {name: load_study(storage, name) for name in study_names(storage) if wanted(name)}


def _stored(storage_url: str, experiment: Experiment) -> optuna.Study | None:
    name = experiment.study_name
    return stored_studies(storage_url, lambda other: other == name).get(name)
