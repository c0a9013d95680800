"""Tell observers what a search is at, without letting that take its time."""

from __future__ import annotations

import time
from typing import Final

from fmnist_sweep.core.observer import Observer
from fmnist_sweep.search.standing import Standing

MANY: Final = 100
"""Trials side by side, from which on not every turn is followed by what all of them are at."""

_REST: Final = 9
"""It is not told again for so many times as long as telling it took."""


class Showing:
    """Tells what a search is at: after each turn; of many trials, so often that it takes a tenth of the time.

    What all trials are at is as long as there are trials, and the more there are, the faster events come.

    Args:
        observer: Is told.
        standing: What the search is at.
    """

    def __init__(self, observer: Observer, standing: Standing) -> None:
        self._observer = observer
        self._standing = standing
        self._rests_until = 0.0
        self._told: tuple[object, ...] = ()

    def show(self) -> None:
        """Tell it, unless it was told just now and no trial has ended, paused or been in trouble since."""
        began, news = time.perf_counter(), self._standing.news
        many = len(self._standing.running) >= MANY
        if many and news == self._told and began < self._rests_until:
            return
        self._told = news
        self._observer.on_progress(self._standing.progress())
        ended = time.perf_counter()
        self._rests_until = ended + _REST * (ended - began)
