"""Run jobs on this machine, each in a process of its own."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Final

from typing_extensions import override

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import Cancelled, Failed, Finished, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.user_code import safe_path
from fmnist_sweep.engines import child, fork_server, server
from fmnist_sweep.engines.base import KERAS_TRAINER, ClosedByWith, require_free
from fmnist_sweep.engines.machine import find_devices

KERAS_PRELOAD: Final = ("fmnist_sweep.training.preload",)

_HAS_FORK_SERVER: Final = sys.platform.startswith("linux")

_LAST_WORDS: Final = 40
"""Lines of a dead process's log that are kept with its trial."""

_DYING_S: Final = 2.0
"""How long a fork server that has closed its end may take to be gone."""

_GRACE_S: Final = 5.0
"""How long a process that has said its last word may take to leave."""


@dataclass(slots=True)
class _Worker:
    """A trial's process as its parent sees it."""

    process: BaseProcess
    connection: Connection
    log: Path
    slot: int
    deadline: float
    cancelled: bool = False

    @property
    def handles(self) -> tuple[Connection | int, ...]:
        """What becomes ready when something comes from the process, or when it ends."""
        sentinel = self.process.sentinel
        # What it sent before it was killed is not asked for any more.
        return (sentinel,) if self.cancelled else (self.connection, sentinel)


