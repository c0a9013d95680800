"""How often observers are told what a search is at."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.search import showing
from fmnist_sweep.search.showing import MANY, Showing
from fmnist_sweep.search.standing import Standing


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        """Return its seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock by which it is decided."""
    clock = Clock()
    monkeypatch.setattr(showing, "time", clock)
    return clock


class Run:
    """A search with so many trials in training.

    Attributes:
        shown: What is tested.
        news: What happened last.
        looked: When it was looked at what the trials are at.
        told: The looks that observers were told.
    """

    def __init__(self, n_running: int, clock: Clock, *, takes_s: float) -> None:
        self.running = range(n_running)
        self.news: tuple[object, ...] = (None,)
        self.looked: list[float] = []
        self.told: list[Any] = []
        self._clock = clock
        self._takes_s = takes_s
        self.shown = Showing(ProgressObserver(self.told.append), cast("Standing", self))

    def in_training(self) -> float:
        """Look."""
        self.looked.append(self._clock.now)
        self._clock.now += self._takes_s
        return self.looked[-1]

    def progress(self, in_training: float) -> float:
        """Return what is told."""
        return in_training


def test_of_few_trials_each_turn_is_told(clock: Clock) -> None:
    """As soon as it is over."""
    run = Run(MANY - 1, clock, takes_s=1.0)
    for _ in range(5):
        run.shown.show()
    assert run.told == run.looked == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_of_many_trials_looking_takes_a_twentieth_of_the_time(clock: Clock) -> None:
    """However long it takes."""
    run = Run(MANY, clock, takes_s=0.01)
    for _ in range(1000):
        run.shown.show()
        clock.now += 0.001
    gaps = [later - one for one, later in itertools.pairwise(run.looked)]
    assert gaps == pytest.approx([0.2] * len(gaps), abs=0.002)
    assert run.told == run.looked


def test_what_happened_is_told_at_once(clock: Clock) -> None:
    """A trial that ended, of however many; it is not looked at the others again for it."""
    run = Run(MANY, clock, takes_s=0.01)
    for n in range(3):
        run.news = (n,)
        run.shown.show()
        run.shown.show()
    assert run.looked == [100.0]
    assert run.told == [100.0] * 3
