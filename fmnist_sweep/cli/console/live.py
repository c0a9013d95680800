"""What a person sees of a running sweep: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text
from typing_extensions import override

from fmnist_sweep.cli.console.board import Board, machine
from fmnist_sweep.cli.console.cells import say, shown
from fmnist_sweep.cli.console.resized import ResizedLive
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.metrics import METRICS_BY_NAME, UNITS
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Progress, RetriedTrial, Stop
from fmnist_sweep.core.wording import points

_SAY_WAITS_EVERY_S: Final = 60.0
"""How often lines tell of what is waited for."""


def seconds_left(progress: Progress) -> float | None:
    """Return an estimate of the time until the budget of trials is used up; None before anything is known.

    Trials in training count by the share of their epochs that is done.
    """
    in_part = sum(trial.n_epochs / trial.max_epochs for trial in progress.running)
    done = progress.n_done_now + in_part
    if done < 0.5:
        return None
    return progress.seconds / done * max(0.0, progress.n_trials - progress.n_begun - in_part)


class TrainingDisplay(Observer):
    """Shows how far the final trainings of an export have come.

    Args:
        what: What is trained, such as ``"dense: 5 final trainings"``.
        n_epochs: Epochs of each training.
        console: Where to show it; a console that is no terminal gets a line for each training that ends.
    """

    def __init__(self, what: str, n_epochs: int, console: Console) -> None:
        self._what = what
        self._n_epochs = n_epochs
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task(shown(what), total=None)
        self._waits = _WaitLines(console)
        self._n_shown = 0

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        # Once for each configuration that is trained.
        self._n_shown = 0
        self._bars.start()

    @override
    def on_end(self, stop: Stop | None) -> None:
        self._bars.stop()

    @override
    def on_progress(self, progress: Progress) -> None:
        self._n_epochs = max((trial.max_epochs for trial in progress.running), default=self._n_epochs)
        n_epochs = progress.n_done * self._n_epochs + sum(trial.n_epochs for trial in progress.running)
        what = f"{self._what}, waiting: {progress.waits}" if progress.waits else self._what
        self._bars.update(
            self._task,
            description=shown(what),
            completed=n_epochs,
            total=progress.n_trials * self._n_epochs,
        )
        if not self._console.is_terminal:
            self._waits.say(progress)
        if progress.n_done > self._n_shown:
            self._n_shown = progress.n_done
            line = f"{self._what}: {progress.n_done} of {progress.n_trials} done"
            if not self._console.is_terminal:
                say(self._console, line)


class _WaitLines:
    """Says what the engine waits for, now and then, where no live display has a line for it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = -math.inf

    def say(self, progress: Progress) -> None:
        if progress.waits and progress.seconds - self._said_at >= _SAY_WAITS_EVERY_S:
            self._said_at = progress.seconds
            say(self._console, f"waiting: {progress.waits}")


class Display(Observer):
    """Shows the progress of one run.

    Args:
        console: Where to show it; a console that is no terminal gets a plain line for each finished trial.
        progress: Whether to show how far it is; what fails, and what goes on, is told in any case.
    """

    def __init__(self, console: Console, *, progress: bool = True) -> None:
        self._console = console
        self._tells = progress
        self._draws = progress and console.is_terminal and not console.quiet
        self._at: Progress | None = None
        self._study = ""
        self._in_points = True
        self._value = UNITS["accuracy"]
        self._shown: set[EndedTrial | None] = {None}
        self._shown_retry: RetriedTrial | None = None
        self._shown_skips: set[int] = set()
        self._waits = _WaitLines(console)
        self._board = Board()
        # Drawn anew each time, by the size that the terminal has then.
        self._live = ResizedLive(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._study = study
        self._board.on_start(study, settings)
        metric = settings["score"]["metric"]
        self._in_points = UNITS[metric].in_points
        self._value = UNITS["accuracy" if metric in METRICS_BY_NAME else metric]
        if self._draws:
            self._live.start()

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        self._board.on_event(event, job)

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        self._board.on_trial_end(trial, job, curve)

    @override
    def on_end(self, stop: Stop | None) -> None:
        self._live.stop()

    @override
    def on_progress(self, progress: Progress) -> None:
        retried = progress.retried
        if retried is not None and retried != self._shown_retry:
            self._shown_retry = retried
            line = f"trial {retried.number}: {retried.reason}; goes on, retry {retried.n_retries}"
            say(self._console, line)
        skipped = progress.skipped
        if skipped is not None and skipped.trial not in self._shown_skips:
            # Once for a trial: a disk that is full is so at the next epoch too.
            self._shown_skips.add(skipped.trial)
            line = f"trial {skipped.trial}: no checkpoint could be written: {skipped.reason}; goes on"
            say(self._console, line)
        if not self._draws:
            self._waits.say(progress)
        told = self._tells and not self._draws
        for one in (progress.ended, progress.paused):
            if one is not None and one not in self._shown and (told or one.reason):
                say(self._console, self._line(progress, one))
        self._shown = {None, progress.ended, progress.paused}
        self._at = progress

    def _gap(self, gap: float) -> str:
        return points(gap) if self._in_points else f"{gap:+.4f}"

    def _line(self, progress: Progress, ended: EndedTrial) -> str:
        value = "" if ended.value is None else f" score {ended.value:.4f}"
        reason = f": {ended.reason}" if ended.reason else ""
        best = progress.best
        so_far = "" if best is None else f"; best {best.score:.4f} (trial {best.number})"
        count = f"[{progress.n_begun}/{progress.n_trials}] trial {ended.number} {ended.state.lower()}"
        return f"{count}{value}{reason}{so_far}; {self._times(progress)}"

    def _times(self, progress: Progress) -> str:
        left = seconds_left(progress)
        passed = timedelta(seconds=round(progress.seconds))
        return f"{passed} passed" + ("" if left is None else f", about {timedelta(seconds=round(left))} left")

    def _panel(self) -> RenderableType:
        progress = self._at
        if progress is None:
            return Text("starting the processes that train; each has TensorFlow in it", style="dim")
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        paused = f", {progress.n_paused} paused" if progress.n_paused else ""
        counts = (
            f"{progress.n_complete} complete, {len(progress.running)} running, "
            f"{progress.n_pruned} pruned, {progress.n_failed} failed{paused}"
        )
        bars.add_task(
            f"[bold]{shown(self._study)}[/]",
            total=progress.n_trials,
            completed=progress.n_begun,
            note=f"trials: {counts}",
        )
        best = self._board.best()
        # What the other lines leave of the screen.
        n_rows = self._console.height - 8 - bool(progress.waits) - (0 if best is None else best.row_count + 1)
        below = f"{self._times(progress)}; {machine(len(progress.running))}"
        return Group(
            bars,
            *([self._board.running(progress, n_rows)] if progress.running else []),
            *([Text(self._best(progress))] if best is None or not self._board.knows(progress.best) else []),
            *([] if best is None else [best]),
            *([Text(self._board.last(), style="dim")] if self._board.last() else []),
            *([Text(f"waiting: {progress.waits}", style="dim")] if progress.waits else []),
            Text(below, style="dim", no_wrap=True, overflow="ellipsis"),
        )

    def _best(self, progress: Progress) -> str:
        best = progress.best
        if best is None:
            return "best: no complete trial yet"
        return (
            f"best: trial {best.number}, score {best.score:.4f} (validation "
            f"{self._value.show(best.value)}, gap {self._gap(best.gap)}, {best.n_epochs} epochs)"
        )
