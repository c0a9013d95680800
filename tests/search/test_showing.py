"""How often observers are told what a search is at."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.progress import Progress
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


def made(n_running: int, clock: Clock, *, takes_s: float) -> tuple[Showing, SimpleNamespace, list[float]]:
    """Return what is tested, what it looks at, and the times at which it tells."""
    told: list[float] = []

    def take(_: Progress) -> None:
        told.append(clock.now)
        clock.now += takes_s

    standing = SimpleNamespace(running=range(n_running), news=(None,), progress=lambda: cast("Any", None))
    return Showing(ProgressObserver(take), cast("Standing", standing)), standing, told


def test_of_few_trials_each_turn_is_told(clock: Clock) -> None:
    """As soon as it is over."""
    shown, _, told = made(MANY - 1, clock, takes_s=1.0)
    for _ in range(5):
        shown.show()
    assert len(told) == 5


def test_of_many_trials_telling_takes_a_tenth_of_the_time(clock: Clock) -> None:
    """However long it takes."""
    shown, _, told = made(MANY, clock, takes_s=0.01)
    for _ in range(1000):
        shown.show()
        clock.now += 0.001
    gaps = [later - one for one, later in itertools.pairwise(told)]
    assert gaps == pytest.approx([0.1] * len(gaps), abs=0.002)


def test_what_happened_is_told_at_once(clock: Clock) -> None:
    """A trial that ended, of however many."""
    shown, standing, told = made(MANY, clock, takes_s=0.01)
    for n in range(3):
        standing.news = (n,)
        shown.show()
        shown.show()
    assert len(told) == 3