class LocalEngine(ClosedByWith):
    """Trains each job in a process of its own, forked from a server that has the preload imported.

    A process per trial gives its memory back, can be killed, and takes no other trial down with it; what the
    job's code has started in the background ends with it. The fork server outlives the engine and ends with
    this process; its preload is that of the first engine that this process made. Where there is no fork
    server, processes start afresh.

    Not for use from several threads.

    Args:
        slots: How many jobs run at the same time; each computes on one core.
        places: Where what jobs name lies; None for jobs that name nothing.
        trainer: Import path of the trainer, ``"package.module:Class"``, called without arguments.
        preload: Modules that the fork server imports before it forks.
        log_dir: Folder for ``trial-<n>.log``, what each process prints; None takes one that is removed
            when the engine closes.
        time_limit_s: Seconds after which a job is ended as failed; None sets no limit.
        devices: Accelerators by their ``CUDA_VISIBLE_DEVICES`` name, shared out among the slots; None
            takes those of the machine.

    Raises:
        ValueError: ``slots`` is below 1.
    """

    def __init__(
        self,
        slots: int,
        *,
        places: Places | None = None,
        trainer: str = KERAS_TRAINER,
        preload: Sequence[str] = KERAS_PRELOAD,
        log_dir: Path | None = None,
        time_limit_s: float | None = None,
        devices: Sequence[str] | None = None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1; got {slots}")
        self.slots = slots
        self._places = Places() if places is None else places
        self._trainer = trainer
        self._preload = tuple(preload)
        self._time_limit_s = math.inf if time_limit_s is None else time_limit_s
        self._devices = find_devices() if devices is None else tuple(devices)
        self._workers: dict[int, _Worker] = {}
        self._closed = False
        self._own_logs: tempfile.TemporaryDirectory[str] | None = None
        if log_dir is None:
            self._own_logs = tempfile.TemporaryDirectory(prefix="fmnist-sweep-")
            log_dir = Path(self._own_logs.name)
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        self._context: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")
        if _HAS_FORK_SERVER:
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([server.__name__, *self._preload])

    @property
    def running(self) -> tuple[int, ...]:
        """Trials whose processes run, oldest first."""
        return tuple(self._workers)

    def log_path(self, trial: int) -> Path:
        """Return the file that takes what a trial's process prints."""
        return self._log_dir / f"trial-{trial}.log"

    def submit(self, job: TrialJob, *, device: str | None = None) -> None:
        """Start a job's process.

        Args:
            job: The job.
            device: The accelerator that it sees, by its ``CUDA_VISIBLE_DEVICES`` name; None takes one of the
                engine's.

        Raises:
            EngineError: No process can be started: the fork server died, and once more after a new start.
        """
        require_free(self, job.trial, closed=self._closed)
        slot = min(set(range(self.slots)) - {worker.slot for worker in self._workers.values()})
        log = self.log_path(job.trial)
        if device is None and self._devices:
            device = self._devices[slot % len(self._devices)]
        spec = child.ChildSpec(self._trainer, self._places, self._preload, log, device)
        try:
            process, ours = self._launch(job, spec)
        except (EOFError, OSError):
            # A server that was killed is started again; one that can't start would fail every trial.
            fork_server.exit_code(wait_s=_DYING_S)
            try:
                process, ours = self._launch(job, spec)
            except (EOFError, OSError) as error:
                raise EngineError(fork_server.why_none_starts(error)) from error
        # Counted from now: the first trial need not pay for what the server loads.
        deadline = time.monotonic() + self._time_limit_s
        self._workers[job.trial] = _Worker(process, ours, log, slot, deadline)

    def _launch(self, job: TrialJob, spec: child.ChildSpec) -> tuple[BaseProcess, Connection]:
        """Start a process, and return it with our end of its connection."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=child.main, args=(theirs, job, spec), name=f"trial-{job.trial}"
        )
        try:
            with fork_server.STARTING, _libraries_first(), _main_module_hidden():
                if _HAS_FORK_SERVER:
                    # With the first job and not before: a study that is finished needs no TensorFlow.
                    fork_server.ensure_running()
                process.start()
                fork_server.LIVE.add(process.pid or 0)
        except BaseException:
            # A child that was asked for and is still on its way finds the connection closed, and leaves.
            ours.close()
            raise
        finally:
            theirs.close()
        return process, ours

    def events(self, timeout_s: float) -> list[TrialEvent]:
        """Return the events at hand, waiting for the first of them for at most ``timeout_s``."""
        until = time.monotonic() + timeout_s
        while True:
            found = [event for trial in self.running for event in self._collect(trial)]
            left = until - time.monotonic()
            if found or not self._workers or left <= 0:
                return found
            deadline = min(worker.deadline for worker in self._workers.values())
            # The exit is waited for as well: a process that the job started may hold the connection open.
            handles = [h for w in self._workers.values() for h in w.handles]
            wait(handles, max(0.0, min(left, deadline - time.monotonic())))

    def cancel(self, trial: int) -> None:
        """Kill a trial's process; that it is gone is told by an event."""
        worker = self._workers.get(trial)
        if worker is not None and not worker.cancelled:
            worker.cancelled = True
            worker.process.kill()

    @override
    def close(self) -> None:
        """Kill every process and remove the logs, unless the caller named their folder."""
        self._closed = True
        for trial in self.running:
            self._retire(trial, grace_s=0)
        if self._own_logs is not None:
            self._own_logs.cleanup()

    def _collect(self, trial: int) -> Iterator[TrialEvent]:
        """Yield what has come from a trial, and retire it with its last event."""
        worker = self._workers[trial]
        ended = not worker.process.is_alive()
        if worker.cancelled:
            if ended:
                self._retire(trial, grace_s=0)
                yield Cancelled(trial)
            return
        try:
            while worker.connection.poll():
                event: TrialEvent = worker.connection.recv()
                if isinstance(event, Finished | Failed):
                    self._retire(trial, grace_s=_GRACE_S)
                    yield event
                    return
                yield event
        except (EOFError, OSError):
            ended = True
        if ended:
            exit_code = self._retire(trial, grace_s=_GRACE_S)
            last_words = _last_lines(worker.log)
            yield Failed(trial, _cause_of_death(exit_code, last_words), last_words, died=True)
        elif time.monotonic() >= worker.deadline:
            self._retire(trial, grace_s=0)
            yield Failed(trial, f"passed the time limit of {self._time_limit_s:g} s", _last_lines(worker.log))

    def _retire(self, trial: int, *, grace_s: float) -> int | None:
        """Forget a worker once its process is gone, and return the exit code."""
        worker = self._workers.pop(trial)
        worker.process.join(grace_s)
        if worker.process.is_alive():
            worker.process.kill()
        worker.process.join()
        fork_server.end_what_is_left(worker.process.pid or 0)
        worker.connection.close()
        exit_code = worker.process.exitcode
        worker.process.close()
        return exit_code


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep `multiprocessing` from running the program's main module again in the child.

    Nothing of it is needed there. Running it again costs every trial the imports of the command line, and
    in a user's script without ``if __name__ == "__main__"`` it would start the sweep anew.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _libraries_first() -> Iterator[None]:
    """Let a process that is started look into the script's folder, or the current one, last."""
    before = list(sys.path)
    sys.path[:] = safe_path()
    try:
        yield
    finally:
        sys.path[:] = before


def _cause_of_death(exit_code: int | None, last_words: str) -> str:
    if exit_code is not None and exit_code < 0:
        # Also numbers that have no name, such as those of real-time signals.
        names = {s.value: s.name for s in signal.Signals}
        name = names.get(-exit_code, f"signal {-exit_code}")
        return f"process was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    said = last_words.rpartition("\n")[2].strip()
    return f"process ended with exit code {exit_code}" + (f": {said}" if said else " before its job was done")


def _last_lines(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 100 * _LAST_WORDS))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-_LAST_WORDS:])
