"""A study is deleted or renamed by a process that is killed: done or not done, at whatever moment that is."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_studies import add_confirmation, add_trial, empty_study, params_of, scripted_curve

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage.managing import plan_removal, remove, rename
from fmnist_sweep.storage.opening import artifact_folder, open_storage, side_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults]

TESTS = Path(__file__).parent.parent
COMMANDS = {
    "delete": ["delete", "dense", "--yes", "--no-backup"],
    "rename": ["rename", "dense", "new"],
}
BEFORE = ["dense", "dense-confirm", "other"]
AFTER = {"delete": ["other"], "rename": ["new", "new-confirm", "other"]}
TRIALS = """
SELECT study_name, number, state, key, value_json FROM studies
JOIN trials USING (study_id) LEFT JOIN trial_user_attributes USING (trial_id)
"""
ATTRIBUTES = "SELECT study_name, key, value_json FROM studies JOIN study_user_attributes USING (study_id)"


def fill(url: str) -> None:
    """Make ``dense`` with its confirmation, and ``other``, with files of each kind beside the storage."""
    storage = open_storage(url, create=True)
    artifact_folder(url).mkdir(parents=True)
    for name in ("dense", "other"):
        study = empty_study(storage, name)
        for i in range(2):
            add_trial(study, params_of(i), scripted_curve(0.9, 0.01, n_epochs=3))
        shown = f'{{"artifact_id": "{name}-png"}}'
        storage.set_study_system_attr(study._study_id, f"artifacts:{name}-png", shown)
        (artifact_folder(url) / f"{name}-png").write_text(name)
        if name == "dense":
            add_confirmation(study, {"trial 1": [0.9, 0.91], "default": [0.88, 0.9]})
    for path in [
        *(side_folder(url, name) / "trial-2.checkpoint" for name in BEFORE),
        *(side_folder(url, name, kind="exports") / "c0ffee/seed-1/curve.json" for name in ("dense", "other")),
    ]:
        path.parent.mkdir(parents=True)
        path.write_text("dense" if "/dense" in str(path) else "other")
    storage.remove_session()
    storage.engine.dispose()


@dataclass(frozen=True)
class Found:
    """What a storage holds, and the files beside it, under the names that studies had before."""

    names: list[str]
    rows: set[tuple[Any, ...]]
    files: dict[str, str]


def found(path: Path) -> Found:
    """Return what a storage holds; it must be whole, and each study in itself."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        names = [name for (name,) in database.execute("SELECT study_name FROM studies ORDER BY study_id")]
        rows = {(row[0].replace("new", "dense"), *row[1:]) for row in database.execute(TRIALS)}
        stored = {(name, key): json.loads(value) for name, key, value in database.execute(ATTRIBUTES)}
    # As a study that is whole has it, whatever it is called.
    assert all(stored[name, "config"]["study"] == name for name in names)
    assert not [key for key in stored if key[1] == "owner" and stored[key]]
    confirmations = [name for name in names if name.endswith("-confirm")]
    assert all(stored[name, "confirms"] == name.removesuffix("-confirm") for name in confirmations)
    files = {
        str(one.relative_to(path.parent)): one.read_text()
        for one in path.parent.glob("studies.db.*/**/*")
        # A lock that nobody holds is nothing.
        if one.is_file() and one.name != "lock"
    }
    return Found(names, rows, files)


def done(before: Found, command: str) -> Found:
    """Return what is to be found after a command."""
    if command == "delete":
        rows = {row for row in before.rows if row[0] == "other"}
        return Found(
            AFTER[command], rows, {name: text for name, text in before.files.items() if text == "other"}
        )
    # Files of the dashboard have names of their own.
    files = {re.sub("/dense(?!-png)", "/new", name): text for name, text in before.files.items()}
    return Found(AFTER[command], before.rows, files)


def run_again(url: str, command: str) -> None:
    """Do what the command does."""
    if command == "delete":
        remove(url, plan_removal(url, ["dense"], say=print), say=print)
    else:
        rename(url, "dense", "new", say=print)


def n_killed(folder: Path, command: str) -> int:
    """Run a command again and again, killed at another moment each time; return how often it was."""
    ended = subprocess.run(
        [sys.executable, "killed_manager.py", str(folder), *COMMANDS[command]],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout.split()[-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_is_done_or_not(tmp_path: Path, command: str) -> None:
    """Killed before each thing that it does; the same command, run again, does it or finds it done."""
    whole = tmp_path / "whole" / "studies.db"
    whole.parent.mkdir()
    fill(f"sqlite:///{whole}")
    before = found(whole)
    after = done(before, command)
    n = n_killed(tmp_path, command)
    were_done = []
    for i in range(n):
        path = tmp_path / str(i) / "studies.db"
        left = found(path)
        is_done = left.names != before.names
        wanted = after if is_done else before
        assert (left.names, left.rows) == (wanted.names, wanted.rows), i
        # What is left over does no harm, and nothing is missing.
        assert wanted.files.items() <= left.files.items(), i
        if is_done:
            with pytest.raises(SweepError, match="no study 'dense'"):
                run_again(f"sqlite:///{path}", command)
        else:
            run_again(f"sqlite:///{path}", command)
        assert found(path) == after, i
        were_done.append(is_done)
    assert found(tmp_path / str(n) / "studies.db") == after
    # Not done, then done: there is one moment at which it happens.
    assert were_done == sorted(were_done)
    assert min(were_done.count(True), were_done.count(False)) > 3
