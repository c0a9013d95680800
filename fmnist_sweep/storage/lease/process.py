"""Which process runs a study, and whether it lives: no clock and no reused process number fools it.

Nothing here loads Optuna.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


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
        started = process_start(os.getpid())
        return cls(
            socket.gethostname(),
            boot_id(),
            os.getpid(),
            -1 if started is None else started,
            uuid.uuid4().hex,
        )


class OwnerState(Enum):
    """What can be seen of an owner's process; of one on another machine nothing can."""

    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"


def was_killed(owner: Mapping[str, Any] | None) -> bool:
    """Return whether a study's owner ended without a word: what it left RUNNING waits for the next run.

    Args:
        owner: An `Owner` as a mapping, as the study's user attribute ``owner`` holds it; empty or None where
            nobody runs the study.
    """
    return bool(owner) and owner_state(owner or {}) is OwnerState.GONE


def owner_state(owner: Mapping[str, Any]) -> OwnerState:
    """Return what can be seen of an owner's process from this machine.

    Args:
        owner: An `Owner` as a mapping.
    """
    boot = boot_id()
    if not owner.get("boot") or owner["boot"] != boot:
        if owner["host"] != socket.gethostname():
            return OwnerState.ELSEWHERE
        if boot:
            # The machine was started again since.
            return OwnerState.GONE
    started = process_start(owner["pid"])
    # A number is used again sooner or later; together with its start it names one process.
    return (
        OwnerState.ALIVE if started is not None and abs(started - owner["started"]) < 1 else OwnerState.GONE
    )


def boot_id() -> str:
    """Return what identifies this machine since it was started; empty where the system has no such thing."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def process_start(pid: int) -> float | None:
    """Return when a process started, as `Owner.started` counts; None where it is gone.

    A process that was killed and that nobody collects, as in some containers, is gone.
    """
    if boot_id():
        try:
            # The name, in parentheses, may hold anything; then come the state and, 19 fields on, the start.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else float(fields[19])
    import psutil  # noqa: PLC0415 - on Linux, `status` answers without it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (OSError, psutil.Error):
        return None


def shown(owner: Mapping[str, Any]) -> str:
    """Return how a message names an owner, as a study or a lock has it; empty where it is not known."""
    return f"process {owner['pid']} on {owner['host']}" if owner else "another process"


def busy(study: str, owner: Mapping[str, Any]) -> str:
    """Return the message that a study is being run."""
    return (
        f"study {study!r} is being run by {shown(owner)}; wait for it, or choose another name with --study."
    )
