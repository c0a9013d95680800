"""Run the script of a bundle as its user will: in a process that has nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.export.script import PREDICT

_SECONDS: Final = 900
"""A loaded machine takes a minute to import TensorFlow."""


def try_bundle(folder: Path) -> None:
    """Run a bundle's ``predict.py``, which loads the model and compares what it gives for the example.

    Args:
        folder: The bundle.

    Raises:
        SweepError: It fails, or predicts something else; the message says what it printed last.
    """
    try:
        run_predict(folder, seconds=_SECONDS)
    except SweepError as error:
        raise SweepError(f"the bundle's {PREDICT} {error}. Nothing was written") from None


def run_predict(folder: Path, *arguments: str, seconds: float | None = None) -> None:
    """Run a bundle's ``predict.py`` in a process of its own.

    Args:
        folder: The bundle.
        arguments: For the script.
        seconds: How long it may take; None for any time.

    Raises:
        SweepError: It fails or takes longer; the message goes on from the script's name.
    """
    # Isolated: neither the current folder nor modules of the user's are found.
    command = [sys.executable, "-I", PREDICT, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SweepError(f"did not end within {seconds:.0f} s") from None
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise SweepError(f"fails in a process of its own: {told}")
