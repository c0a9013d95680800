"""Who may run a study: one process at a time, and none is fooled by a clock or a reused process number."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

import optuna
import psutil
from optuna.trial import TrialState

from fmnist_sweep.errors import StorageError, StudyBusyError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LOCK: Final = "lock"
_HELD_BY_ANOTHER: Final = (errno.EAGAIN, errno.EACCES)
_N_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that runs a study.

    Attributes:
        host: Name of its machine.
        boot: Identifies the machine since it was started; empty where the system has no such thing.
        pid: Process number.
        started: When the process started: clock ticks since the machine did, which no clock that is set
            can change. Seconds since 1970 where the system has no such count.
        run: Identifies this run of the study, and is named by each trial that it runs.
    """

    host: str
    boot: str
    pid: int
    started: float
    run: str

    @classmethod
    def this_process(cls) -> Self:
        """Return this process as the owner of a new run."""
        started = _started(os.getpid())
        return cls(
            socket.gethostname(),
            _boot_id(),
            os.getpid(),
            -1 if started is None else started,
            uuid.uuid4().hex,
        )


class _State(Enum):
    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"


@contextmanager
def study_lock(folder: Path, study: str) -> Iterator[None]:
    """Hold the lock of a study; it ends with the process, however that ends.

    To be taken before the study is made: of two processes that start at once, one gets it.

    Args:
        folder: As `study.side_folder` gives it; removed at the end if nothing else is left in it.
        study: Name of the study, for the message.

    Raises:
        StudyBusyError: Another process holds it; the message names it.
        StorageError: The folder can't be written.
    """
    try:
        descriptor = _locked(folder / _LOCK, study)
    except OSError as error:
        raise StorageError(f"{folder} can't be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        # Whoever waits for it looks again whether the file that it locked is still there.
        (folder / _LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _locked(path: Path, study: str) -> int:
    """Return the descriptor of the lock file, locked and with this process's name in it."""
    n_gone = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not inherited by other programs: the lock is this process's alone.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # The last holder has just removed the folder, or nothing can be made in this place.
            n_gone += 1
            if n_gone == _N_TRIES:
                raise
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 4096)
            os.close(descriptor)
            if error.errno not in _HELD_BY_ANOTHER:
                raise
            raise StudyBusyError(busy(study, _parsed(holder))) from None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Owner.this_process())).encode())
            return descriptor
        os.close(descriptor)


def _parsed(holder: bytes) -> Mapping[str, Any]:
    try:
        parsed: Mapping[str, Any] = json.loads(holder)
    except ValueError:
        # It has the lock and has not yet written its name.
        return {}
    return parsed


def shown(owner: Mapping[str, Any]) -> str:
    """Return how a message names an owner, as a study or a lock has it; empty where it is not known."""
    return f"process {owner['pid']} on {owner['host']}" if owner else "another process"


def busy(study: str, owner: Mapping[str, Any]) -> str:
    """Return the message that a study is being run."""
    return (
        f"study {study!r} is being run by {shown(owner)}; wait for it, or choose another name with --study."
    )


@contextmanager
def ownership(study: optuna.Study, *, take_over: bool = False) -> Iterator[Owner]:
    """Be the owner of a study while running it, and name it in the study.

    Entering puts back the trials that a dead owner left RUNNING.

    Args:
        study: The study.
        take_over: Also from an owner on another machine, which may be alive.

    Raises:
        StudyBusyError: A live process on this machine runs the study, or the owner is on another machine,
            where nothing can be seen of it; the message names it.
    """
    before = owner_of(study)
    state = _state(before) if before else _State.GONE
    if state is _State.ALIVE:
        raise StudyBusyError(busy(study.study_name, before))
    if state is _State.ELSEWHERE and not take_over:
        raise StudyBusyError(
            f"study {study.study_name!r} belongs to {shown(before)}, which can't be seen from here; "
            "if it is gone, take the study over with --take-over."
        )
    me = Owner.this_process()
    study.set_user_attr("owner", asdict(me))
    try:
        put_back(study)
        yield me
    finally:
        if owner_of(study).get("run") == me.run:
            study.set_user_attr("owner", None)


def owner_of(study: optuna.Study) -> Mapping[str, Any]:
    """Return the `Owner` that a study names, as a mapping; empty where it names none."""
    owner: Mapping[str, Any] = study.user_attrs.get("owner") or {}
    return owner


def is_elsewhere(owner: Mapping[str, Any]) -> bool:
    """Return whether an owner is on another machine, where nothing can be seen of its process."""
    return bool(owner) and _state(owner) is _State.ELSEWHERE


def _state(owner: Mapping[str, Any]) -> _State:
    boot = _boot_id()
    if not owner.get("boot") or owner["boot"] != boot:
        if owner["host"] != socket.gethostname():
            return _State.ELSEWHERE
        if boot:
            # The machine was started again since.
            return _State.GONE
    started = _started(owner["pid"])
    # A number is used again sooner or later; together with its start it names one process.
    return _State.ALIVE if started is not None and abs(started - owner["started"]) < 1 else _State.GONE


def _is_this_process(owner: Mapping[str, Any]) -> bool:
    me = asdict(Owner.this_process())
    return all(owner[name] == me[name] for name in ("boot", "pid", "started"))


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def _started(pid: int) -> float | None:
    """Return when a process started, as `Owner.started` counts; None where it is gone.

    A process that was killed and that nobody collects, as in some containers, is gone.
    """
    try:
        if _boot_id():
            # The name, in parentheses, may hold anything; then come the state and, 19 fields on, the start.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else float(fields[19])
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (OSError, psutil.Error):
        return None


def put_back(study: optuna.Study) -> int:
    """Make RUNNING trials WAITING, so that the next run takes them up first, and return how many.

    A trial keeps its number and its drawn parameters. Equal jobs give equal curves, so what it had already
    reported stays true. Those of a study that another process has taken over meanwhile are left to it.
    """
    owner = owner_of(study)
    if owner and not _is_this_process(owner):
        return 0
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        # Optuna has no public call for this; its own retry adds a second trial with the same parameters.
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)  # noqa: SLF001
    return len(running)
