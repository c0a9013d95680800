"""The final trainings of a choice: fresh seeds on the sweep's own split, then one reading of the test set."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import InterruptedExportError, SweepError
from fmnist_sweep.core.events import Failed, TrialEvent
from fmnist_sweep.core.jobs import SEEDS_OF_FINALS_BEGIN, DataKey, SplitSpec, TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import MAX_RETRIES, Stop
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.core.versions import versions
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.export.choice import Chosen
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.plan import FixedPlan, TrialDraw
from fmnist_sweep.search.samplers import GivenSampler
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.shared_checkpoints import SharedCheckpoints
from fmnist_sweep.storage.stored import StoredStudy

TEST_READER: Final = "fmnist_sweep.training.test_reading:TestReader"

_LONGEST_WAIT_S: Final = 0.5


@dataclass(frozen=True)
class FinalPlan:
    """The final trainings of a choice; the model of the first one is handed out.

    Attributes:
        study: The sweep's study: its model, split, probe and batch size are used.
        choice: What is trained.
        n_repeats: Number of trainings, each with a fresh seed.
        root: Folder for the trainings of all choices of the study.
        flip_average: As in `TrialJob`.
    """

    study: optuna.Study
    choice: Chosen
    n_repeats: int
    root: Path
    flip_average: bool = False

    @property
    def seeds(self) -> list[int]:
        """One for each training, following from the sweep's."""
        first = SEEDS_OF_FINALS_BEGIN + int(self._training["seed"])
        return list(range(first, first + self.n_repeats))

    @property
    def key(self) -> str:
        """A short digest of all that decides what the trainings give."""
        return self._key

    @cached_property
    def _key(self) -> str:
        decides = {
            "model": self._swept.model_path,
            "hyperparameters": dict(self.choice.hyperparameters),
            "epochs": self.choice.epochs,
            "training": self._training,
            "data": self._swept.data_digest,
            "n_repeats": self.n_repeats,
            "versions": versions(),
        }
        # Left out where there is none: what was kept before studies knew it is found again.
        if self._swept.config.get("split"):
            decides["split"] = self._swept.config["split"]
        if self._swept.model_source:
            decides["model_source"] = self._swept.model_source
        if self.flip_average:
            decides["flip_average"] = True
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Folder for these trainings."""
        return self.root / self.key

    @cached_property
    def deliveries(self) -> list[Delivery]:
        """What each training hands over, or will."""
        return [Delivery(self.folder / f"seed-{seed}", seed) for seed in self.seeds]

    @property
    def split(self) -> SplitSpec:
        """The sweep's own split."""
        training = self._training
        kind = self._swept.config.get("split", {}).get("kind")
        return SplitSpec(training["n_val"], training["split_seed"], training["train_size"], kind)

    def jobs(self, data: DataKey) -> list[TrialJob]:
        """Return the trainings as jobs, numbered from 0."""
        return [
            TrialJob(
                trial=i,
                model=self.model_path,
                hyperparameters=self.choice.hyperparameters,
                epochs=self.choice.epochs,
                fit_epochs=self.choice.fit_epochs,
                seed=delivery.seed,
                data=data,
                split=self.split,
                n_probe=self._training.get("n_probe"),
                batch_size=self._training["batch_size"],
                deliver_to=delivery.folder.name,
                hand_out=True,
                flip_average=self.flip_average,
                metric=self._swept.rule.metric,
                sometimes=tuple(self.choice.hyperparameters),
                # The bundle's script trains with Keras alone, and is to give the same numbers.
                exact_steps=True,
            )
            for i, delivery in enumerate(self.deliveries)
        ]

    @property
    def settings(self) -> LoopSettings:
        """How they are trained: as the sweep's trials are, each to its end, and the first failure ends it."""
        return LoopSettings(
            model=self.model_path,
            rule=replace(self._swept.rule, epoch_rule="last"),
            max_epochs=self.choice.epochs,
            split=self.split,
            n_probe=self._training.get("n_probe"),
            batch_size=self._training["batch_size"],
            exact_steps=True,
            model_source=self._swept.model_source,
            max_retries=self._budget.get("max_retries", MAX_RETRIES),
            max_failures=1,
            # What the sweep has trained leaves nothing unasked that it should not.
            sometimes=tuple(self.choice.hyperparameters),
            told=self._swept.config,
        )

    @property
    def time_limit_s(self) -> float | None:
        """Seconds that one training may take, as a trial of the sweep; None for no limit."""
        limit: float | None = self._budget.get("trial_seconds")
        return limit

    @cached_property
    def _swept(self) -> StoredStudy:
        return StoredStudy.of(self.study)

    @property
    def model_path(self) -> str:
        """Import path of the model."""
        # Every study of ours names one.
        return str(self._swept.model_path)

    @property
    def _budget(self) -> Mapping[str, Any]:
        budget: Mapping[str, Any] = self._swept.config.get("budget", {})
        return budget

    @property
    def _training(self) -> Mapping[str, Any]:
        training: Mapping[str, Any] = self._swept.config["training"]
        return training


