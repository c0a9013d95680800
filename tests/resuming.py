"""A scripted trainer with checkpoints, and what became of the trials that it trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.training.checkpoint import Checkpoint, CheckpointFile

EPOCHS = 8
SPACE: dict[str, Any] = {"learning_rate": {"low": 1e-4, "high": 1e-2}, "epochs": EPOCHS}
NO_DEFAULT: dict[str, Any] = {"name": "random", "enqueue_default": False}


def height(job: TrialJob) -> float:
    """What a trial comes to: the higher its learning rate, the better."""
    return 0.5 + 40 * float(job.hyperparameters["learning_rate"])


def curve_of(job: TrialJob) -> LearningCurve:
    val = [height(job) - 0.1 / (n + 1) for n in range(job.epochs)]
    return LearningCurve.from_scores(train=val, val=val)


class Resuming:
    """Trains from a script with checkpoints as the real trainer keeps them, and counts what it trains."""

    def __init__(self, *, fails: int | None = None) -> None:
        self.trained: list[tuple[int, int]] = []
        self.starts: list[tuple[int, int]] = []
        self._fails = fails

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Go on from the checkpoint, and tell its epochs first."""
        file = None if job.checkpoint_file is None else CheckpointFile(job.checkpoint_file, "it")
        kept = None if file is None else file.load([])
        done = [] if kept is None else list(kept.epochs)
        self.starts.append((job.trial, len(done)))
        yield Started(job.trial, 1000, len(done))
        yield from done
        for scores in curve_of(job).epochs[len(done) :]:
            if job.trial == self._fails and kept is not None:
                raise TrialError("no more")
            self.trained.append((job.trial, scores.epoch))
            done.append(scores)
            if file is not None:
                file.save(Checkpoint(tuple(done), ()))
            yield scores


def words(study: optuna.Study) -> list[str]:
    return [trial.told_state for trial in StoredStudy.of(study).trials]


def n_epochs(study: optuna.Study) -> list[int]:
    return [trial.n_epochs or 0 for trial in StoredStudy.of(study).trials]
