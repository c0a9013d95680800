"""A sweep or a confirmation from end to end: lock, data, study, engine, search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import optuna
from optuna.storages import BaseStorage

from fmnist_sweep import data
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef, SplitSpec
from fmnist_sweep.core.observer import NoteTeller, Observer, Observers
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.core.user_code import shadow_notes
from fmnist_sweep.engines.opening import check_engine, open_engine, slots_of, worker_problems
from fmnist_sweep.search.checks import check_studies
from fmnist_sweep.search.import_trials import import_trials, require_importable
from fmnist_sweep.search.interrupts import stop_signals
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.search.plan import SweepPlan, TrialPlan
from fmnist_sweep.search.retrying import retry_failed
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.lease.lease import lease
from fmnist_sweep.storage.opening import check_storage, open_storage, shared_name, side_folder
from fmnist_sweep.storage.reconnecting import Patience
from fmnist_sweep.storage.shared_checkpoints import SharedCheckpoints
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, study_names
from fmnist_sweep.storage.weights import WeightsFolder
from fmnist_sweep.storage.writing import write_checkpoint_storage

Say: TypeAlias = Callable[[str], None]


class StudyRun(Protocol):
    """What is run in a study: a sweep, or the confirmation of one."""

    @property
    def config(self) -> SweepConfig:
        """The settings of the study."""

    @property
    def split(self) -> SplitSpec:
        """A split that the data must allow."""

    def open(self, data: DataRef, storage: BaseStorage) -> optuna.Study:
        """Make the study, or open it to go on with; raise `SweepError` where it can't be."""

    def plan(self, study: optuna.Study) -> TrialPlan:
        """Return what is left to try, once this process is the study's owner."""


@dataclass
class Sweep:
    """A sweep, begun with the fitting trials of another study if one is named."""

    config: SweepConfig
    import_from: str | None = None
    say: Say = lambda _: None
    accept_edited_model: bool = False
    retry_failed: bool = False
    _source: optuna.Study | None = field(default=None, init=False)
    _opened: optuna.Study | None = field(default=None, init=False)

    @property
    def split(self) -> SplitSpec:
        """The split of all trials."""
        return self.config.split

    def open(self, data: DataRef, storage: BaseStorage) -> optuna.Study:
        """Make the sweep's study, or open it to go on with."""
        if self.import_from is not None:
            self._source = load_study(storage, self.import_from)
            require_importable(self._source, self.config, data)
        name = self.config.file.study
        if self.config.n_probe is None and name in study_names(storage):
            stored = StoredStudy.of(load_study(storage, name))
            require_whole(stored)
            self.config = self.config.with_probe_of(stored.config)
            if self.config.n_probe is not None:
                n = self.config.n_probe
                self.say(f"Note: study {name!r} goes on with training.n_probe = {n}, as it began.")
        # What failed is mostly mended in the model.
        accept = self.accept_edited_model or self.retry_failed
        self._opened = open_study(self.config, data, storage, accept_edited_model=accept)
        return self._opened

    @property
    def study(self) -> optuna.Study:
        """The study as `open` gave it, with all that it has read; raises `RuntimeError` before that."""
        if self._opened is None:
            raise RuntimeError("the study of a sweep that did not run")
        return self._opened

    def plan(self, study: optuna.Study) -> TrialPlan:
        """Bring the other study's trials over; what is left is drawn."""
        if self._source is not None:
            self.say(f"From study {self.import_from!r}: {import_trials(self._source, study, self.config)}.")
        if self.retry_failed:
            failed = retry_failed(study)
            told = f"Tried again: {', '.join(map(str, failed))}" if failed else "Nothing to try again"
            self.say(f"{told}.")
        return SweepPlan(self.config)


def run_sweep(
    config: SweepConfig,
    *,
    storage_url: str,
    say: Say,
    import_from: str | None = None,
    accept_edited_model: bool = False,
    retry_failed: bool = False,
    **options: Any,
) -> tuple[optuna.Study, Stop, Progress]:
    """Run a sweep, or go on with it, and return its study beside what `run` returns.

    Args:
        config: The sweep.
        storage_url: Where its study is, or is made.
        say: Takes a line for the user.
        import_from: Name of a study in the same storage whose trials are brought over first.
        accept_edited_model: As in `open_study`.
        retry_failed: Try again what failed, whether or not the model was edited since.
        options: Those of `run`.
    """
    check_storage(storage_url, create=import_from is None)
    check_studies(storage_url, config.file.study, import_from=import_from)
    sweep = Sweep(config, import_from, say, accept_edited_model, retry_failed)
    stop, progress = run(sweep, storage_url=storage_url, say=say, **options)
    return sweep.study, stop, progress


