"""Tell observers what a search is at, without letting that take its time."""

from __future__ import annotations

import time
from typing import Final

from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import TrialProgress
from fmnist_sweep.search.standing import Standing

MANY: Final = 100
"""Trials side by side, from which on not every turn is followed by what all of them are at."""

_REST: Final = 19
"""It is not put together again for so many times as long as that took."""


class Showing:
    """Tells what a search is at, after each turn; of many trials, for a twentieth of the time at the most.

    What all trials are at is as long as there are trials, and the more there are, the faster events come.
    What happened to a trial is told at once, beside what the others were at when that was last told.

    Args:
        observer: Is told.
        standing: What the search is at.
    """

    def __init__(self, observer: Observer, standing: Standing) -> None:
        self._observer = observer
        self._standing = standing
        self._rests_until = 0.0
        self._in_training: tuple[TrialProgress, ...] = ()
        self._told: tuple[object, ...] = ()

    def show(self) -> None:
        """Tell it, unless it was told just now and no trial has ended, paused or been in trouble since."""
        began, news = time.perf_counter(), self._standing.news
        rests = began < self._rests_until and len(self._standing.running) >= MANY
        if rests and news == self._told:
            return
        self._told = news
        if rests:
            self._observer.on_progress(self._standing.progress(self._in_training))
            return
        self._in_training = self._standing.in_training()
        self._observer.on_progress(self._standing.progress(self._in_training))
        ended = time.perf_counter()
        self._rests_until = ended + _REST * (ended - began)
