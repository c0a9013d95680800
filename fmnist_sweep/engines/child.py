"""What runs inside a trial's own process."""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing.forkserver
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from fmnist_sweep.core.events import EpochDone, Failed, TrialEvent
from fmnist_sweep.core.families import adopt_orphans, end_descendants, end_family, lead_group
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.trainer import Trainer
from fmnist_sweep.engines.base import failure, run_job

_BYTES_PER_MAXRSS: Final = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How a trial's process is set up.

    Attributes:
        trainer: Import path of the trainer, ``"package.module:Class"``, called without arguments.
        places: Where what jobs name lies.
        preload: Modules to import before the trainer, as the fork server did; free where it did.
        log: File that takes what the process prints, its C libraries included.
        device: What ``CUDA_VISIBLE_DEVICES`` becomes; None leaves it alone.
    """

    trainer: str
    places: Places
    preload: Sequence[str]
    log: Path
    device: str | None = None


def main(connection: Connection, job: TrialJob, spec: ChildSpec) -> None:
    """Train a job and send its events up the connection; never returns.

    The process ends by itself when the other end of the connection is closed, as it is when the parent
    dies, however it dies. What the job's code has started ends with it.
    """
    lead_group()
    adopt_orphans()
    _let_server_go()
    # Ctrl-C reaches every process of the terminal: what becomes of the trials is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _print_to(spec.log)
    faulthandler.enable()
    threading.Thread(target=_leave_with_parent, args=(connection,), daemon=True).start()
    if spec.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = spec.device

    try:
        for module in spec.preload:
            importlib.import_module(module)
        trainer = _load(spec.trainer)
    except Exception as error:  # noqa: BLE001 - the parent tells the user, and has the other trials to care for
        connection.send(failure(job.trial, error))
        _leave(1)
    pid = os.getpid()
    for event in run_job(trainer, job, spec.places):
        if os.getpid() != pid:
            # A copy that the job's code made with `os.fork`, and let go on as if it were the trial.
            os._exit(0)
        if isinstance(event, Failed):
            sys.stderr.write(event.detail)
        connection.send(_with_memory(event))
    _leave(0)


def _load(path: str) -> Trainer:
    module, _, name = path.partition(":")
    trainer: Trainer = getattr(importlib.import_module(module), name)()
    return trainer


def _with_memory(event: TrialEvent) -> TrialEvent:
    """Add this process's peak memory so far where the event can carry it."""
    if not isinstance(event, EpochDone):
        return event
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_MAXRSS
    return replace(event, peak_memory_mb=round(peak / 2**20, 1))


def _print_to(log: Path) -> None:
    """Send file descriptors 1 and 2 to the log, so that what C libraries print goes there too."""
    with log.open("ab", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def _leave_with_parent(connection: Connection) -> None:
    """Block until the parent's end of the connection is closed, then end this process and its own."""
    try:
        connection.recv()
    except (EOFError, OSError):
        end_family(os.getpid())
        os._exit(1)


def _let_server_go() -> None:
    """Let the fork server end with the process that runs the study, and not with the last of its trials."""
    # Then it ends a trial that hangs in a library and can't see for itself that it is left alone.
    server = vars(multiprocessing.forkserver)["_forkserver"]
    alive = server._forkserver_alive_fd  # noqa: SLF001 - there is no other door
    if alive is not None:
        os.close(alive)
        server._forkserver_alive_fd = None  # noqa: SLF001


def _leave(code: int) -> None:
    """End at once: tearing TensorFlow down takes time, and gives nothing back that the exit does not."""
    end_descendants()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
