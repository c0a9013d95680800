"""Which trials that wait at a rung go on, by laws that hold whatever arrives in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.halving import Halving, Rungs

SCORES = st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True)
FACTORS = st.integers(2, 5)


def played(curves: dict[int, list[float]], halving: Halving, *, closing: bool) -> dict[int, int]:
    """Begin trials one after another by the rule alone, and return after how many epochs each one stands."""
    rungs, waiting, at = Rungs(halving), dict[int, int](), dict[int, int]()

    def train(trial: int, since: int) -> None:
        curve = curves[trial]
        for n in range(since + 1, len(curve) + 1):
            at[trial] = n
            rungs.reach(trial, n, max(curve[:n]))
            if halving.is_rung(n) and n < len(curve) and trial not in rungs.best(n):
                waiting[trial] = n
                return

    def promote(at_least: int) -> bool:
        trial = rungs.next_of(waiting, at_least=at_least)
        if trial is not None:
            train(trial, waiting.pop(trial))
        return trial is not None

    for trial in curves:
        while promote(0):
            pass
        train(trial, 0)
    while promote(0) or (closing and promote(1)):
        pass
    return at


@pytest.mark.parametrize(
    ("first", "factor", "rungs"),
    [(1, 2, [1, 2, 4, 8, 16]), (2, 3, [2, 6, 18]), (5, 4, [5, 20]), (30, 3, [])],
)
def test_rungs_are_a_factor_apart(first: int, factor: int, rungs: list[int]) -> None:
    """From the first one on."""
    assert [n for n in range(1, 21) if Halving(first, factor).is_rung(n)] == rungs


@given(SCORES, FACTORS)
def test_the_best_share_goes_on_and_no_more(scores: list[int], factor: int) -> None:
    """One in so many of those that arrived, the best of them, and one at least where that is asked for."""
    rungs = Rungs(Halving(1, factor))
    for trial, score in enumerate(scores):
        rungs.reach(trial, 1, score)
        seen = scores[: trial + 1]
        best = rungs.best(1)
        assert len(best) == len(seen) // factor
        assert sorted((seen[one] for one in best), reverse=True) == sorted(seen, reverse=True)[: len(best)]
    assert rungs.best(1, at_least=1)[0] == scores.index(max(scores))


@given(SCORES, FACTORS, st.randoms())
def test_who_goes_on_depends_on_no_name(scores: list[int], factor: int, random: object) -> None:
    """Nor on the order of arrival, once all are there."""
    numbers = list(range(len(scores)))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    one, other = Rungs(Halving(1, factor)), Rungs(Halving(1, factor))
    for i, score in enumerate(scores):
        one.reach(i, 1, score)
    for i in numbers:
        other.reach(100 + numbers[i], 1, scores[i])
    assert [scores[trial] for trial in one.best(1)] == [
        scores[numbers.index(trial - 100)] for trial in other.best(1)
    ]


@given(SCORES, FACTORS)
def test_nobody_is_lost_and_the_best_comes_to_its_end(scores: list[int], factor: int) -> None:
    """Each trial stands at a rung or at its end; whoever went past a rung did so among the best there."""
    halving, epochs = Halving(1, factor), 12
    curves = {i: [float(score)] * epochs for i, score in enumerate(scores)}
    at = played(curves, halving, closing=True)
    assert at.keys() == curves.keys()
    assert all(n == epochs or halving.is_rung(n) for n in at.values())
    assert at[scores.index(max(scores))] == epochs
    # As many as the share, and the few that were let past before better ones arrived.
    deserved = sorted(scores, reverse=True)[: len(scores) // factor]
    assert all(at[scores.index(score)] > 1 for score in deserved)
    for i, score in enumerate(scores):
        if at[i] > 1:
            arrived = [s for s in scores[: i + 1] if s > score]
            assert len(arrived) < max(1, len(scores) // factor)


def test_a_trial_goes_on_once_enough_worse_ones_have_come() -> None:
    """From the highest rung first."""
    rungs = Rungs(Halving(2, 3))
    waiting = {0: 2}
    rungs.reach(0, 2, 0.9)
    assert rungs.next_of(waiting) is None
    for trial in (1, 2):
        rungs.reach(trial, 2, 0.5)
        waiting[trial] = 2
    assert rungs.next_of(waiting) == 0
    waiting[0] = 6
    for trial, score in ((0, 0.8), (3, 0.7), (4, 0.6)):
        rungs.reach(trial, 6, score)
    assert rungs.next_of({**waiting, 3: 6}) == 0
    assert rungs.next_of({1: 2}) is None
    assert rungs.next_of({1: 2}, at_least=2) == 1


def test_what_failed_stands_in_nobodys_way() -> None:
    """And what is told twice counts once."""
    rungs = Rungs(Halving(1, 2))
    for _ in range(3):
        rungs.reach(0, 1, 0.9)
    rungs.reach(1, 1, 0.8)
    rungs.reach(1, 3, 0.99)
    assert rungs.best(1) == [0]
    rungs.forget(0)
    rungs.reach(2, 1, 0.1)
    assert rungs.best(1) == [1]
