"""Python programs that tests run to their end, on the sources beside the tests, and ports for servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

WITHOUT_THE_PROJECT = """
import runpy, sys
class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("fmnist_sweep", "optuna", "keras_tuner", "sklearn", "pandas"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
"""
"""Begins a program that has TensorFlow and NumPy, and nothing that a bundle must do without."""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, and return what it said; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
