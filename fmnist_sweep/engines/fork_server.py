"""The fork server as its parent sees it: start it, hear its last words, end what it adopts."""

from __future__ import annotations

import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from fmnist_sweep.core.families import descendants, end, end_descendants, end_group
from fmnist_sweep.engines import server

STARTING: Final = threading.Lock()
"""Held while a process is started, or while those are looked for that nobody knows."""

LIVE: Final[set[int]] = set()
"""Numbers of the trials' processes, those of all engines."""

_LAST_WORDS: Final = 10
"""Lines that are told of a server that died."""

_logs: list[tuple[int, str]] = []
"""The file that takes what the server prints, and its name."""


def ensure_running() -> None:
    """Start the server, unless it runs."""
    # Else a random.py in the current folder would be taken for the library's.
    safe = {} if os.environ.get(server.SAFE_PATH) else {server.SAFE_PATH: server.SAFE}
    with _environment(safe):
        # The tracker comes first, since its start would unblock interrupts again.
        multiprocessing.resource_tracker.ensure_running()
        if _pid() is not None and exit_code() is None:
            return
        with _interrupts_blocked(), _environment({server.LOG: _new_log()}):
            multiprocessing.forkserver.ensure_running()


def end_what_is_left(pid: int) -> None:
    """Kill all that a trial's process has left behind.

    Args:
        pid: Of the process, which has ended, or counts as ended since its server has.
    """
    if not pid:
        return
    with STARTING:
        LIVE.discard(pid)
        adopter = _pid()
        if adopter is not None and exit_code() is not None:
            end([*descendants(pid), *_leader(pid)])
        end_group(pid)
        if adopter is not None and exit_code() is None:
            # Whoever loses its parent comes to the server; of its other children none is unknown.
            end_descendants(adopter, without=LIVE)


def why_none_starts(error: Exception) -> str:
    """Return why no process can be started, with the server's last words if it died."""
    code = exit_code(wait_s=2.0)
    if code is None:
        return f"no process can be started for a trial: {error}"
    names = {s.value: s.name for s in signal.Signals}
    how = f"exit code {code}" if code >= 0 else names.get(-code, f"signal {-code}")
    memory = " (out of memory?)" if -code == signal.SIGKILL else ""
    said = _last_words()
    head = (
        "the process that loads TensorFlow for the trials died, was started again and died once more, with "
        f"{how}{memory}"
    )
    return "\n".join([f"{head}; its last words:", *(f"  {line}" for line in said)]) if said else head


def exit_code(wait_s: float = 0.0) -> int | None:
    """Return the exit code of the server, below 0 for a signal; None while it lives.

    Args:
        wait_s: How long to wait for its end.
    """
    pid, until = _pid(), time.monotonic() + wait_s
    while pid is not None:
        try:
            # Looked at and no more: `multiprocessing` collects it as it starts another one.
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return 0
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if time.monotonic() >= until:
            break
        time.sleep(0.01)
    return None


def _pid() -> int | None:
    """Return the process number of the server; None where none was started."""
    pid: int | None = vars(multiprocessing.forkserver)["_forkserver"]._forkserver_pid  # noqa: SLF001
    return pid


def _leader(pid: int) -> list[psutil.Process]:
    """Return a trial's process if it is still there: another one of its number would lead no session."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if os.getsid(pid) == pid:
            return [psutil.Process(pid)]
    return []


def _new_log() -> str:
    """Return a new file for what the server prints, which it removes as it opens it."""
    for descriptor, name in _logs:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)
    _logs.clear()
    # Open for as long as the server may speak.
    _logs.append(tempfile.mkstemp(prefix="fmnist-sweep-"))
    return _logs[0][1]


def _last_words() -> list[str]:
    said = [os.pread(descriptor, os.fstat(descriptor).st_size, 0) for descriptor, _ in _logs]
    lines = b"".join(said).decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_LAST_WORDS:]


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """Let a process that is started inside find more in its environment."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C for the process started inside, which inherits the mask for itself and its children.

    Ctrl-C goes to every process of the terminal; the fork server would die of it in the middle of its
    imports, and a child before it can ignore it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
