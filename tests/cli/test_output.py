"""What a command does where what it prints can't be written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

Command = Callable[..., tuple[int, str, str]]

FULL = Path("/dev/full")
SWEEP = Path(__file__).parents[2] / "sweeps" / "dense.toml"


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("words", ["--version", "validate dense --json"])
def test_output_on_a_full_disk_is_one_line(words: str) -> None:
    """Also where it is only written as Python ends."""
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "fmnist_sweep", *words.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "what is printed can't be written: No space left on device\n",
    )


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_an_error_that_can_not_be_printed_has_its_exit_code() -> None:
    """No script takes it for a bug."""
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "fmnist_sweep", "validate", "nosuch.toml"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 2


@pytest.mark.parametrize("words", [["report", "--output", "a" * 300], ["backup", "a" * 300]])
def test_a_name_that_no_folder_takes_is_one_line(command: Command, words: list[str]) -> None:
    """Exit code 2, and no traceback."""
    optuna.create_study(study_name="plain", storage="sqlite:///studies.db")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.endswith("can't be used: File name too long\n")


def test_an_empty_name_of_a_file_is_told(command: Command) -> None:
    """As an empty variable of a script gives it."""
    assert command("validate", "") == (2, "", ".: 1 problem\n  is a folder; name a sweep file in it\n")


def test_a_folder_that_was_removed_is_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the shell still stands in."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    told = (2, "", "the current folder is gone; change into one that is there\n")
    assert command("validate", str(SWEEP)) == told
