"""Final trainings and a reading of the test set from a script: what an export needs, without Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import optuna
from typing_extensions import override

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import EpochDone, Failed, Started, TrialEvent
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.trainer import Trainer
from fmnist_sweep.data.fashion_mnist import CLASS_NAMES
from fmnist_sweep.engines.base import KERAS_TRAINER, OpenEngine
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.export.own_parts import OWN_CODE_CHECK, SAVING_CHECK
from fmnist_sweep.export.plan import ExportPlan, plan_export
from fmnist_sweep.export.run import run_plan
from fmnist_sweep.training.testing import scripted_curve

if TYPE_CHECKING:
    import pytest

DATA: Final = DataRef("fashion-mnist", "da7a" * 16, (28, 28, 1), CLASS_NAMES, 60_000, "/nowhere")

SOURCE: Final[dict[str, Any]] = {
    "n_parameters": 7850,
    "learning_rates": None,
    "batch_size": 32,
    "model": {
        "layers": ["keras.layers.Flatten()", 'keras.layers.Dense(10, activation="softmax")'],
        "optimizer": "keras.optimizers.Adam()",
        "loss": '"sparse_categorical_crossentropy"',
        "definitions": [],
        "made": [[0, 2]],
    },
}


def made_predictions(n: int, *, accuracy: float, seed: int, n_classes: int = 10) -> tuple[Any, Any]:
    """Return probabilities ``(n, n_classes)`` that are right so often, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % n_classes
    # Mistakes go to the next class, so that it is known what is confused with what.
    guesses = np.where(rng.random(n) < accuracy, labels, (labels + 1) % n_classes)
    probabilities = np.full((n, n_classes), 0.02, np.float32)
    probabilities[np.arange(n), guesses] += rng.uniform(0.5, 5.0, n)
    return probabilities / probabilities.sum(axis=1, keepdims=True), labels


def write_words(_figure: object, *paths: Path) -> None:
    """Stand in for the writing of a picture, which takes seconds."""
    for path in paths:
        path.write_text("a picture of something")


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Let a bundle have words for pictures: to lay out its pictures takes longer than all the rest of it."""
    for picture in ("learning_curve", "confusion_matrices", "misclassified"):
        patch.setattr(f"fmnist_sweep.reports.pictures.{picture}", lambda *_, **__: None)
    patch.setattr("fmnist_sweep.reports.pictures.save", write_words)


class FinalTrainer:
    """Hands over what a final training does; a seed of ``fail`` fails."""

    def __init__(self, *, fail: int | None = None, source: dict[str, Any] = SOURCE) -> None:
        self.trained: list[int] = []
        self._fail = fail
        self._source = source

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield a scripted curve and write a folder."""
        if job.seed == self._fail:
            raise TrialError("out of memory")
        self.trained.append(job.seed)
        yield Started(job.trial, job.n_parameters or 7850)
        yield from scripted_curve(job).epochs
        folder = job.delivery_folder
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        train, y_train = made_predictions(600, accuracy=0.93, seed=job.seed)
        val, y_val = made_predictions(300, accuracy=0.90, seed=job.seed + 1)
        np.savez(folder / "predictions.npz", train=train, y_train=y_train, val=val, y_val=y_val)
        (folder / "source.json").write_text(json.dumps(self._source))
        (folder / "model.keras").write_bytes(b"a model of seed %d" % job.seed)


class Reader:
    """Reads a made test set; ``before`` is called first."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.n_readings = 0
        self._before = before

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Write each model's predictions."""
        self._before()
        self.n_readings += 1
        folder = job.places.deliveries
        assert folder is not None
        for path in sorted(folder.glob("*/model.keras")):
            test, labels = made_predictions(500, accuracy=0.88, seed=int(path.parent.name[5:]) + 2)
            worst = np.flatnonzero(test.argmax(axis=1) != labels)[:24]
            images = np.random.default_rng(0).random((len(worst), 28, 28, 1), np.float32)
            np.savez(path.parent / "test.npz", test=test, y_test=labels, worst=worst, x_worst=images)
        yield Started(job.trial, 0)


class Check:
    """Stands in for what builds and saves a model beforehand: it finds ``problem``, if any, and counts."""

    def __init__(self, problem: str = "") -> None:
        self.n_checks = 0
        self.n_parameters: int | None = None
        self._problem = problem

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Count, and fail if there is a problem."""
        self.n_checks += 1
        if self._problem:
            raise TrialError(self._problem)
        yield Started(job.trial, self.n_parameters or job.n_parameters or 0)


class Mortal(InlineEngine):
    """An engine whose processes die.

    Args:
        trainer: Trains the jobs.
        places: Where what they name lies.
        deaths: By a job's seed: after how many epochs its process dies, one number for each attempt. The
            attempt after the last one runs to its end.
    """

    def __init__(self, trainer: FinalTrainer, places: Places, deaths: Mapping[int, list[int]]) -> None:
        super().__init__(trainer, places=places)
        self._deaths = {seed: list(epochs) for seed, epochs in deaths.items()}
        self._left: int | None = None

    @override
    def submit(self, job: TrialJob) -> None:
        """Take a job; what became of earlier attempts at it is forgotten."""
        super().submit(job)
        deaths = self._deaths.get(job.seed)
        self._left = deaths.pop(0) if deaths else None

    @override
    def events(self, timeout_s: float) -> list[TrialEvent]:
        """Return the next event; that of a death once the job has come so far."""
        if self.running and self._left == 0:
            (trial,) = self.running
            self.cancel(trial)
            super().events(timeout_s)
            return [Failed(trial, "process was killed by SIGKILL (out of memory?)", died=True)]
        found = super().events(timeout_s)
        if self._left is not None:
            self._left -= sum(isinstance(event, EpochDone) for event in found)
        return found


class Exports:
    """Exports a study into a folder; `deaths` are those of its trainings' processes, as in `Mortal`."""

    def __init__(self, study: optuna.Study, folder: Path) -> None:
        self.study = study
        self.folder = folder
        self.trainer = FinalTrainer()
        self.reader = Reader()
        self.saving, self.code = Check(), Check()
        self.deaths: dict[int, list[int]] = {}

    def plan(self, **options: Any) -> ExportPlan:
        """Plan an export of three trainings."""
        root = self.folder / "studies.db.exports" / self.study.study_name
        return plan_export(
            self.study, output=self.folder / "exports", root=root, **{"n_repeats": 3, **options}
        )

    def run(self, *, data: DataRef = DATA, **options: Any) -> Any:
        """Plan and run an export; return what ``metrics.json`` holds."""
        plan = self.plan(**options)
        assert not plan.is_there
        return run_plan(plan, data, self.engine)

    def engine(self, trainer: str | None, places: Places) -> OpenEngine:
        """Return an engine of the scripted trainer or reader."""
        if trainer is None:
            return Mortal(self.trainer, places, self.deaths)
        trainers: dict[str, Trainer] = {SAVING_CHECK: self.saving, OWN_CODE_CHECK: self.code}
        return InlineEngine(trainers.get(trainer, self.reader), places=places)

    def open_engine(self, *_: Any, places: Places, trainer: str = KERAS_TRAINER, **__: Any) -> OpenEngine:
        """Stand in for the function of that name."""
        return self.engine(None if trainer == KERAS_TRAINER else trainer, places)
