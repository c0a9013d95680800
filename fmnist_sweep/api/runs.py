"""Run a sweep, confirm its best, export its winner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.ranking import left_out_notes
from fmnist_sweep.api.studies import open_studies, open_study, uses_storage
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.request import confirmation_request
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.engines.machine import check_workers
from fmnist_sweep.export.plan import ExportPlan, is_users_sweep, plan_export
from fmnist_sweep.export.run import run_export
from fmnist_sweep.reports.dashboard import attach_figures
from fmnist_sweep.search import run as running
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.opening import side_folder
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import linked_study

Say: TypeAlias = Callable[[str], None]


def say_nothing(line: str) -> None:
    """Drop a line for the user."""
    del line


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How trainings are run, whatever is trained.

    Attributes:
        n_workers: Side by side; None takes one for each core.
        data_dir: Where Fashion-MNIST is to be found.
        take_over: Run a study even if a process on another machine may be running it.
        engine: Name of the engine; see `open_engine`.
    """

    n_workers: int | None = None
    data_dir: Path | None = None
    take_over: bool = False
    engine: str = "local"

    def check(self) -> None:
        """Raise `SweepError` if so many workers can't be used on this machine."""
        problems = [] if self.n_workers is None else check_workers(self.n_workers)
        if problems:
            raise SweepError("\n".join(problems))

    def of_run(self) -> dict[str, Any]:
        """Return the options of a run."""
        return {**self.of_export(), "take_over": self.take_over}

    def of_export(self) -> dict[str, Any]:
        """Return the options of an export, which owns no study."""
        return {"n_workers": self.n_workers, "data_dir": self.data_dir, "engine": self.engine}


@dataclass(frozen=True)
class RunEnd:
    """What came of a run.

    Attributes:
        study: The study.
        stop: Why the run ended.
        progress: What it was at.
    """

    study: StoredStudy
    stop: Stop
    progress: Progress


@uses_storage
def run(
    config: SweepConfig,
    *,
    storage: str = DEFAULT_STORAGE,
    import_from: str | None = None,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
) -> RunEnd:
    """Run a sweep, or go on with it.

    Args:
        config: The sweep; `load_config` reads one.
        storage: Where its study is, or is made.
        import_from: Name of a study in the same storage whose fitting trials are brought over first.
        options: How it is run.
        say: Takes a line for the user.
        observers: Told what happens.

    Raises:
        SweepError: The data, the storage or the study can't be used; nothing stored is changed.

    Example:
        >>> from pathlib import Path
        >>> from fmnist_sweep.config.loading import load_config
        >>> run(load_config(Path("sweeps/dense.toml"))).progress.best  # doctest: +SKIP
    """
    stop, progress = running.run_sweep(
        config,
        storage_url=storage,
        say=say,
        import_from=import_from,
        observers=observers,
        **(options or RunOptions()).of_run(),
    )
    study = open_study(config.file.study, storage=storage)
    attach_figures(study)
    return RunEnd(StoredStudy.of(study), stop, progress)


@dataclass(frozen=True)
class ConfirmationEnd:
    """What came of a confirmation.

    Attributes:
        confirmation: What is known now; None where no repeat was trained.
        end: Of the run; None where nothing was left to train.
        linked: Name of the study that holds the repeats.
    """

    confirmation: Confirmation | None
    end: tuple[Stop, Progress] | None
    linked: str


@uses_storage
def confirm(
    study: str,
    *,
    storage: str = DEFAULT_STORAGE,
    top: int = 3,
    repeats: int = 5,
    max_retries: int | None = None,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
) -> ConfirmationEnd:
    """Train a study's best configurations and its default anew, on fresh seeds and splits.

    Nothing is trained twice: more repeats, or a larger ``top``, add to what is there.

    Args:
        study: Name of a sweep's study.
        storage: Where it is.
        top: So many of its best distinct configurations.
        repeats: Trainings of each.
        max_retries: How often a trial whose process died is started again; None leaves it to the sweep.
        options: How they are trained.
        say: Takes a line for the user.
        observers: Told what happens.

    Raises:
        SweepError: The study can't be confirmed, or not so; all problems at once.
    """
    swept = open_study(study, storage=storage)
    before = StoredStudy.of(swept)
    wanted = confirmation_request(before, top=top, repeats=repeats, max_retries=max_retries)
    for note in left_out_notes(before):
        say(note)
    end = None
    if not wanted.fulfilled():
        end = running.run(
            wanted,
            storage_url=storage,
            say=say,
            observers=observers,
            **(options or RunOptions()).of_run(),
        )
        for one in filter(None, (swept, linked_study(swept))):
            attach_figures(one)
    return ConfirmationEnd(read_confirmation(before.again()), end, wanted.config.file.study)


def to_export(studies: Sequence[str] | None = None, *, storage: str = DEFAULT_STORAGE) -> list[optuna.Study]:
    """Return the named studies, or, without names, all sweeps of the user's own; see `open_studies`."""
    found = open_studies(storage=storage, names=studies)
    return found if studies else [study for study in found if is_users_sweep(StoredStudy.of(study))]


@uses_storage
def plan(study: optuna.Study, *, output: Path, storage: str = DEFAULT_STORAGE, **choice: Any) -> ExportPlan:
    """Return what an export would do, all checks made that need nothing heavy.

    Args:
        study: A sweep's study.
        output: Folder that the bundle goes into.
        storage: Where the study is.
        choice: ``trial``, ``n_repeats``, ``again`` and ``force``, as `plan_export` has them.

    Raises:
        SweepError: There is nothing to export, no place for it, or the test set was read before.
    """
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
) -> Mapping[str, Any]:
    """Train what was planned on fresh seeds, read the test set once, and write the bundle.

    Args:
        planned: As `plan` gives it; its bundle is not there yet.
        storage: Where the study is.
        options: How it is trained.
        say: Takes a line for the user.
        observers: Told what happens to the trainings.

    Returns:
        What the bundle's ``metrics.json`` holds.

    Raises:
        SweepError: A training failed, the data are others, or the bundle can't be written.
    """
    chosen = options or RunOptions()
    return run_export(planned, storage_url=storage, say=say, observers=observers, **chosen.of_export())
