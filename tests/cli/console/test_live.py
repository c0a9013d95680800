"""The live display and its estimates."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from fmnist_sweep.cli.console.live import Display, seconds_left
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import CheckpointSkipped, EpochDone, Started
from fmnist_sweep.core.jobs import DataRef, Hyperparameters, SplitSpec, TrialJob
from fmnist_sweep.core.progress import BestTrial, EndedTrial, Progress, RetriedTrial, TrialProgress
from fmnist_sweep.core.wording import percent, points


def progress(**changes: Any) -> Progress:
    values: dict[str, Any] = {
        "n_trials": 10,
        "n_complete": 3,
        "n_pruned": 1,
        "n_failed": 0,
        "n_reused_epochs": 0,
        "seconds": 100.0,
        "n_done_now": 4,
        "running": (),
        "best": BestTrial(2, 0.886, 0.891, 0.015, 9),
        "ended": EndedTrial(3, "COMPLETE", 0.88, ""),
    }
    return Progress(**{**values, **changes})


def show(
    *shown: Progress,
    terminal: bool,
    in_accuracy: bool = True,
    counts: bool = True,
    environment: Mapping[str, str] | None = None,
) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, _environ=environment or {})
    display = Display(console, progress=counts)
    display.on_start("tiny", {"score": {"metric": "accuracy" if in_accuracy else "cross_entropy"}})
    for one in shown:
        display.on_progress(one)
    display.on_end(None)
    return out.getvalue()


def test_time_left_counts_running_trials_by_their_share() -> None:
    """Four trials and a half in 90 s leave five and a half: 110 s."""
    running = (TrialProgress(4, 5, 10, 0.8),)
    assert seconds_left(progress(seconds=90.0, running=running)) == pytest.approx(110.0)


def test_time_left_is_unknown_at_first() -> None:
    """Nothing is guessed before half a trial is done."""
    assert seconds_left(progress(n_done_now=0, running=(TrialProgress(0, 4, 10, 0.8),))) is None


def test_a_pipe_gets_one_plain_line_for_each_ended_trial() -> None:
    """The same trial is told once, however often the progress is shown, and no control codes are sent."""
    out = show(progress(), progress(seconds=120.0), terminal=False)
    assert out == (
        "[4/10] trial 3 complete score 0.8800; best 0.8860 (trial 2); 0:01:40 passed, about 0:02:30 left\n"
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_checkpoint_that_was_skipped_is_told_once_for_a_trial(terminal: bool) -> None:
    """A full disk, met again at each epoch, does not fill the screen."""
    skips = [CheckpointSkipped(n, "No space left on device") for n in (4, 4, 5, 4)]
    out = show(*(progress(skipped=skip) for skip in skips), terminal=terminal)
    assert out.count("trial 4: no checkpoint") == 1
    assert out.count("could be written: No space left on device") == 2


def test_a_failure_is_told_with_its_reason_on_a_terminal_too() -> None:
    """The live display is wiped in the end; what failed stays."""
    ended = EndedTrial(5, "FAIL", None, "out of memory")
    assert "trial 5 fail: out of memory" in show(progress(ended=ended), terminal=True)


@pytest.mark.parametrize("terminal", [False, True])
def test_without_progress_only_what_went_wrong_is_told(terminal: bool) -> None:
    """No display, and no line for a trial that ended well."""
    failed = EndedTrial(5, "FAIL", None, "out of memory")
    out = show(progress(), progress(ended=failed), terminal=terminal, counts=False)
    assert out.count("\n") == 1
    assert out.startswith("[4/10] trial 5 fail: out of memory")


def test_a_terminal_is_told_at_once_that_the_run_begins() -> None:
    """Before the first trial has started, which takes as long as an import of TensorFlow."""
    assert "starting the processes that train" in show(terminal=True)


def test_no_color_is_honoured() -> None:
    """https://no-color.org: colours are left out, the display is not."""
    running = progress(running=(TrialProgress(4, 5, 10, 0.8),))
    coloured, plain = (
        show(running, terminal=True, environment={"TERM": "xterm-256color", **more})
        for more in ({}, {"NO_COLOR": "1"})
    )
    assert re.search(r"\x1b\[[0-9;]*3\d", coloured)
    assert not re.search(r"\x1b\[[0-9;]*[349]\dm", plain)
    assert "5/10" in plain


