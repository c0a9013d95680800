"""What runs on a node: the local engine, its trials each in a process of its own, and their checkpoints."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import psutil

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import Cancelled, EpochDone, Failed, Finished, TrialEvent
from fmnist_sweep.core.files import cache_folder, content_of
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.core.versions import versions
from fmnist_sweep.engines import fork_server
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.parcels import Parcel, is_there, parcel_of, pieces, unpack
from fmnist_sweep.engines.cluster.uploads import Uploads, fetched, trouble_with
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import NO_DEVICE, machine

Fetch: TypeAlias = Callable[[], Iterable[bytes]]
"""Gives a parcel's pieces, from wherever they are."""

_TURN_S: Final = 0.05
"""How long a command may wait while trials run."""

_GATHER_S: Final = 0.1
"""How long events are gathered before they go up together."""

_MOST_BYTES: Final = 256 * 2**20
"""About how much goes up at a time."""

_FOLDER: Final = "fmnist-sweep-node-"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How an agent is set up.

    Attributes:
        slots: Most trials side by side.
        trainer: As in `LocalEngine`.
        preload: As in `LocalEngine`.
        time_limit_s: As in `LocalEngine`.
        checkpoint_every_s: Seconds between two checkpoints of a trial that go up; its last goes up always.
        shared: The folder that they go to; None sends them to the parent.
        marker: Name of the file by which nodes know the folder; see `uploads.mark`.
    """

    slots: int
    trainer: str
    preload: Sequence[str]
    time_limit_s: float | None = None
    checkpoint_every_s: float = 10.0
    shared: SharedFolder | None = None
    marker: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What decides whether a node's curves can be those of another.

    Attributes:
        host: The machine's name.
        cpu: Its processor in words.
        versions: Of the packages that decide results.
        trouble: Why nothing can be trained there, in a line; empty where it can.
    """

    host: str
    cpu: str
    versions: Mapping[str, str]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Start:
    job: TrialJob
    checkpoint: bytes | None
    code: tuple[Parcel, Fetch] | None
    device: str | None


@dataclass(frozen=True, slots=True)
class _Cancel:
    trial: int


