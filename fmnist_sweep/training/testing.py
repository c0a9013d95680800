"""Stand-ins for training: curves from a script, in no time and without Keras."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob


class FakeTrainer:
    """Yields given curves.

    Args:
        curves: The curve of each trial by number, or a function that gives the curve of a job. Only the
            first ``job.epochs`` epochs are told.
        fail_at: Epochs by trial at which a `TrialError` is raised in place of the scores.

    Raises:
        ValueError: From `fit`, when a curve is shorter than its job.

    Example:
        >>> curve = LearningCurve.from_scores(train=[0.70, 0.90], val=[0.68, 0.80])
        >>> trainer = FakeTrainer({0: curve})
    """

    def __init__(
        self,
        curves: Mapping[int, LearningCurve] | Callable[[TrialJob], LearningCurve],
        *,
        fail_at: Mapping[int, int] | None = None,
    ) -> None:
        self._curve = curves if callable(curves) else lambda job: curves[job.trial]
        self._fail_at = {} if fail_at is None else fail_at

    def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
        """Yield the job's curve."""
        curve = self._curve(job)
        if len(curve) < job.epochs:
            raise ValueError(
                f"trial {job.trial} wants {job.epochs} epochs; its scripted curve has {len(curve)}"
            )
        yield Started(job.trial, n_parameters=1000)
        for scores in curve.epochs[: job.epochs]:
            if scores.epoch == self._fail_at.get(job.trial):
                raise TrialError(f"scripted failure in epoch {scores.epoch + 1}")
            yield scores


class ScriptedTrainer:
    """Derives everything from the job's hyperparameters: can be named by its import path.

    Validation accuracy nears ``accuracy_peak`` and the gap grows by ``overfit_rate`` an epoch; a little
    noise comes from the seed. ``sleep_s`` is the length of an epoch. ``crash`` names what happens in epoch
    ``crash_epoch``: ``"raise"`` (a ValueError), ``"fail"`` (a `TrialError`), ``"nan"``, ``"hang"``,
    ``"sigkill"`` or ``"exit"`` (exit code 3, a last word on stderr).
    """

    def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
        """Yield the scripted curve."""
        values = job.hyperparameters
        curve = scripted_curve(job)
        yield Started(job.trial, n_parameters=1000)
        for scores in curve.epochs:
            time.sleep(float(values.get("sleep_s", 0.0)))
            if scores.epoch == values.get("crash_epoch", 0):
                yield from _crash(str(values.get("crash", "")))
            yield scores


def scripted_curve(job: TrialJob) -> LearningCurve:
    """Return the curve that `ScriptedTrainer` gives for a job."""
    peak = float(job.hyperparameters.get("accuracy_peak", 0.9))
    rate = float(job.hyperparameters.get("overfit_rate", 0.005))
    epochs = np.arange(job.epochs)
    noise = np.random.default_rng(job.seed).normal(scale=0.001, size=job.epochs)
    val = peak * (1 - 0.3 * np.exp(-(epochs + 1) / 3)) + noise
    train = val + rate * epochs
    return LearningCurve.from_scores(
        train=np.clip(train, 0, 1).round(6).tolist(), val=np.clip(val, 0, 1).round(6).tolist()
    )


def _crash(kind: str) -> Iterator[EpochScores]:
    if kind == "raise":
        raise ValueError("scripted mistake")
    if kind == "fail":
        raise TrialError("scripted failure", "scripted detail")
    if kind == "nan":
        yield EpochScores.of_classes(0, float("nan"), 0.5, 0.5, 0.5)
    if kind == "hang":
        time.sleep(3600)
    if kind == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        sys.stderr.write("scripted last words\n")
        sys.stderr.flush()
        os._exit(3)
