"""Processes that other people's code starts: all of them end with the process that ran that code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import psutil

_PR_SET_CHILD_SUBREAPER: Final = 36

_LONGEST_S: Final = 5.0
"""How long a family that starts new processes faster than they can be killed is fought."""


_DYING_S: Final = 1.0
"""How long a process that was killed may take to be gone: one that waits for a disk takes its time."""


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, where the system can do so.

    Without it a process that was started in the background, and left its group, belongs to nobody who could
    end it.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def lead_group() -> None:
    """Give this process a session of its own, which what it starts belongs to."""
    # It leads one already where it was started so.
    with suppress(PermissionError):
        os.setsid()


def descendants(pid: int | None = None, *, without: Collection[int] = ()) -> list[psutil.Process]:
    """Return the live processes that stem from one.

    Args:
        pid: Of the process; this one if None.
        without: Children that are left out, and all that stems from them.
    """
    with suppress(psutil.NoSuchProcess):
        children = [child for child in psutil.Process(pid).children() if child.pid not in without]
        found = list(children)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                found += child.children(recursive=True)
        return [process for process in found if _is_alive(process)]
    return []


def end_descendants(pid: int | None = None, *, without: Collection[int] = ()) -> None:
    """Kill all that stems from a process, and go on until nothing of it is left.

    Args:
        pid: Of the process; this one if None.
        without: As for `descendants`.
    """
    deadline = time.monotonic() + _LONGEST_S
    while family := descendants(pid, without=without):
        # Those whose parents were killed come to whoever adopts them: they are looked for again.
        end(family)
        if time.monotonic() > deadline:
            return


def end(family: Collection[psutil.Process]) -> None:
    """Kill processes, and wait until they have ended."""
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + _DYING_S
    while any(_is_alive(process) for process in family) and time.monotonic() < deadline:
        time.sleep(0.005)


def end_family(leader: int) -> None:
    """Kill a process that leads a group, with all that stems from it.

    The group goes in one blow: however fast its members make new ones, none gets away.

    Args:
        leader: Number of the process; this one is the last to go.
    """
    others = [process for process in descendants(leader) if _group(process) != leader]
    if leader == os.getpid():
        # Nothing is done behind what ends this one too.
        end(others)
    end_group(leader)
    end(others)


def _group(process: psutil.Process) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getpgid(process.pid)
    return None


def end_group(pid: int) -> None:
    """Kill what is left of the group that a process leads, or led."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
