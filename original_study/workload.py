"""How much of the paper is left to train, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from rich.console import Console
from rich.table import Table

from fmnist_sweep.storage.stored import StoredStudy
from original_study.experiments import FINALS, Experiment


@dataclass(frozen=True, slots=True)
class Workload:
    """What is left of an experiment.

    Attributes:
        experiment: Name of the experiment.
        n_points: Its configurations.
        n_trainings: Trainings, those aside that are done or that an earlier experiment shares.
        n_epochs: Their epochs together.
        n_shared: Trials that are answered from an earlier experiment's.
        train_size: Training images; None for all.
    """

    experiment: str
    n_points: int
    n_trainings: int
    n_epochs: int
    n_shared: int
    train_size: int | None


def workload(wanted: Sequence[Experiment], studies: Mapping[str, optuna.Study]) -> list[Workload]:
    """Return what is left to train of each experiment, as they run one after another.

    Args:
        wanted: The experiments.
        studies: The studies that there are, by name.
    """
    longest: dict[tuple[str, str, int | None], int] = {}
    rows = []
    for experiment in wanted:
        study = studies.get(experiment.study_name)
        epochs = experiment.swept.epochs[-1]
        model = experiment.swept.model_space.path
        left, new = experiment.left(study), 0
        for trial in experiment.wanted:
            key = (model, *experiment.identity(trial))
            if trial in left and longest.get(key, 0) < epochs:
                new += 1
            longest[key] = max(longest.get(key, 0), epochs)
        rows.append(
            Workload(
                experiment.name,
                len(experiment.points),
                new,
                new * epochs,
                len(left) - new,
                experiment.split.train_size,
            )
        )
    return rows


def print_workload(
    console: Console, wanted: Sequence[Experiment], studies: Mapping[str, optuna.Study]
) -> None:
    """Print what is left to train of each experiment, the final models' exports included."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(("experiment", "configurations", "trainings", "epochs", "shared", "images")):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    rows = workload(wanted, studies)
    n_trainings, n_epochs = (sum(getattr(row, name) for row in rows) for name in ("n_trainings", "n_epochs"))
    for row in rows:
        images = "all" if row.train_size is None else f"{row.train_size:,}"
        numbers = (row.n_points, row.n_trainings, row.n_epochs, row.n_shared)
        table.add_row(row.experiment, *map(str, numbers), images)
    for experiment in wanted:
        study = studies.get(experiment.study_name)
        if experiment.name in FINALS and (study is None or StoredStudy.of(study).paper_test is None):
            n, epochs = experiment.n_repeats, experiment.swept.epochs[-1]
            table.add_row(f"export of {experiment.name}", "1", str(n), str(n * epochs), "0", "")
            n_trainings, n_epochs = n_trainings + n, n_epochs + n * epochs
    console.print(table)
    console.print(f"{n_trainings} trainings, {n_epochs:,} epochs are left.", highlight=False)