def test_a_display_follows_the_size_of_its_terminal(data: DataRef) -> None:
    """What is drawn after the terminal has become smaller fits it."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140, height=40, _environ={})
    display = Display(console)
    trained(display, data)
    display.on_progress(progress(running=tuple(TrialProgress(number, 5, 10, 0.8) for number in (2, 3))))
    console.width, console.height = 60, 12
    out.truncate(0)
    display.on_end(None)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).splitlines()
    assert any("5/10" in line for line in lines)
    assert len(lines) <= 12
    assert all(len(line.strip("\0")) <= 60 for line in lines)


def test_a_terminal_shows_running_trials_and_the_best() -> None:
    """Counts, the best trial's accuracy and gap, and each running trial's epochs."""
    out = show(progress(running=(TrialProgress(4, 5, 10, 0.8),)), terminal=True)
    assert "3 complete, 1 running, 1 pruned, 0 failed" in out
    assert "best: trial 2, score 0.8860 (validation 89.10 %, gap +1.50 points, 9 epochs)" in out
    assert "5/10" in out


def test_cross_entropy_gaps_are_no_points() -> None:
    """A gap of 0.05 nats is shown as such."""
    best = BestTrial(2, -0.31, 0.891, 0.05, 9)
    assert "gap +0.0500" in show(progress(best=best), terminal=True, in_accuracy=False)


def test_units() -> None:
    """Accuracies are per cent, differences are points with a sign."""
    assert (percent(0.8912), points(0.012), points(-0.005)) == ("89.12 %", "+1.20 points", "-0.50 points")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_retry_is_told_once(terminal: bool) -> None:
    """Which trial, how its process died, and the number of the retry."""
    retried = RetriedTrial(4, 1, "process was killed by SIGKILL (out of memory?)")
    again = progress(retried=retried)
    out = show(again, again, terminal=terminal)
    assert out.count("trial 4: process was killed by SIGKILL (out of memory?); goes on, retry 1") == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_engine_waits_for_is_told(terminal: bool) -> None:
    """In a line of the display, or in a line of its own once a minute."""
    waits = [progress(waits=f"1 node is getting ready, for {s} s", seconds=float(s)) for s in (1, 2, 70)]
    out = show(*waits, terminal=terminal)
    assert "waiting: 1 node is getting ready, for " in out
    if not terminal:
        assert [line for line in out.splitlines() if "waiting" in line] == [
            f"waiting: 1 node is getting ready, for {s} s" for s in (1, 70)
        ]


def trained(display: Display, data: DataRef, n_ended: int = 2) -> LearningCurve:
    """Tell of four trials of five epochs; the first ones end."""
    curve = LearningCurve.from_scores(train=[0.7, 0.8, 0.85, 0.9, 0.93], val=[0.69, 0.78, 0.82, 0.85, 0.86])
    display.on_start("tiny", {"score": {"metric": "accuracy", "penalty": 1.0, "tolerance": 0.01}})
    for number in range(4):
        point: Hyperparameters = {"units_1": 100 + number, "depth": 2}
        job = TrialJob(number, "dense", point, 10, 0, data, SplitSpec(10), n_probe=20, batch_size=8)
        display.on_event(Started(number, 10_000 * (number + 1)), job)
        for scores in curve.epochs:
            display.on_event(EpochDone(number, scores), job)
        if number < n_ended:
            display.on_trial_end(EndedTrial(number, "COMPLETE", 0.81 - number / 100, "", epoch=3), job, curve)
    return curve


@pytest.mark.parametrize(("width", "height", "n_shown"), [(80, 24, 2), (140, 40, 2), (80, 10, 1)])
def test_a_terminal_shows_curves_settings_and_the_best(
    data: DataRef, width: int, height: int, n_shown: int
) -> None:
    """Train and validation on one scale, what differs between the trials, and the best of this run."""
    out = io.StringIO()
    display = Display(Console(file=out, force_terminal=True, width=width, height=height, _environ={}))
    trained(display, data)
    running = tuple(TrialProgress(number, 5, 10, 0.8) for number in (2, 3))
    display.on_progress(progress(running=running, best=BestTrial(0, 0.81, 0.86, 0.07, 4)))
    display.on_end(None)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).splitlines()
    assert all(len(line) <= width for line in lines)
    shown = [line.split() for line in lines if "▁▄▆▇█  ▁▄▅▆▆" in line]
    assert len(shown) == n_shown
    assert shown[0][:7] == ["2", "5/10", "0.8000", "86.00", "%", "7.00", "points"]
    assert shown[0][-2:] == ["units_1", "102"]
    assert ["...", "1", "more"] in [line.split() for line in lines] or n_shown == 2
    table = next(i for i, line in enumerate(lines) if line.split()[:2] == ["best", "score"])
    assert lines[table + 1].split() == ["0", "0.8100", "85.00", "%", "5.00", "points", "4", "10,000"]
    assert not any("depth" in line for line in lines)
    assert any("last: trial 1 complete after 5 epochs, score 0.8000" in line for line in lines)


def test_the_best_of_an_earlier_run_is_told_beside_those_of_this_one(data: DataRef) -> None:
    """A run that goes on has not seen its curve."""
    out = io.StringIO()
    display = Display(Console(file=out, force_terminal=True, width=120, height=30, _environ={}))
    trained(display, data)
    display.on_progress(progress(best=BestTrial(9, 0.95, 0.96, 0.01, 4)))
    display.on_end(None)
    assert "best: trial 9, score 0.9500" in out.getvalue()
