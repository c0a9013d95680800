"""An observer that takes its time, told from a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Stop

_MOST_WAITING: Final = 10_000
_LAST_WAIT_S: Final = 60.0


class Threaded(Observer):
    """Tells another observer, in order, from a thread: whatever it waits for, the run does not.

    What the other raises is raised by the next call here, so that it is reported as any observer's; so is
    that it has fallen too far behind. At the end of a run the calls that still wait have a minute.

    Args:
        observer: Whom to tell.
        last_wait_s: Seconds that the end of a run waits at most.
    """

    def __init__(self, observer: Observer, *, last_wait_s: float = _LAST_WAIT_S) -> None:
        self._observer = observer
        self._last_wait_s = last_wait_s
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._error: Exception | None = None
        # A thread of the program's own would keep it alive for a server that never answers.
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    @override
    def __str__(self) -> str:
        return str(self._observer)

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._thread.start()
        self._put(partial(self._observer.on_start, study, settings))

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        self._put(partial(self._observer.on_event, event, job))

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        self._put(partial(self._observer.on_trial_end, trial, job, curve))

    @override
    def on_end(self, stop: Stop | None) -> None:
        self._put(partial(self._observer.on_end, stop))
        self._put(None)
        self._thread.join(self._last_wait_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._calls.qsize()} of its calls still waited at the end of the run")
        self._raise()

    @override
    def on_export(self, study: str, bundle: Path) -> None:
        # Nothing waits for it any more: an export has ended.
        self._observer.on_export(study, bundle)

    def _put(self, call: Callable[[], None] | None) -> None:
        self._raise()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            raise TimeoutError(f"{_MOST_WAITING:,} of its calls wait: it is too slow for this run") from None

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - it is handed to whoever calls next
                self._error = error
                return
