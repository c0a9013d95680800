"""The final trainings of a choice: fresh seeds on the sweep's own split, then one reading of the test set."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import optuna

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import InterruptedExportError, SweepError
from fmnist_sweep.core.events import EpochDone, Failed, Finished
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.core.progress import FinalProgress
from fmnist_sweep.core.versions import versions
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.export.choice import Chosen
from fmnist_sweep.export.delivered import Delivery

SEEDS_BEGIN: Final = 10_000
"""Added to the sweep's seed: final trainings repeat none of its draws, and are fixed beforehand."""

TEST_READER: Final = "fmnist_sweep.training.test_reading:TestReader"

_LONGEST_WAIT_S: Final = 0.5
_MAX_RETRIES: Final = 2


@dataclass(frozen=True)
class FinalPlan:
    """The final trainings of a choice; the model of the first one is handed out.

    Attributes:
        study: The sweep's study: its model, split, probe and batch size are used.
        choice: What is trained.
        n_repeats: Number of trainings, each with a fresh seed.
        root: Folder for the trainings of all choices of the study.
    """

    study: optuna.Study
    choice: Chosen
    n_repeats: int
    root: Path

    @property
    def seeds(self) -> list[int]:
        """One for each training, following from the sweep's."""
        first = SEEDS_BEGIN + int(self._training["seed"])
        return list(range(first, first + self.n_repeats))

    @cached_property
    def key(self) -> str:
        """A short digest of all that decides what the trainings give."""
        attrs = self.study.user_attrs
        decides = {
            "model": attrs["model_path"],
            "hyperparameters": dict(self.choice.hyperparameters),
            "epochs": self.choice.epochs,
            "training": self._training,
            "data": attrs["data_digest"],
            "n_repeats": self.n_repeats,
            "versions": versions(),
        }
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
        return SplitSpec(training["n_val"], training["split_seed"], training["train_size"])

    def jobs(self, data: DataRef) -> list[TrialJob]:
        """Return the trainings as jobs, numbered from 0."""
        return [
            TrialJob(
                trial=i,
                model=self.study.user_attrs["model_path"],
                hyperparameters=self.choice.hyperparameters,
                epochs=self.choice.epochs,
                seed=delivery.seed,
                data=data,
                split=self.split,
                n_probe=self._training["n_probe"],
                batch_size=self._training["batch_size"],
                save_to=str(delivery.folder),
                # The bundle's script trains with Keras alone, and is to give the same numbers.
                exact_steps=True,
            )
            for i, delivery in enumerate(self.deliveries)
        ]

    @property
    def _training(self) -> Mapping[str, Any]:
        training: Mapping[str, Any] = self.study.user_attrs["config"]["training"]
        return training


def train_finals(
    engine: Engine,
    jobs: Sequence[TrialJob],
    *,
    interrupted: threading.Event | None = None,
    observer: Callable[[FinalProgress], None] = lambda _: None,
) -> None:
    """Train the jobs that have not been trained yet, side by side.

    Args:
        engine: Where they train.
        jobs: As `FinalPlan.jobs` gives them.
        interrupted: Once set, what is training is given up.
        observer: Called whenever something happens.

    Raises:
        InterruptedExportError: ``interrupted`` was set.
        SweepError: A training failed; the others that are done are kept.
    """
    interrupted = threading.Event() if interrupted is None else interrupted
    waiting = [job for job in jobs if not _delivery(job).is_trained]
    curves: dict[int, list[EpochScores]] = {job.trial: [] for job in waiting}
    n_retries = dict.fromkeys(curves, 0)
    n_done = len(jobs) - len(waiting)
    n_before = sum(job.epochs for job in jobs if job.trial not in curves)
    while True:
        # Asked after the last training too: what follows reads the test set.
        if interrupted.is_set():
            raise InterruptedExportError(f"interrupted; {n_done} of {len(jobs)} trainings are kept")
        if not waiting and not engine.running:
            return
        while waiting and len(engine.running) < engine.n_workers:
            engine.submit(waiting.pop(0))
        for event in engine.events(_LONGEST_WAIT_S):
            job = jobs[event.trial]
            match event:
                case EpochDone(scores=scores):
                    curves[job.trial].append(scores)
                case Finished():
                    _delivery(job).keep_curve(LearningCurve(tuple(curves[job.trial])))
                    n_done += 1
                case Failed(died=True) if n_retries[job.trial] < _MAX_RETRIES:
                    n_retries[job.trial] += 1
                    curves[job.trial].clear()
                    waiting.insert(0, job)
                case Failed(reason=reason):
                    raise SweepError(f"the final training with seed {job.seed} failed: {reason}")
        n_epochs = n_before + sum(map(len, curves.values()))
        observer(FinalProgress(n_done, len(jobs), n_epochs, sum(job.epochs for job in jobs)))


def read_test(engine: Engine, jobs: Sequence[TrialJob], folder: Path) -> None:
    """Let every trained model predict the test images; the reading is to be recorded before.

    Args:
        engine: Runs `TEST_READER`.
        jobs: The trainings.
        folder: The folder that theirs are in.

    Raises:
        SweepError: It failed.
    """
    engine.submit(replace(jobs[0], save_to=str(folder)))
    while engine.running:
        for event in engine.events(_LONGEST_WAIT_S):
            if isinstance(event, Failed):
                raise SweepError(f"predicting the test images failed: {event.reason}")


def _delivery(job: TrialJob) -> Delivery:
    return Delivery(Path(str(job.save_to)), job.seed)
