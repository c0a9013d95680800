"""Intervals of means over repeats on reshuffled splits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.analysis.statistics import interval, paired_difference, pooled_differences

SPLIT = {"n_val": 5000, "n_train": 55_000}
SCORES = st.lists(st.integers(0, 1_000_000).map(lambda n: n / 1e6), min_size=2, max_size=12)


def test_the_interval_is_the_one_worked_out_by_hand() -> None:
    """Five scores, step by step as the paper has it; Student's 97.5 % point for 4 degrees is 2.776445."""
    scores = [0.88, 0.90, 0.89, 0.91, 0.87]
    # Their mean is 0.89, their squared deviations add up to 0.001, over 4 that is 0.00025.
    half = 2.776445 * math.sqrt(0.00025 * (1 / 5 + 5000 / 55_000))
    found = interval(scores, **SPLIT)
    assert found.n == 5
    assert found.mean == pytest.approx(0.89)
    assert (found.low, found.high) == pytest.approx((0.89 - half, 0.89 + half), abs=1e-8)
    assert half == pytest.approx(0.0236776, abs=1e-6)


def test_a_difference_is_that_of_each_pair() -> None:
    """What both share, an easy or a hard split, is no part of the spread."""
    shared = np.array([0.0, 0.02, -0.03, 0.01])
    found = paired_difference(0.90 + shared + [0.0, 0.001, 0.0, 0.001], 0.89 + shared, **SPLIT)
    half = 3.182446 * math.sqrt(1e-6 / 3 * (1 / 4 + 1 / 11))
    assert (found.mean, found.low, found.high) == pytest.approx(
        (0.0105, 0.0105 - half, 0.0105 + half), abs=1e-8
    )
    assert found.sign == 1


def test_equal_differences_leave_no_spread_and_equal_scores_are_tied() -> None:
    """Rounding errors of a subtraction never make a sure difference of none."""
    a = [0.1, 0.7, 0.3]
    apart = paired_difference([x + 0.2 for x in a], [x + 0.1 for x in a], **SPLIT)
    assert (apart.low, apart.high) == pytest.approx((0.1, 0.1), abs=1e-12)
    assert paired_difference([x + 0.2 - 0.2 for x in a], a, **SPLIT).sign == 0


def test_one_value_has_a_mean_and_no_interval() -> None:
    """Its spread is unknown, so nothing is decided."""
    found = interval([0.5], **SPLIT)
    assert found.mean == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.sign == 0


@pytest.mark.parametrize("wrong", [[], [0.5, math.nan], [[0.5], [0.6]]])
def test_what_is_no_list_of_numbers_is_refused(wrong: list[float]) -> None:
    """An interval of nothing, or of NaN, would look like a result."""
    with pytest.raises(ValueError, match="at least one value"):
        interval(wrong, **SPLIT)


def test_pairs_come_in_equal_numbers() -> None:
    """Repeats that only one has can't be compared."""
    with pytest.raises(ValueError, match="equal numbers"):
        paired_difference([0.5, 0.6], [0.5], **SPLIT)


@given(SCORES, st.floats(-1, 1))
def test_adding_a_constant_moves_the_interval_and_keeps_its_width(scores: list[float], shift: float) -> None:
    """A change of the zero point is no change of the spread."""
    before, after = interval(scores, **SPLIT), interval(np.array(scores) + shift, **SPLIT)
    assert after.mean == pytest.approx(before.mean + shift, abs=1e-9)
    assert after.high - after.low == pytest.approx(before.high - before.low, abs=1e-6)


@given(SCORES, st.randoms())
def test_exchanging_the_two_turns_the_difference_round(scores: list[float], random: object) -> None:
    """What one has over the other is what the other lacks, ends included, and is judged alike."""
    others = list(scores)
    random.shuffle(others)  # type: ignore[attr-defined]
    there, back = paired_difference(scores, others, **SPLIT), paired_difference(others, scores, **SPLIT)
    assert (back.mean, back.low, back.high) == pytest.approx(
        (-there.mean, -there.high, -there.low), abs=1e-12
    )
    assert back.sign == -there.sign


@given(SCORES, SCORES, st.floats(-1, 1))
def test_a_constant_on_both_leaves_the_difference_alone(a: list[float], b: list[float], shift: float) -> None:
    """Only what differs counts."""
    n = min(len(a), len(b))
    first, second = np.array(a[:n]), np.array(b[:n])
    before = paired_difference(first, second, **SPLIT)
    after = paired_difference(first + shift, second + shift, **SPLIT)
    assert (after.mean, after.low, after.high) == pytest.approx(
        (before.mean, before.low, before.high), abs=1e-6
    )


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 4000 simulated confirmations about 95 % do; without the correction far fewer would.

    Two repeats share training images, so their scores are correlated: by n_val / (n_val + n_train), which is
    what the correction takes for granted. A third of the images validate here, so that it matters.
    """
    rng, n_runs, n_repeats = np.random.default_rng(0), 4000, 5
    split = {"n_val": 20_000, "n_train": 40_000}
    shared = rng.normal(size=(n_runs, 1)) * math.sqrt(1 / 3)
    values = 0.9 + 0.01 * (shared + rng.normal(size=(n_runs, n_repeats)) * math.sqrt(2 / 3))
    corrected = [interval(row, **split) for row in values]
    plain = [interval(row, n_val=0, n_train=1) for row in values]
    share = np.mean([i.low <= 0.9 <= i.high for i in corrected])
    # Four standard errors of a share of 95 % among 4000.
    assert share == pytest.approx(0.95, abs=0.014)
    assert np.mean([i.low <= 0.9 <= i.high for i in plain]) < 0.85


def test_pooled_differences_of_one_are_the_paired_difference() -> None:
    """With nothing to pool and nothing to correct for, the two are the same interval."""
    a, b = [0.91, 0.89, 0.92, 0.90], [0.90, 0.885, 0.91, 0.89]
    (pooled,) = pooled_differences([a], b, **SPLIT)
    paired = paired_difference(a, b, **SPLIT)
    assert (pooled.interval.low, pooled.interval.mean, pooled.interval.high) == pytest.approx(
        (paired.low, paired.mean, paired.high)
    )


def test_pooled_differences_are_those_worked_out_by_hand() -> None:
    """Two compared ones, three repeats; Student's points for 4 degrees of freedom."""
    a, b = np.array([[0.03, 0.05, 0.04], [0.02, 0.01, 0.03]]), np.array([0.01, 0.02, 0.00])
    rows = np.vstack([b, a])
    stray = rows - rows.mean(1, keepdims=True) - rows.mean(0) + rows.mean()
    error = math.sqrt(2 * (stray**2).sum() / 4 * (1 / 3 + 1 / 11))
    first, second = pooled_differences(a, b, **SPLIT)
    assert (first.interval.mean, second.interval.mean) == pytest.approx((0.03, 0.01))
    assert first.interval.low == pytest.approx(0.03 - 3.495406 * error, abs=1e-8)
    assert first.interval.high == pytest.approx(0.03 + 2.776445 * error, abs=1e-8)
    assert 0.5 < second.chance < first.chance < 1


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([[0.1]], [0.1, 0.2]), ([0.1], [0.1]), ([[math.nan]], [0.1]), ([[]], [])]
)
def test_what_does_not_pair_is_refused(a: list[list[float]], b: list[float]) -> None:
    """As for a single difference."""
    with pytest.raises(ValueError, match=r"paired values|differences need"):
        pooled_differences(a, b, **SPLIT)
