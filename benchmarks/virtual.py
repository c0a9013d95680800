"""An engine whose epochs take no time but count it: recorded seconds on a clock of its own."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from typing_extensions import override

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.events import Cancelled, EpochDone, Finished, Started, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.engines.base import ClosedByWith, require_free


class VirtualEngine(ClosedByWith):
    """Runs jobs side by side in virtual time.

    Args:
        curve: Gives the curve of a job; the epochs' ``seconds`` are what they take.
        slots: Jobs that run at the same time.
        start_s: Seconds before a job's first epoch.
        slowness: Factor on all seconds.
        watch: Called with each epoch's scores at its end; `now` is then that moment.

    Attributes:
        now: Seconds since the engine was made.
        n_epochs: Epochs that were trained to their end.
        n_events: Events that were handed out.
    """

    def __init__(
        self,
        curve: Callable[[TrialJob], LearningCurve],
        slots: int,
        *,
        start_s: float = 0.0,
        slowness: float = 1.0,
        watch: Callable[[EpochScores], None] = lambda _: None,
    ) -> None:
        self.slots = slots
        self.now = 0.0
        self.n_epochs = 0
        self.n_events = 0
        self._curve = curve
        self._start_s = start_s * slowness
        self._slowness = slowness
        self._watch = watch
        self._queue: list[tuple[float, int, TrialEvent]] = []
        self._order = itertools.count()
        self._running: dict[int, int] = {}
        # Of each trial: as from its checkpoint.
        self._told: dict[int, int] = {}
        self._closed = False

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that are running, oldest first."""
        return tuple(self._running)

    def submit(self, job: TrialJob, *, n_resumed: int = 0) -> None:
        """Start a job; its first ``n_resumed`` epochs come from a checkpoint and take no time.

        A trial that was dropped goes on from the last epoch that was told of it.
        """
        require_free(self, job.trial, closed=self._closed)
        n_resumed = max(n_resumed, self._told.get(job.trial, 0))
        self._running[job.trial] = n_resumed
        at = self.now + self._start_s
        self._push(at, Started(job.trial, 1000, n_resumed))
        for scores in self._curve(job).epochs[: job.epochs]:
            at += 0.0 if scores.epoch < n_resumed else scores.seconds * self._slowness
            self._push(at, EpochDone(job.trial, scores))
        self._push(at, Finished(job.trial))

    def events(self, timeout_s: float) -> list[TrialEvent]:  # noqa: ARG002 - nobody waits here
        """Go on to the next event, and return it with all others of the same moment."""
        found: list[TrialEvent] = []
        while self._queue and (not found or self._queue[0][0] <= self.now):
            at, _, event = heapq.heappop(self._queue)
            if event.trial not in self._running:
                continue
            self.now = max(self.now, at)
            found.append(event)
            self.n_events += 1
            if isinstance(event, EpochDone):
                if event.scores.epoch >= self._running[event.trial]:
                    self.n_epochs += 1
                    self._told[event.trial] = event.scores.epoch + 1
                self._watch(event.scores)
            elif isinstance(event, Finished | Cancelled):
                del self._running[event.trial]
        return found

    def cancel(self, trial: int) -> None:
        """Drop a trial: its slot is free at this very moment."""
        if trial in self._running:
            self._queue = [entry for entry in self._queue if entry[2].trial != trial]
            heapq.heapify(self._queue)
            self._push(self.now, Cancelled(trial))

    @override
    def close(self) -> None:
        """Drop every job."""
        self._closed = True
        self._running.clear()
        self._queue.clear()

    def _push(self, at: float, event: TrialEvent) -> None:
        heapq.heappush(self._queue, (at, next(self._order), event))
