"""A trainer whose trials start processes of their own, as a model's code may, and a preload that dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.training.testing import scripted_curve

WAYS: Final = ("plain", "session", "daemon", "fork")
"""How a process is started: as a child, in a session of its own, orphaned at once, or as a copy."""

_SLEEP: Final = [sys.executable, "-c", "import time; time.sleep(600)"]


class StartingTrainer:
    """Starts a process in the way that the hyperparameter ``way`` names, and trains on.

    Its number goes to the file ``PIDS`` of the environment; ``then`` is ``hang``, ``die`` or nothing.
    """

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Start the process, then train."""
        start(str(job.hyperparameters["way"]))
        yield Started(job.trial, 1000)
        if job.hyperparameters.get("then") == "die":
            os.kill(os.getpid(), 9)
        if job.hyperparameters.get("then") == "hang":
            time.sleep(600)
        yield from scripted_curve(job).epochs


def start(way: str) -> None:
    """Start a process that sleeps for ten minutes, and note its number."""
    if way == "fork":
        if (copy := os.fork()) == 0:
            time.sleep(600)
        note(copy)
    elif way == "copy":
        # Goes on as if it were the trial.
        note(os.fork() or os.getpid())
    elif way == "daemon":
        if os.fork() == 0:
            os.setsid()
            with subprocess.Popen(_SLEEP) as sleeper:
                note(sleeper.pid)
                os._exit(0)
        time.sleep(0.2)
    else:
        note(subprocess.Popen(_SLEEP, start_new_session=way == "session").pid)


def note(pid: int) -> None:
    """Add a process number to the file."""
    with Path(os.environ["PIDS"]).open("a") as file:
        file.write(f"{pid}\n")
