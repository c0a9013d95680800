"""A sweep from end to end, and the signals that end it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fmnist_sweep.search import interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_is_told(number: signal.Signals) -> None:
    """Ctrl-C or a polite kill set the event, raise nothing, and leave the old handler in place afterwards."""
    # Whoever runs the tests may have told them not to care, as nohup does.
    inherited = signal.signal(number, signal.default_int_handler)
    said: list[str] = []
    try:
        with interrupts.stop_signals(said.append) as interrupted:
            assert not interrupted.is_set()
            os.kill(os.getpid(), number)
            assert interrupted.is_set()
        assert said == ["Stopping: running trials are put back. Press Ctrl-C again to stop at once."]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)


def test_the_second_interrupt_ends_at_once() -> None:
    """Ctrl-C twice raises KeyboardInterrupt."""
    with interrupts.stop_signals(lambda _: None):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_hears_no_signals() -> None:
    """Signals are the main thread's: a search in another one runs, and can't be ended by them."""
    before = signal.getsignal(signal.SIGINT)
    heard: list[str] = []

    def work() -> None:
        with interrupts.stop_signals(heard.append) as interrupted:
            heard.append(str(interrupted.is_set()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == ["False"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_sweep_that_was_told_not_to_care_outlives_its_terminal() -> None:
    """Under nohup a hang-up changes nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.stop_signals(lambda _: None) as interrupted:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupted.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
