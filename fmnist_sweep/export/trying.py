"""Try a bundle as its user will: its script, in a process that has nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import SweepError

_SECONDS: Final = 900
"""A loaded machine takes a minute to import TensorFlow."""


def try_bundle(folder: Path) -> None:
    """Run a bundle's ``predict.py``, which loads the model and compares what it gives for the example.

    Args:
        folder: The bundle.

    Raises:
        SweepError: It fails, or predicts something else; the message says what it printed last.
    """
    # Isolated: neither the current folder nor modules of the user's are found.
    command = [sys.executable, "-I", "predict.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; it is our own script
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SweepError(
            f"the bundle's predict.py did not end within {_SECONDS} s: nothing was written"
        ) from None
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise SweepError(
            f"the bundle's predict.py fails in a process of its own: {told}. Nothing was written"
        )
