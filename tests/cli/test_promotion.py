"""What people and programs are told of trials that wait at a rung."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_sweeps import scripted_sweep

from fmnist_sweep.analysis.study_rows import study_row
from fmnist_sweep.analysis.summary import summary
from fmnist_sweep.reports import dashboard
from fmnist_sweep.reports.figures import accuracy_against_gap
from fmnist_sweep.reports.trial_rows import trial_rows
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.overview import read_overview
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study

Command = Callable[..., tuple[int, str, str]]

SWEEP = """
study = "tiny"
model = "dense"
tune_new_entries = false
[space]
learning_rate = { low = 1e-4, high = 1e-2 }
epochs = 4
[sampler]
name = "random"
[pruner]
name = "promotion"
min_resource = 1
[budget]
trials = 6
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep file whose trials follow a script: all curves are the same, so the first ones go on."""
    monkeypatch.setattr(dashboard, "FIGURES", {})
    return scripted_sweep(monkeypatch, tmp_path, SWEEP)


def stored(folder: Path) -> StoredStudy:
    return StoredStudy.of(
        load_study(open_storage(f"sqlite:///{folder / 'studies.db'}", create=False), "tiny")
    )


def test_people_are_told_who_waits(command: Command, sweep: Path, tmp_path: Path) -> None:
    """As the run goes, at its end, in the lists of studies and trials, in the report and in notes."""
    code, out, err = command("run", str(sweep))
    assert code == 0
    assert "the budget of trials is used up; 1 complete, 0 pruned, 0 failed, 5 paused." in out
    assert err.count(" paused score 0.") == 6
    assert "[1/6] trial 0 complete" in err
    code, out, _ = command("status")
    head, row = (line.split() for line in out.splitlines()[:3] if "tiny" in line or "study" in line)
    assert row[head.index("paused")] == "5"
    assert row[head.index("waiting")] == row[head.index("running")] == "0"
    code, out, _ = command("trials", "tiny")
    assert (code, out.count("paused")) == (0, 5)
    study = stored(tmp_path)
    assert "6 trials: 1 complete, 5 paused." in summary(study)
    table: Any = trial_rows(study)
    assert sorted(row[1] for row in table["rows"]) == ["complete", *["paused"] * 5]
    assert "paused" in {trace.name for trace in accuracy_against_gap(study).data}


def test_programs_are_told_who_waits(command: Command, sweep: Path, tmp_path: Path) -> None:
    """As events, and in both tables; the quick look at the file and the whole reading say the same."""
    code, out, _ = command("run", str(sweep), "--json-events")
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    pauses = [event for event in events if event["event"] == "trial_pause"]
    assert {event["n_epochs"] for event in pauses} == {1, 3}
    assert all(0 < event["score"] < 1 for event in pauses)
    went_on = [e for e in events if e["event"] == "trial_start"]
    assert len(went_on) > 6
    assert (events[-1]["event"], events[-1]["n_paused"], events[-1]["n_complete"]) == ("end", 5, 1)
    _, out, _ = command("status", "--json")
    (row,) = json.loads(out)["studies"]
    assert {word: row[word] for word in ("complete", "paused", "waiting", "running")} == {
        "complete": 1, "paused": 5, "waiting": 0, "running": 0,
    }  # fmt: skip
    quick = read_overview(f"sqlite:///{tmp_path / 'studies.db'}")
    whole = study_row(stored(tmp_path))
    assert quick is not None
    assert {k: whole[k] for k in ("paused", "waiting", "epochs", "seconds", "best_trial")} == {
        k: quick[0][k] for k in ("paused", "waiting", "epochs", "seconds", "best_trial")
    }
    _, out, _ = command("trials", "tiny", "--json")
    rows = json.loads(out)["trials"]
    assert sorted(row["state"] for row in rows) == ["COMPLETE", *["PAUSED"] * 5]
    assert {row["score"] is None for row in rows if row["state"] == "PAUSED"} == {True}
    assert {row["n_epochs"] for row in rows if row["state"] == "PAUSED"} <= {1, 3}


def test_a_paused_trial_is_neither_best_nor_exported(command: Command, sweep: Path, tmp_path: Path) -> None:
    """It has no score of a whole training; what asks for it is told so."""
    command("run", str(sweep))
    study = stored(tmp_path)
    paused = next(trial.number for trial in study.trials if trial.is_paused)
    code, _, err = command("export", "tiny", "--trial", str(paused))
    assert (code, f"trial {paused} of study 'tiny' is paused, not complete" in err) == (2, True)


def test_the_same_command_trains_nothing_more(command: Command, sweep: Path) -> None:
    """A larger budget does."""
    command("run", str(sweep))
    code, out, err = command("run", str(sweep))
    assert (code, err.count("score")) == (0, 0)
    assert "1 complete, 0 pruned, 0 failed, 5 paused." in out
    code, out, _ = command("run", str(sweep), "--trials", "9")
    assert (code, "1 complete, 0 pruned, 0 failed, 8 paused." in out) == (0, True)
