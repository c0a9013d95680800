"""Who may run a study: one process at a time, and none is fooled by a clock or a reused process number."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.owner import Owner, OwnerState, owner_state

_LOCK: Final = "lock"
_HELD_BY_ANOTHER: Final = (errno.EAGAIN, errno.EACCES)
_N_TRIES: Final = 100
_NAMED_WITHIN_S: Final = 1.0


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
            held = error.errno in _HELD_BY_ANOTHER
            holder = _holder(descriptor) if held else {}
            os.close(descriptor)
            if not held:
                raise
            raise StudyBusyError(busy(study, holder)) from None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Owner.this_process())).encode())
            return descriptor
        os.close(descriptor)


def _holder(descriptor: int) -> Mapping[str, Any]:
    """Return who holds a lock file; empty where it does not say so within `_NAMED_WITHIN_S`."""
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while True:
        try:
            parsed: Mapping[str, Any] = json.loads(os.pread(descriptor, 4096, 0))
        except ValueError:
            # It has the lock and has not yet written its name.
            if time.monotonic() > deadline:
                return {}
            time.sleep(0.01)
        else:
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
    state = owner_state(before) if before else OwnerState.GONE
    if state is OwnerState.ALIVE:
        raise StudyBusyError(busy(study.study_name, before))
    if state is OwnerState.ELSEWHERE and not take_over:
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
    return bool(owner) and owner_state(owner) is OwnerState.ELSEWHERE


def _is_this_process(owner: Mapping[str, Any]) -> bool:
    me = asdict(Owner.this_process())
    return all(owner[name] == me[name] for name in ("boot", "pid", "started"))


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