class FinalTrainings(FixedPlan):
    """The final trainings as a plan for the loop: those that are not there yet, in the order of their seeds.

    They are no trials of the sweep, so their study lies in memory, where each has the number of its seed.

    Args:
        final: The trainings.
    """

    def __init__(self, final: FinalPlan) -> None:
        self._final = final
        self.study = optuna.create_study(direction="maximize")
        for delivery in final.deliveries:
            # What was trained before is finished, and not of this run.
            state = TrialState.COMPLETE if delivery.is_trained else TrialState.WAITING
            value = 0.0 if delivery.is_trained else None
            self.study.add_trial(optuna.trial.create_trial(state=state, value=value))

    @property
    def n_trials(self) -> int:
        """Trainings, those that are there included."""
        return self._final.n_repeats

    def sampler(self, trial: int) -> BaseSampler:
        """Return a sampler that gives a training its place among the seeds."""
        return GivenSampler({"repeat": trial})

    def draw(self, trial: optuna.Trial) -> TrialDraw:
        """Return the training of a seed, on the sweep's own split."""
        repeat = trial.suggest_int("repeat", 0, max(1, self.n_trials - 1))
        final, delivery = self._final, self._final.deliveries[repeat]
        return TrialDraw(
            final.choice.hyperparameters,
            epochs=final.choice.epochs,
            seed=delivery.seed,
            split=final.split,
            deliver_to=delivery.folder.name,
            n_parameters=final.choice.n_parameters,
            fit_epochs=final.choice.fit_epochs,
            flip_average=final.flip_average,
        )

    def keep(self, job: TrialJob, curve: LearningCurve) -> None:
        """Keep a training's curve, which says that all of the training is there."""
        self._final.deliveries[job.trial].keep_curve(curve)


def shared_part(shared: SharedFolder | None, folder: Path | None) -> SharedFolder | None:
    """Return where the nodes of a cluster keep the checkpoints of final trainings; None where they don't.

    Args:
        shared: The study's own folder.
        folder: That of the trainings on this machine.
    """
    if shared is None or folder is None:
        return None
    return replace(shared, inside=f"{shared.inside}/{folder.name}")


def train_finals(
    final: FinalPlan,
    data: DataKey,
    engine: Engine,
    *,
    shared: SharedFolder | None = None,
    check: Callable[[], None] = lambda: None,
    interrupted: threading.Event | None = None,
    observer: Observer | None = None,
) -> None:
    """Train what has not been trained yet, side by side.

    Args:
        final: The trainings.
        data: The sweep's data set.
        engine: Where they train.
        shared: The study's own folder in that which nodes of a cluster keep checkpoints in, if they do.
        check: As for `Search`.
        interrupted: Once set, what is training is given up; it goes on from its last whole epoch.
        observer: Told what happens.

    Raises:
        InterruptedExportError: ``interrupted`` was set.
        SweepError: A training failed; the others that are done are kept.
    """
    interrupted = threading.Event() if interrupted is None else interrupted
    plan = FinalTrainings(final)
    part = shared_part(shared, final.folder)
    stop = Search(
        final.settings,
        data,
        plan.study,
        engine,
        plan=plan,
        checkpoints=CheckpointFolder(final.folder) if part is None else SharedCheckpoints(part, final.folder),
        check=check,
        deliver=plan.keep,
        observer=observer,
    ).run(interrupted)
    # Asked after the last training too: what follows reads the test set.
    if stop is Stop.INTERRUPTED or interrupted.is_set():
        n_done = sum(delivery.is_trained for delivery in final.deliveries)
        raise InterruptedExportError(f"interrupted; {n_done} of {final.n_repeats} trainings are kept")
    for trial in StoredStudy.of(plan.study).in_state("FAIL"):
        seed = final.deliveries[trial.number].seed
        raise SweepError(f"the final training with seed {seed} failed: {trial.fail_words}")


def read_test(final: FinalPlan, data: DataKey, engine: Engine) -> None:
    """Let every trained model predict the test images; the reading is to be recorded before.

    Args:
        final: The trainings.
        data: The sweep's data set.
        engine: Runs `TEST_READER`.

    Raises:
        SweepError: It failed.
    """
    for event in events_of(final.jobs(data)[0], engine):
        if isinstance(event, Failed):
            raise SweepError(f"predicting the test images failed: {event.reason}")


def events_of(
    job: TrialJob, engine: Engine, *, check: Callable[[], None] = lambda: None
) -> Iterator[TrialEvent]:
    """Run one job, and yield its events up to its end.

    Args:
        job: The job.
        engine: Runs it, and nothing else.
        check: Called before each wait for events; raises where nobody wants the end any more.
    """
    engine.submit(job)
    while engine.running:
        check()
        yield from engine.events(_LONGEST_WAIT_S)
