"""What a search shows, in a notebook and elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fmnist_sweep.api import notebook
from fmnist_sweep.core.errors import ConfigError, SearchInterrupted, SweepError
from fmnist_sweep.core.progress import BestTrial, EndedTrial, Progress, Stop, TrialProgress

BEGUN = Progress(
    n_trials=4,
    n_complete=0,
    n_pruned=0,
    n_failed=0,
    n_reused_epochs=0,
    seconds=3.0,
    n_done_now=0,
    running=(TrialProgress(0, 1, 5, None), TrialProgress(1, 2, 5, 0.5)),
    best=None,
    ended=None,
)
ONE = replace(
    BEGUN,
    n_complete=1,
    running=(TrialProgress(1, 3, 5, 0.6),),
    best=BestTrial(0, 0.75, 0.8, 0.05, 5),
    ended=EndedTrial(0, "COMPLETE", 0.75, ""),
)
FAILED = replace(ONE, n_failed=1, running=(), ended=EndedTrial(1, "FAIL", None, "no <memory>"))


def test_lines_tell_of_each_trial_once() -> None:
    """With its score, or why it failed, and the best so far."""
    said: list[str] = []
    lines = notebook.Lines(said.append)
    for progress in (BEGUN, ONE, ONE, FAILED):
        lines.on_progress(progress)
    assert said == [
        "[1/4] trial 0 complete, score 0.7500; best 0.7500 (trial 0)",
        "[2/4] trial 1 fail: no <memory>; best 0.7500 (trial 0)",
    ]


def test_a_table_is_updated_in_place() -> None:
    """One output: shown once, then updated under the same key, at the end with why the run ended."""
    shown: list[tuple[dict[str, str], dict[str, Any]]] = []
    table = notebook.Table(lambda told, **how: shown.append((told, how)))
    table.on_start("<own>", {})
    for progress in (BEGUN, ONE, FAILED):
        table.on_progress(progress)
    # The others came at once: eyes would not follow.
    assert len(shown) == 1
    assert "epoch 2 of 5" in shown[0][0]["text/html"]
    table.on_end(Stop.TRIALS)
    assert [how["update"] for _, how in shown] == [False, True]
    assert len({how["key"] for _, how in shown}) == 1
    page = shown[-1][0]["text/html"]
    for words in (
        "&lt;own&gt;",
        "2 of 4 trials",
        "no &lt;memory&gt;",
        "best 0.7500 (trial 0)",
        Stop.TRIALS.value,
    ):
        assert words in page
    assert page.count("<table") == 1
    assert shown[-1][0]["text/plain"].startswith(
        "<own>: 2 of 4 trials (1 complete, 0 pruned, 1 failed); best"
    )


def test_outside_a_notebook_nothing_is_drawn() -> None:
    """It says so, and what to do."""
    assert not notebook.in_notebook()
    with pytest.raises(SweepError, match=r"report\(\) writes a page"):
        notebook.require_notebook()


def test_a_notebook_shows_a_message_and_no_frames() -> None:
    """IPython asks errors for their own form."""
    assert ConfigError("Tuner", ["workers: 0"])._render_traceback_() == [
        "ConfigError: Tuner: 1 problem\n  workers: 0"
    ]
    assert SearchInterrupted("call search again")._render_traceback_() == [
        "KeyboardInterrupt: call search again"
    ]