class Agent:
    """Hosts the local engine on one node.

    Its calls return at once, but `receive` and `events`; all may come from different threads. What trains
    here ends with this process, however it ends. TensorFlow is loaded in the fork server and its children
    alone.

    Args:
        spec: How it is set up.
    """

    def __init__(self, spec: AgentSpec) -> None:
        _remove_left_folders()
        self._spec = spec
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))
        self._data: dict[str, str] = {}
        self._code: dict[str, Path] = {}
        self._commands: queue.SimpleQueue[_Start | _Cancel | None] = queue.SimpleQueue()
        self._early: dict[int, _Start | _Cancel] = {}
        self._next_turn = 0
        self._ordering = threading.Lock()
        self._messages: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
        self._uploads = None if spec.shared is None else Uploads(spec.shared, self._messages.put)
        self._sent_at: dict[int, float] = {}
        self._sent_weights: dict[int, tuple[int, int]] = {}
        self._jobs: dict[int, TrialJob] = {}
        # Not for use from several threads: all that concerns it is done by one of its own.
        self._engine: LocalEngine | None = None
        self._worker = threading.Thread(target=self._work, daemon=True, name="trials")
        self._worker.start()

    def facts(self) -> NodeFacts:
        """Return what this node is."""
        shared = self._spec.shared
        trouble = "" if shared is None else trouble_with(shared, self._spec.marker)
        return NodeFacts(socket.gethostname(), str(machine()["cpu"]), versions(), trouble)

    def lacks(self, parcels: Sequence[Parcel]) -> list[str]:
        """Return the keys of data sets that are not on this node, looked for by their digests."""
        for parcel in parcels:
            for folder in (Path(parcel.origin), self._kept(parcel)):
                if is_there(parcel, folder):
                    self._data[parcel.key] = str(folder)
                    break
        return [parcel.key for parcel in parcels if parcel.key not in self._data]

    def receive(self, parcel: Parcel, content: Iterable[bytes]) -> None:
        """Keep a data set in this node's cache; raises `EngineError` where it arrives damaged."""
        unpack(parcel, content, self._kept(parcel))
        self._data[parcel.key] = str(self._kept(parcel))

    def submit(
        self,
        turn: int,
        job: TrialJob,
        checkpoint: bytes | None,
        code: tuple[Parcel, Fetch] | None,
        device: str | None = None,
    ) -> None:
        """Start a job.

        Args:
            turn: Which command this is, of all that are given to this agent, from 0: they may arrive in any
                order, and are obeyed in that one.
            job: The job.
            checkpoint: What it goes on from.
            code: The modules of the user's that it needs, and what gives them.
            device: The GPU that it trains on, by its ``CUDA_VISIBLE_DEVICES`` name; None for none.
        """
        self._command(turn, _Start(job, checkpoint, code, device))

    def cancel(self, turn: int, trial: int) -> None:
        """Ask for the end of a trial's job; ``turn`` as in `submit`."""
        self._command(turn, _Cancel(trial))

    def _command(self, turn: int, command: _Start | _Cancel) -> None:
        with self._ordering:
            self._early[turn] = command
            while self._next_turn in self._early:
                self._commands.put(self._early.pop(self._next_turn))
                self._next_turn += 1

    def events(self, timeout_s: float) -> list[Message]:
        """Return what has come from trials, waiting for the first of it; what comes at once goes together.

        Raises:
            Exception: What ended this agent: none of its trials goes on.
        """
        found: list[Message] = []
        until, size = time.monotonic() + timeout_s, 0
        while size < _MOST_BYTES:
            try:
                message = self._messages.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(message, Exception):
                raise message
            if not found:
                until = min(until, time.monotonic() + _GATHER_S)
            found.append(message)
            size += (
                len(message.checkpoint or b"")
                + len(message.weights or b"")
                + sum(map(len, message.delivery[1] if message.delivery else ()))
            )
        return found

    def close(self) -> None:
        """End everything and remove what was written."""
        self._commands.put(None)
        self._worker.join()
        if self._uploads is not None:
            self._uploads.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the thread that knows the engine ------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while True:
                running = self._engine is not None and bool(self._engine.running)
                try:
                    # All that waits is obeyed before trials are listened to.
                    command = self._commands.get_nowait() if running else self._commands.get()
                except queue.Empty:
                    self._listen()
                    continue
                if command is None:
                    return
                self._obey(command)
        except Exception as error:  # noqa: BLE001 - whoever waits for these trials would wait forever
            self._messages.put(error)
        finally:
            if self._engine is not None:
                self._engine.close()

    def _listen(self) -> None:
        for event in self._engine.events(_TURN_S) if self._engine is not None else ():
            self._tell(event)

    def _obey(self, command: _Start | _Cancel) -> None:
        if isinstance(command, _Start):
            try:
                self._start(command)
            except (EngineError, OSError, RuntimeError) as error:
                reason = one_line(error)
                failed = Failed(command.job.trial, reason, died=True)
                self._messages.put(Message(failed, command.checkpoint, lost=reason))
        elif self._engine is not None:
            self._engine.cancel(command.trial)

    def _start(self, command: _Start) -> None:
        job = command.job
        if self._engine is None:
            self._engine = self._opened(self._folders_of(command.code))
        shared = self._spec.shared
        checkpoint = None if shared is None else fetched(shared, job, self._weights_file(job))
        self._write_checkpoint(job, command.checkpoint if checkpoint is None else checkpoint)
        self._engine.submit(job, device=command.device)
        self._jobs[job.trial] = job
        self._sent_at[job.trial] = time.monotonic()

    def _opened(self, code: tuple[Path, ...]) -> LocalEngine:
        spec = self._spec
        return LocalEngine(
            spec.slots,
            places=Places(
                dict(self._data),
                checkpoints=self._folder / "checkpoints",
                deliveries=self._folder / "deliveries",
                code=code,
                weights=self._folder / "weights",
            ),
            trainer=spec.trainer,
            preload=spec.preload,
            log_dir=self._folder / "logs",
            time_limit_s=spec.time_limit_s,
            # Ray lets every process see all GPUs of its node: only what was granted is named with the job.
            devices=(NO_DEVICE,),
        )

    def _folders_of(self, code: tuple[Parcel, Fetch] | None) -> tuple[Path, ...]:
        """Unpack the user's modules; the folders that they came from lie side by side in their order."""
        if code is None:
            return ()
        parcel, fetch = code
        folder = self._folder / "code"
        unpack(parcel, fetch(), folder)
        return tuple(sorted(path for path in folder.iterdir() if path.is_dir()))

    def _tell(self, event: TrialEvent) -> None:
        trial = event.trial
        job = self._jobs.get(trial)
        is_last = isinstance(event, Finished | Failed | Cancelled)
        checkpoint, delivery, weights = None, None, None
        if job is not None:
            due = time.monotonic() - self._sent_at[trial] >= self._spec.checkpoint_every_s
            due = due and (self._uploads is None or not self._uploads.is_busy(trial))
            if is_last or (due and isinstance(event, EpochDone)):
                # In this order: what goes on from a checkpoint never keeps the weights before it again.
                checkpoint = self._read_checkpoint(job)
                weights = self._read_weights(job)
                self._sent_at[trial] = time.monotonic()
        if is_last and job is not None:
            if isinstance(event, Finished):
                delivery = self._read_delivery(job)
            self._forget(job)
        lost = ""
        if isinstance(event, Failed) and event.died and fork_server.exit_code() is not None:
            # All of its trials seem to die with it.
            lost = "the process that starts its trials died"
        message = Message(event, checkpoint, delivery, lost, weights)
        if self._uploads is None or job is None:
            self._messages.put(message)
        else:
            self._uploads.send(job, message, is_last=is_last)

    # --- files ---------------------------------------------------------------------------------------------

    def _checkpoint_file(self, job: TrialJob) -> Path | None:
        return None if job.checkpoint is None else self._folder / "checkpoints" / job.checkpoint

    def _write_checkpoint(self, job: TrialJob, content: bytes | None) -> None:
        file = self._checkpoint_file(job)
        if file is None:
            return
        file.parent.mkdir(exist_ok=True)
        # What an earlier run of this trial left here is older than what comes with the job.
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)

    def _read_checkpoint(self, job: TrialJob) -> bytes | None:
        return content_of(self._checkpoint_file(job))

    def _delivery_folder(self, job: TrialJob) -> Path | None:
        return None if job.deliver_to is None else self._folder / "deliveries" / job.deliver_to

    def _read_delivery(self, job: TrialJob) -> tuple[Parcel, tuple[bytes, ...]] | None:
        folder = self._delivery_folder(job)
        if folder is None or not folder.is_dir():
            return None
        parcel = parcel_of(folder)
        return parcel, tuple(pieces(parcel))

    def _weights_file(self, job: TrialJob) -> Path | None:
        return None if job.keep is None else self._folder / "weights" / job.keep.name

    def _read_weights(self, job: TrialJob) -> bytes | None:
        """Return the weights that a trial keeps, unless they have gone up already."""
        file = self._weights_file(job)
        try:
            if file is None:
                return None
            found = file.stat()
            # Never written in place.
            version = found.st_ino, found.st_mtime_ns
            if self._sent_weights.get(job.trial) == version:
                return None
            content = file.read_bytes()
        except OSError:
            return None
        self._sent_weights[job.trial] = version
        return content

    def _forget(self, job: TrialJob) -> None:
        del self._jobs[job.trial], self._sent_at[job.trial]
        self._sent_weights.pop(job.trial, None)
        weights = self._weights_file(job)
        if weights is not None:
            for path in [weights, *weights.parent.glob(f".{weights.name}-*.part")]:
                path.unlink(missing_ok=True)
        delivered = self._delivery_folder(job)
        if delivered is not None:
            shutil.rmtree(delivered, ignore_errors=True)
        file = self._checkpoint_file(job)
        if file is not None:
            for path in [file, *file.parent.glob(f".{file.name}-*.part")]:
                path.unlink(missing_ok=True)

    def _kept(self, parcel: Parcel) -> Path:
        return cache_folder() / "nodes" / parcel.key


def _remove_left_folders() -> None:
    """Remove what agents of this machine left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
