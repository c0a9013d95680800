"""What programs read: tables as JSON, and a run as a stream of events, as docs/machine.md says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from programs import ROOT
from scripted_sweeps import follow, scripted_sweep

from fmnist_sweep.api.events import EVENTS, JsonEvents
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.versions import SCHEMA_VERSION

Command = Callable[..., tuple[int, str, str]]
PAGE = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
SWEEP = """
study = "tiny"
model = "dense"
tune_new_entries = false
[space]
learning_rate = { low = 1e-4, high = 1e-2 }
epochs = 3
[budget]
trials = 2
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep file whose trials follow a script instead of training."""
    return scripted_sweep(monkeypatch, tmp_path, SWEEP)


def events_of(out: str) -> list[dict[str, Any]]:
    """Return the events of a stream, each with its version, and its fields as documented."""
    found = [json.loads(line) for line in out.splitlines()]
    for event in found:
        assert event.pop("schema_version") == SCHEMA_VERSION
        assert re.match(r"\d{4}-\d\d-\d\dT.*\+00:00$", event.pop("time"))
        assert list(event) == ["event", *EVENTS[event["event"]].split()]
    return found


def documented(line: str) -> set[str]:
    """Return the names that stand in code in a line of the page."""
    return set(re.findall(r"`(\w+)`", line))


def test_an_observer_adds_the_same_events_to_a_file(command: Command, sweep: Path) -> None:
    """A run that goes on adds to it, and what a person is told stays on the terminal."""
    assert command("run", str(sweep), "--observe", "jsonl")[0] == 0
    _, _, err = command("run", str(sweep), "--observe", "jsonl", "--trials", "3")
    assert "3 trials in all" in err
    events = events_of(Path("events.jsonl").read_text())
    names = [event["event"] for event in events]
    assert [names.count(name) for name in ("start", "trial_start", "trial_end", "end")] == [2, 3, 3, 2]
    assert events[-1]["best"]["score"] == max(e["score"] for e in events if e["event"] == "trial_end")


def test_a_file_of_events_that_can_not_be_written_is_told_before_the_run(
    command: Command, sweep: Path
) -> None:
    """Nothing is trained, and no study is made."""
    Path("events.jsonl").mkdir()
    code, _, err = command("run", str(sweep), "--observe", "jsonl")
    assert (code, "jsonl can't be opened" in err) == (2, True)
    assert not Path("studies.db").exists()


def test_every_event_is_documented_with_its_fields() -> None:
    """The table of the page is that of the program."""
    rows = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)}
    assert rows.keys() >= EVENTS.keys()
    for event, fields in EVENTS.items():
        assert set(fields.split()) <= documented(rows[event]), event


def test_a_run_is_told_as_events_and_nothing_else(command: Command, sweep: Path) -> None:
    """Start, each trial with its epochs, end; epochs count from 1, and scores are those of the table."""
    code, out, err = command("run", str(sweep), "--json-events")
    assert (code, err) == (0, "")
    events = events_of(out)
    kinds = [event["event"] for event in events if event["event"] != "note"]
    assert kinds == ["start", *(["trial_start", *["epoch"] * 3, "trial_end"] * 2), "end"]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2, 3] * 2
    assert events[-1]["stop"] == "trials"
    assert events[-1]["n_complete"] == 2
    (start,) = [event for event in events if event["event"] == "start"]
    assert start["settings"]["space"]["epochs"]["value"] == 3
    table = json.loads(command("trials", "tiny", "--json")[1])["trials"]
    ended = {event["trial"]: event["score"] for event in events if event["event"] == "trial_end"}
    assert ended == {trial["number"]: trial["score"] for trial in table}
    best = max(table, key=lambda trial: trial["score"])
    assert events[-1]["best"] == {"trial": best["number"], "score": best["score"]}


def test_an_error_is_an_event_too(command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep file that is wrong, and a study of which every trial failed; the exit codes are as ever."""
    code, out, err = command("run", str(sweep), "--json-events", "--set", "space.epochs=0")
    (event,) = events_of(out)
    assert (code, event["exit_code"]) == (2, 2)
    assert event["message"] == err.strip()

    class Failing:
        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            yield Started(job.trial, n_parameters=1000)
            raise TrialError("it fails")

    follow(monkeypatch, Failing())
    code, out, _ = command("run", str(sweep), "--json-events")
    events = events_of(out)
    assert (code, events[-1]["event"], events[-1]["exit_code"]) == (1, "error", 1)
    assert [e["reason"] for e in events if e["event"] == "trial_end"] == ["it fails"] * 2


def test_an_event_has_the_fields_of_its_kind() -> None:
    """A number that JSON lacks is null; a field that is not in the table is a bug."""
    stream = StringIO()
    events = JsonEvents(stream)
    events.write("checkpoint_skipped", trial=float("nan"), reason="full")
    assert json.loads(stream.getvalue())["trial"] is None
    with pytest.raises(ValueError, match="not trial reason"):
        events.write("checkpoint_skipped", trial=1)


def test_a_reader_that_has_gone_stops_nothing() -> None:
    """What is told afterwards goes nowhere."""
    gone, end = os.pipe()
    os.close(gone)
    with os.fdopen(end, "w") as stream:
        events = JsonEvents(stream)
        events.note("one")
        events.note("two")


def test_every_table_has_a_version_and_documented_fields(command: Command, sweep: Path) -> None:
    """Whatever a row holds stands in the page."""
    command("run", str(sweep), "--json-events")
    command("run", str(sweep), "--json-events", "--study", "other")
    known = documented(PAGE)
    assert set(json.loads(command("best", "tiny", "--json")[1])) <= known
    asked = {
        ("status",): "studies",
        ("trials", "tiny"): "trials",
        ("compare", "tiny", "other"): "studies",
        ("validate", str(sweep)): "sweeps",
    }
    for words, name in asked.items():
        code, out, _ = command(*words, "--json")
        told = json.loads(out)
        assert (code, told["schema_version"]) == (0, SCHEMA_VERSION), words
        assert set(told) <= known, words
        rows = told[name]
        assert rows, words
        if words[0] in ("status", "trials"):
            keys = {key for row in rows for key in row if not key.startswith("params_")}
            assert keys <= known, (words, keys - known)
