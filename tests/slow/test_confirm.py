"""A confirmation of real models, killed in the middle and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIRM = ("confirm", "smoke", "--top", "2", "--repeats", "2")


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start fmnist-sweep in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "fmnist_sweep", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(folder: Path, *arguments: str) -> str:
    """Run fmnist-sweep to its end, and return what it printed."""
    process = command(folder, *arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def repeats(folder: Path) -> list[dict[str, Any]]:
    """Return all repeats, less their times and the numbers of their trials."""
    found = json.loads(done(folder, *CONFIRM, "--json"))["repeats"]
    return [{k: v for k, v in repeat.items() if k not in ("seconds", "trial")} for repeat in found]


def test_a_killed_confirmation_comes_to_the_same_numbers(tmp_path: Path) -> None:
    """Every repeat of every candidate, to the last digit, and the baseline's among them."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    done(whole, "run", str(ROOT / "sweeps/smoke.toml"), "--trials", "3")
    shutil.copytree(whole, cut)
    done(whole, *CONFIRM)
    process = command(cut, *CONFIRM)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/"):
            break
    time.sleep(0.5)
    process.kill()
    process.communicate()
    assert "your baseline" in done(cut, *CONFIRM)
    found = repeats(cut)
    assert found == repeats(whole)
    assert [r["repeat"] for r in found] == [0, 0, 0, 1, 1, 1]
    assert len({r["seed"] for r in found}) == 2
