"""What the trials of a run are at, for a live display: curves as they grow, and the best that have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from fmnist_sweep.cli.console.trial_table import configuration, short_name
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import EpochDone, Started, TrialEvent
from fmnist_sweep.core.jobs import Hyperparameters, TrialJob
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import BestTrial, EndedTrial, Progress
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.wording import Unit, sparklines

_N_BEST: Final = 5
_N_EPOCHS: Final = 10
"""Epochs of a running trial that its line draws, the last ones."""

_GIB: Final = 2**30


@dataclass
class _Training:
    hyperparameters: Hyperparameters
    n_parameters: int | None = None
    train: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    gap: float = 0.0


@dataclass(frozen=True)
class _Ended:
    number: int
    score: float
    val: float
    gap: float
    n_epochs: int
    n_parameters: int | None


class Board(Observer):
    """Keeps what the tables of a live display show of this run."""

    def __init__(self) -> None:
        self._rule = ScoreRule()
        self._training: dict[int, _Training] = {}
        self._best: list[_Ended] = []
        self._seen: dict[str, set[Any]] = {}
        self._last = ""

    @property
    def _unit(self) -> Unit:
        return UNITS[self._rule.metric]

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._rule = ScoreRule(**settings["score"])

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        if isinstance(event, Started):
            # Also of one that goes on from a checkpoint, which tells its epochs once more.
            self._training[event.trial] = _Training(job.hyperparameters, event.n_parameters)
            for name, value in job.hyperparameters.items():
                self._seen.setdefault(name, set()).add(value)
        elif isinstance(event, EpochDone) and event.trial in self._training:
            training, metric = self._training[event.trial], self._rule.metric
            training.train.append(event.scores.train[metric])
            training.val.append(event.scores.val[metric])
            training.gap = self._rule.gap(event.scores)

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        training = self._training.pop(trial.number, None)
        state, epochs = trial.state.lower(), f"{len(curve)} {'epoch' if len(curve) == 1 else 'epochs'}"
        self._last = f"last: trial {trial.number} {state} after {epochs}"
        if trial.value is None or not len(curve):
            return
        self._last += f", score {trial.value:.4f}"
        if trial.state == "COMPLETE" and trial.epoch is not None:
            epoch = trial.epoch
            val, gap = curve.values(f"val_{self._rule.metric}")[epoch], self._rule.gaps(curve)[epoch]
            size = None if training is None else training.n_parameters
            ended = _Ended(trial.number, trial.value, float(val), float(gap), epoch + 1, size)
            self._best = sorted([*self._best, ended], key=lambda one: -one.score)[:_N_BEST]

    def running(self, progress: Progress, n_rows: int) -> Table:
        """Return a row for each running trial: its epochs, its scores, and which settings it has.

        Args:
            progress: What the run is at.
            n_rows: Rows that fit; what is left out is counted in the last one.
        """
        table = _table(
            "trial", "epoch", "score", f"val {short_name(self._rule.metric)}", "gap", "train", "val"
        )
        # The one that gives way where a terminal is narrow.
        table.add_column("settings")
        shown = progress.running[: max(1, n_rows)]
        for trial in shown:
            known = self._training.get(trial.number, _Training({}))
            cells = [f"{trial.number}", f"{trial.n_epochs}/{trial.max_epochs}", "", "", "", "", ""]
            if trial.score is not None and known.val:
                train, val = sparklines(known.train[-_N_EPOCHS:], known.val[-_N_EPOCHS:])
                value = self._unit.show(known.val[-1])
                cells[2:] = [f"{trial.score:.4f}", value, self._unit.show(known.gap, gap=True), train, val]
            settings = self._settings(known.hyperparameters)
            table.add_row(*cells, Text(settings, no_wrap=True, overflow="ellipsis"))
        left = len(progress.running) - len(shown)
        if left:
            table.add_row("...", f"{left} more")
        return table

    def best(self) -> Table | None:
        """Return a row for each of the best trials that this run has completed; None before there is one."""
        if not self._best:
            return None
        table = _table("best", "score", f"val {short_name(self._rule.metric)}", "gap", "epochs", "weights")
        for one in self._best:
            val, gap = self._unit.show(one.val), self._unit.show(one.gap, gap=True)
            size = "-" if one.n_parameters is None else f"{one.n_parameters:,}"
            table.add_row(str(one.number), f"{one.score:.4f}", val, gap, str(one.n_epochs), size)
        return table

    def knows(self, best: BestTrial | None) -> bool:
        """Return whether the study's best trial is of this run, and so in the table of `best`."""
        return best is not None and best.number in {one.number for one in self._best}

    def last(self) -> str:
        """Return what ended last in this run; empty before anything has."""
        return self._last

    def _settings(self, values: Hyperparameters) -> str:
        varying = {name: value for name, value in values.items() if len(self._seen.get(name, ())) > 1}
        return configuration(varying)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def machine(n_running: int) -> str:
    """Return how much of the machine is in use, in a line.

    Example:
        ``2 training, 2 cores, memory 3.1 of 23.5 GiB``
    """
    memory = psutil.virtual_memory()
    used, whole = (
        f"{n / _GIB:.0f}" if n >= 100 * _GIB else f"{n / _GIB:.1f}"
        for n in (memory.total - memory.available, memory.total)
    )
    return f"{n_running} training, {psutil.cpu_count() or 1} cores, memory {used} of {whole} GiB"