def run(
    study_run: StudyRun,
    *,
    storage_url: str,
    say: Say,
    observers: Iterable[Observer] = (),
    engine: str | None = None,
    address: str | None = None,
    checkpoint_storage: str | None = None,
    trials_per_gpu: int | None = None,
    n_workers: int | None = None,
    data_dir: Path | None = None,
    take_over: bool = False,
) -> tuple[Stop, Progress]:
    """Run a study until nothing is left to try, its budget is used up or Ctrl-C is pressed.

    Args:
        study_run: What is run.
        storage_url: Where the study is, or is made.
        say: Takes a line for the user.
        observers: Told what happens; see `Observer`.
        engine: Name of the engine that the trials run on; None takes the sweep file's. See `open_engine`.
        address: Of the cluster; None takes the sweep file's.
        checkpoint_storage: Folder in which its nodes keep checkpoints; None takes the sweep file's.
        trials_per_gpu: Trials that share a GPU of one of them; None takes the sweep file's.
        n_workers: Trials that train side by side; None takes one for each core that the engine has.
        data_dir: Where Fashion-MNIST is to be found.
        take_over: Run the study even if a process on another machine may be running it.

    Returns:
        Why the run ended, and what it was at.

    Raises:
        SweepError: The data, the storage or the study can't be used; nothing stored is changed.
    """
    config = study_run.config
    name = config.file.study
    section = config.file.engine
    if engine is None or engine == section.name:
        engine, address = section.name, section.address if address is None else address
        checkpoint_storage = section.checkpoint_storage if checkpoint_storage is None else checkpoint_storage
        trials_per_gpu = section.trials_per_gpu if trials_per_gpu is None else trials_per_gpu
    problems = worker_problems(engine, n_workers)
    if problems:
        raise ConfigError(name, problems)
    slots = slots_of(engine, n_workers)
    folder = side_folder(storage_url, name)
    with lease(storage_url, name, say=say, take_over=take_over) as held:
        source, reading = config.file.data, config.file.reading
        data_ref = config.data or data.open_data(source, data_dir=data_dir, say=say, reading=reading)
        for note in shadow_notes(config.folders) if config.uses_folders else ():
            say(f"Note: {note}.")
        problems = data.check_split(data_ref, study_run.split)
        if problems:
            raise ConfigError(name, [f"training: {problem}" for problem in problems])
        of_data = data.data_notes(data_ref, study_run.split, n_probe=config.n_probe)
        for note in [*config.notes, *of_data]:
            say(f"Note: {note}.")
        seconds = config.file.budget.reconnect_seconds
        patience = Patience(storage_url, seconds, say=say, is_kept=held.is_kept)
        check_engine(engine, address, checkpoint_storage, trials_per_gpu)
        # Made last: a run that is refused leaves no empty database behind.
        storage = open_storage(storage_url, create=True, patience=patience)
        study = study_run.open(data_ref, storage)
        # A study that there is may have settled what its settings leave open.
        config = study_run.config
        where, total = safe_url(storage_url), config.file.budget.trials
        trials = f"{total} {'trial' if total == 1 else 'trials'} in all"
        beside = f"{slots} side by side" if slots else "as many side by side as the cluster has room for"
        say(f"Study {name!r} in {where}: {trials}, {beside}.")
        shared = None
        checkpoints = CheckpointFolder(folder)
        if checkpoint_storage is not None:
            shared = SharedFolder(checkpoint_storage, shared_name(storage_url, name))
            checkpoints = SharedCheckpoints(shared, folder)
            write_checkpoint_storage(study, shared.record)
        kept = side_folder(storage_url, name, kind="weights") if config.file.keep_models else None
        weights = None if kept is None else WeightsFolder(kept)
        places = Places.of(data_ref, checkpoints=folder, code=config.folders, weights=kept)
        limit = config.file.budget.trial_seconds
        with (
            stop_signals(say) as interrupted,
            held.owning(study) as owner,
            open_engine(
                engine,
                slots,
                places=places,
                time_limit_s=limit,
                address=address,
                checkpoint_storage=shared,
                trials_per_gpu=trials_per_gpu,
            ) as running_on,
        ):
            search = Search.of(
                config,
                data_ref,
                study,
                running_on,
                plan=study_run.plan(study),
                run=owner.run,
                checkpoints=checkpoints,
                weights=weights,
                check=held.check,
                observer=Observers([NoteTeller(say), *observers], say),
            )
            stop = search.run(interrupted)
        size = checkpoints.size()
        if size:
            say(f"Checkpoints of {checkpoints.holds()} trials take {size / 1e6:.1f} MB in {checkpoints}.")
        if weights is not None and (size := weights.size()):
            say(f"Weights of the best trials take {size / 1e6:.1f} MB in {weights.path}.")
        return stop, search.progress()
