"""Trials that are killed and go on: the curve is the one that they would have had anyway."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import CheckpointSkipped, EpochDone, Failed, Finished, TrialEvent
from fmnist_sweep.core.jobs import Scalar, SplitSpec, TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine

pytestmark = pytest.mark.slow

USERS_MODELS = '''
import random

import keras
import keras_tuner
import numpy as np


class Noisy(keras.layers.Layer):
    """Draws from Keras's generator for operations without a seed, in a layer inside a layer."""

    def call(self, x, training=False):
        return x + 0.05 * keras.random.normal(keras.ops.shape(x)) if training else x


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = [keras.layers.Dropout(0.2), keras.layers.GaussianNoise(0.1), Noisy()]

    def call(self, x, training=False):
        for layer in self.inner:
            x = layer(x, training=training)
        return x


class Nested(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([
            keras.Input((28, 28, 1)), keras.layers.RandomTranslation(0.1, 0.1), keras.layers.Flatten(),
            Block(), keras.layers.Dense(20, activation="relu"), keras.layers.Dense(10, activation="softmax"),
        ])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model


class OwnFit(Nested):
    def fit(self, hp, model, x, y, **kwargs):
        x = x[:, :, ::-1] if random.random() < 0.5 else x
        x = x + np.random.normal(scale=0.01, size=x.shape).astype("float32")
        return model.fit(x, y, batch_size=hp.Choice("batch", [50]), **kwargs)
'''

MODELS = {
    "dense": ("fmnist_sweep.models:DenseModel", {"dropout": 0.3, "batch_norm": True, "depth": 1}),
    "conv": ("fmnist_sweep.models:ConvModel", {"dropout": 0.3, "batch_norm": True}),
    "augmented": (
        "fmnist_sweep.models:ConvModel",
        {
            "optimizer": "adamw", "schedule": "cosine", "schedule_epochs": 3, "learning_rate": 3e-3,
            "label_smoothing": 0.1, "flip": True, "shift": 2, "conv_dropout": 0.1, "batch_norm": True,
            "global_pooling": True, "alternate_flips": True, "erase": 0.25, "ema": 0.9,
        },
    ),
    "nested": ("users_models:Nested", {}),
    "own fit": ("users_models:OwnFit", {"batch": 50}),
}  # fmt: skip
STAND_FOR_ALL = (("dense", 0.05), ("augmented", 0.0))
ANEW = "own fit"
"""It is called once with all epochs: a trial that is killed starts over, to the same curve."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """Real trainings, one at a time; the user's models lie in the working directory."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "users_models.py").write_text(USERS_MODELS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        # Checkpoints are named by whole paths here.
        places = Places.of(open_data(), checkpoints=Path("/"))
        with LocalEngine(1, places=places, log_dir=folder) as engine:
            yield engine
    finally:
        os.chdir(before)


def make_job(kind: str, checkpoint: Path | None = None, *, epochs: int = 4) -> TrialJob:
    """Return a job on a few images whose last batch is not whole."""
    model, values = MODELS[kind]
    hyperparameters: dict[str, Scalar] = dict(values)  # type: ignore[call-overload]
    return TrialJob(
        0,
        model,
        hyperparameters,
        epochs=epochs,
        seed=3,
        data=open_data(),
        split=SplitSpec(n_val=300, train_size=1510),
        n_probe=200,
        checkpoint=None if checkpoint is None else str(checkpoint),
    )


def run(engine: LocalEngine, job: TrialJob, *, kill_after: int | None = None, wait_s: float = 0.0) -> Any:
    """Run a job; with ``kill_after``, kill its process so long after so many epochs.

    Returns:
        The scores as they came, and the last event.
    """
    engine.submit(job)
    scores: list[EpochScores] = []
    while True:
        for event in engine.events(60):
            if isinstance(event, EpochDone):
                scores.append(event.scores)
            if isinstance(event, Finished | Failed):
                return scores, event
        if kill_after is not None and len(scores) >= kill_after:
            time.sleep(wait_s)
            for process in psutil.Process().children(recursive=True):
                if process.children() == [] and is_trial(process):
                    process.send_signal(signal.SIGKILL)
            kill_after = None


def is_trial(process: psutil.Process) -> bool:
    """Return whether a process was forked by the fork server: those have it as their parent."""
    parent = process.parent()
    return parent is not None and parent.pid != os.getpid()


def without_seconds(scores: list[EpochScores]) -> list[EpochScores]:
    return [replace(epoch, seconds=0.0) for epoch in scores]


def told_again(scores: list[EpochScores], kind: str) -> list[EpochScores]:
    """Return what of an earlier run must be told again: times too, where it was read and not trained."""
    return without_seconds(scores) if kind == ANEW else scores


@pytest.fixture(scope="module")
def whole(engine: LocalEngine) -> Callable[[str], list[EpochScores]]:
    """The curve of a kind of model, trained once without a checkpoint or an interruption."""

    @functools.cache
    def curve(kind: str) -> list[EpochScores]:
        scores, last = run(engine, make_job(kind))
        assert last == Finished(0)
        return list(scores)

    return curve


@pytest.mark.parametrize(
    "kind", [k if k == "dense" else pytest.param(k, marks=pytest.mark.faults) for k in MODELS]
)
def test_a_longer_job_goes_on_from_a_shorter_one(
    engine: LocalEngine, whole: Callable[[str], list[EpochScores]], kind: str, tmp_path: Path
) -> None:
    """Bit for bit the curve of an uninterrupted run; a shorter one needs no training."""
    path = tmp_path / "checkpoint"
    two, _ = run(engine, make_job(kind, path, epochs=2))
    four, last = run(engine, make_job(kind, path))
    assert last == Finished(0)
    assert told_again(four[:2], kind) == told_again(two, kind)
    assert without_seconds(four) == without_seconds(whole(kind))
    three, _ = run(engine, make_job(kind, path, epochs=3))
    assert told_again(three, kind) == told_again(four[:3], kind)


@pytest.mark.parametrize(
    ("kind", "wait_s"),
    [
        pytest.param(kind, wait_s, marks=[] if (kind, wait_s) in STAND_FOR_ALL else pytest.mark.faults)
        for kind in MODELS
        for wait_s in (0.0, 0.05)
    ],
)
def test_a_killed_trial_goes_on_to_the_same_curve(
    engine: LocalEngine, whole: Callable[[str], list[EpochScores]], kind: str, wait_s: float, tmp_path: Path
) -> None:
    """Bit for bit, killed between epochs or inside one, for as often as it takes; done epochs come again."""
    job = make_job(kind, tmp_path / "folder" / "checkpoint")
    seen: list[EpochScores] = []
    for kill_after in (1, 2):
        scores, last = run(engine, job, kill_after=kill_after, wait_s=wait_s)
        assert isinstance(last, Failed)
        assert last.died
        assert told_again(scores[: len(seen)], kind) == told_again(seen[: len(scores)], kind)
        seen = scores
    scores, last = run(engine, job)
    assert last == Finished(0)
    assert told_again(scores[: len(seen)], kind) == told_again(seen, kind)
    assert without_seconds(scores) == without_seconds(whole(kind))


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_useless_checkpoint_costs_only_its_epochs(
    engine: LocalEngine, whole: Callable[[str], list[EpochScores]], damage: str, tmp_path: Path
) -> None:
    """One that is damaged, or of another job, is passed over with a line in the log: same curve, from 0."""
    path = tmp_path / "checkpoint"
    job = make_job("dense", path)
    run(engine, replace(job, seed=4) if damage == "foreign" else job, kill_after=2)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    scores, last = run(engine, job)
    assert last == Finished(0)
    assert without_seconds(scores) == without_seconds(whole("dense"))
    assert "is ignored, the trial starts over" in engine.log_path(0).read_text()


@pytest.mark.faults
def test_a_checkpoint_that_can_not_be_written_costs_nothing(
    engine: LocalEngine, whole: Callable[[str], list[EpochScores]], tmp_path: Path
) -> None:
    """The curve is the same, and each epoch says what was in the way."""
    (tmp_path / "file").touch()
    engine.submit(make_job("dense", tmp_path / "file" / "checkpoint"))
    events: list[TrialEvent] = []
    while engine.running:
        events += engine.events(60)
    scores = [event.scores for event in events if isinstance(event, EpochDone)]
    assert without_seconds(scores) == without_seconds(whole("dense"))
    skipped = [event for event in events if isinstance(event, CheckpointSkipped)]
    assert skipped == [CheckpointSkipped(0, "File exists")] * len(scores)


@pytest.mark.faults
def test_a_finished_checkpoint_needs_no_training(engine: LocalEngine, tmp_path: Path) -> None:
    """Killed after its last epoch, a trial is answered from the file alone."""
    job = make_job("dense", tmp_path / "checkpoint", epochs=2)
    first, _ = run(engine, job)
    again, last = run(engine, job)
    assert last == Finished(0)
    assert again == first
