"""What a command does where what it prints can't be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")


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
