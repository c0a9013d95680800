"""Run a sweep, and confirm its best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.ranking import left_out_notes
from fmnist_sweep.api.options import RunOptions, Say, say_nothing
from fmnist_sweep.api.studies import open_study, require_images, uses_storage
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.request import confirmation_request, option_problems
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import RECONNECT_S, Progress, Stop
from fmnist_sweep.reports.dashboard import attach_figures
from fmnist_sweep.search import run as running
from fmnist_sweep.search.retrying import failed_trials
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.reconnecting import Patience, wait_for_server
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import linked_study


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

    @property
    def n_retryable(self) -> int:
        """Failed trials that can be tried again."""
        return len(failed_trials(self.study))


@uses_storage
def run(
    config: SweepConfig,
    *,
    storage: str = DEFAULT_STORAGE,
    import_from: str | None = None,
    accept_edited_model: bool = False,
    retry_failed: bool = False,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
) -> RunEnd:
    """Run a sweep, or go on with it.

    Args:
        config: The sweep; `load_config` reads one.
        storage: Where its study is, or is made.
        import_from: Name of a study in the same storage whose fitting trials are brought over first.
        accept_edited_model: Go on though the source of the model was edited since; trials of both are told
            apart.
        retry_failed: Try again what failed, each as a new trial; the model may have been edited since.
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
    # Its study as the run has read it: to open a storage and to read thousands of trials takes a second.
    study, stop, progress = running.run_sweep(
        config,
        storage_url=storage,
        say=say,
        import_from=import_from,
        accept_edited_model=accept_edited_model,
        retry_failed=retry_failed,
        observers=observers,
        **(options or RunOptions()).of_run(),
    )
    # What was found is not to be missed for a server that is away just now.
    wait_for_server(study, Patience(storage, config.file.budget.reconnect_seconds, say=say))
    stored = StoredStudy.of(study)
    attach_figures(study, stored)
    return RunEnd(stored, stop, progress)


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
    # Before the study is read, and whatever it holds.
    problems = [] if options is None else options.problems()
    problems += option_problems(top=top, repeats=repeats, max_retries=max_retries)
    if problems:
        raise ConfigError(f"study {study!r}", problems)
    swept = open_study(study, storage=storage)
    wait_for_server(swept, Patience(storage, RECONNECT_S, say=say))
    before = StoredStudy.of(swept)
    require_images(before, "confirm")
    wanted = confirmation_request(before, top=top, repeats=repeats, max_retries=max_retries)
    for note in left_out_notes(before):
        say(note)
    wait_for_server(swept, Patience(storage, wanted.config.file.budget.reconnect_seconds, say=say))
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
