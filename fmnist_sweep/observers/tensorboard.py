"""Scalars and hyperparameters of each trial for TensorBoard, written as they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams
from typing_extensions import override

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import EpochDone, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.observers.numbers import numbers, rule_of


class TensorBoard(Observer):
    """Writes a folder ``FOLDER/STUDY/trial-NNN`` for each trial; ``tensorboard --logdir FOLDER`` shows them.

    Its scalars are ``train/NAME`` and ``val/NAME`` of each metric, ``gap`` and ``score``, by epoch from 1.
    The HParams page compares the trials that ended, by ``hparam/score``.

    Args:
        folder: Where they are written; a trial's earlier events stay.
    """

    def __init__(self, folder: str = "tensorboard") -> None:
        self._folder = Path(folder)
        self._rule: ScoreRule | None = None
        self._writers: dict[int, SummaryWriter] = {}

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._folder /= study
        self._rule = rule_of(settings)

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        del job
        if isinstance(event, EpochDone):
            writer = self._writer(event.trial)
            for name, value in numbers(event.scores, self._rule).items():
                writer.add_scalar(name, value, event.scores.epoch + 1)
            writer.flush()

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        writer = self._writer(trial.number)
        if trial.value is not None:
            result = {"hparam/score": trial.value, "hparam/epochs": len(curve)}
            for summary in hparams({**job.hyperparameters, "state": trial.state}, result):
                writer.file_writer.add_summary(summary)
            for name, value in result.items():
                writer.add_scalar(name, value, len(curve))
        self._writers.pop(trial.number).close()

    @override
    def on_end(self, stop: object) -> None:
        del stop
        for writer in self._writers.values():
            writer.close()

    def _writer(self, trial: int) -> SummaryWriter:
        if trial not in self._writers:
            self._writers[trial] = SummaryWriter(logdir=str(self._folder / f"trial-{trial:03d}"))
        return self._writers[trial]
