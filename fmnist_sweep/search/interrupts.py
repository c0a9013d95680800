"""Ctrl-C and polite kills: what is running ends in good order."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(
    say: Callable[[str], None], *, what: str = "running trials are put back"
) -> Iterator[threading.Event]:
    """Let the first Ctrl-C, or a polite kill, end the sweep in good order, and the second at once.

    So does a terminal that is closed, unless the sweep was told not to care, as ``nohup`` does. In a thread
    beside the main one there is nothing to hear: signals are the main thread's.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        if interrupted.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        interrupted.set()
        if number == signal.SIGHUP:
            _leave_terminal()
        say(f"Stopping: {what}. Press Ctrl-C again to stop at once.")

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Let what is yet to be printed go nowhere where the terminal is gone: writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        # A terminal whose other end is gone no longer says that it is one.
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
