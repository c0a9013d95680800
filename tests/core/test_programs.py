"""Programs that run a user's code: they end in time, and nothing that they started stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fmnist_sweep.core import programs
from fmnist_sweep.core.programs import run_program

CODE = """
import os, subprocess, sys, time

def main(arguments):
    what, pids = arguments
    started = subprocess.Popen(["sleep", "600"], start_new_session="session" in what)
    with open(pids, "w") as file:
        file.write(f"{os.getpid()} {started.pid}\\n")
    print("begun", flush=True)
    if "hang" in what:
        time.sleep(600)
    if "die" in what:
        os.abort()
    return 7
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program, and the file that gets the numbers of its processes."""
    (tmp_path / "users_program.py").write_text(CODE)
    entries = [str(tmp_path), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entries))
    return tmp_path / "pids"


def left(pids: Path) -> list[int]:
    """Return the processes that a program has left."""
    numbers = map(int, pids.read_text().split())
    alive = [pid for pid in numbers if psutil.pid_exists(pid)]
    return [pid for pid in alive if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def gone(pids: Path) -> bool:
    """Return whether none is left, once those that were killed have had the time to go."""
    until = time.monotonic() + 5
    while left(pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not left(pids)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "end", "code"),
    [
        ("plain", "returns", 7),
        ("session", "returns", 7),
        ("plain", "hang", None),
        ("session", "hang", None),
        # What has left the group of a program that crashed has no parent that could end it.
        ("plain", "die", -6),
    ],
)
def test_nothing_outlives_a_program(program: Path, how: str, end: str, code: int | None) -> None:
    """Whether it returned, crashed or ran out of time; what it printed is there."""
    seconds = 3 if end == "hang" else 60
    ended = run_program("users_program", [f"{how} {end}", str(program)], seconds=seconds, what="trying")
    assert ended.code == code
    assert ended.stdout == "begun\n"
    assert gone(program)
    if end == "hang":
        assert ended.place.endswith("users_program.py:11, in main")


@pytest.mark.slow
def test_a_program_that_takes_long_is_told_of(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting that says how long it may."""
    monkeypatch.setattr(programs, "_PATIENCE_S", 0.2)
    said: list[str] = []
    run_program("users_program", ["hang", str(program)], seconds=2, what="trying", say=said.append)
    assert said == ["Still trying; it may take 2 s (budget.prepare_seconds)."]


@pytest.mark.parametrize("how", ["plain", "session"])
def test_a_program_ends_with_who_started_it(program: Path, how: str) -> None:
    """However that one was ended."""
    code = (
        "from fmnist_sweep.core.programs import run_program\n"
        f"run_program('users_program', ['{how} hang', {str(program)!r}], seconds=600, what='trying')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        until = time.monotonic() + 20
        while not (program.exists() and program.read_text().endswith("\n")) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(left(program)) == 2
        parent.kill()
    assert gone(program)
