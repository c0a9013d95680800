"""The rule of verdicts, on made-up intervals and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fmnist_sweep.analysis.statistics import Interval, interval
from original_study.verdict import AtLeast, Between, Equal, Rule, Verdict, larger_by, together

HOLDS, FAILS, UNDECIDED = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED
UNMEASURED = Verdict.UNMEASURED

ends = st.floats(-10, 10).map(lambda x: round(x, 3))
rules: st.SearchStrategy[Rule] = st.one_of(
    st.builds(AtLeast, st.floats(0, 3)),
    st.builds(Equal, st.floats(0.01, 3)),
    st.tuples(ends, ends).map(lambda pair: Between(min(pair), max(pair))),
)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """An interval around its mean."""
    mean, half = draw(ends), draw(st.floats(0.001, 5))
    return Interval(mean, mean - half, mean + half, 5)


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (AtLeast(0.5), 0.6, 1.0, HOLDS),
        (AtLeast(0.5), 0.1, 0.9, HOLDS),
        (AtLeast(0.5), 0.1, 0.7, UNDECIDED),
        (AtLeast(0.5), -0.1, 1.9, UNDECIDED),
        (AtLeast(0.5), 0.1, 0.4, FAILS),
        (AtLeast(0.5), -2.0, -1.0, FAILS),
        (AtLeast(), 0.001, 0.2, HOLDS),
        (AtLeast(), -0.2, -0.001, FAILS),
        (AtLeast(), -0.1, 0.2, UNDECIDED),
        (Equal(0.5), -0.4, 0.4, HOLDS),
        (Equal(0.5), 0.1, 0.4, HOLDS),
        (Equal(0.5), -0.4, 0.6, UNDECIDED),
        (Equal(0.5), 0.1, 0.7, UNDECIDED),
        (Equal(0.5), 0.1, 0.9, FAILS),
        (Equal(0.5), -0.9, -0.3, FAILS),
        (Between(1, 2), 1.2, 1.9, HOLDS),
        (Between(1, 2), 0.9, 1.5, UNDECIDED),
        (Between(1, 2), 2.1, 2.5, FAILS),
        (Between(1, 2), 0.1, 0.5, FAILS),
        (Between(1, 2), 0.5, 2.5, UNDECIDED),
    ],
)
def test_made_up_intervals_get_their_verdicts(rule: Rule, low: float, high: float, verdict: Verdict) -> None:
    """Each kind of rule, on either side of its borders."""
    assert rule.verdict(Interval((low + high) / 2, low, high, 5)) is verdict


@pytest.mark.parametrize("rule", [AtLeast(0.5), AtLeast(), Equal(0.5), Between(1, 2)])
def test_one_seed_decides_nothing(rule: Rule) -> None:
    """Without a spread there is no interval, and without an interval no verdict."""
    assert rule.verdict(interval([1.5], n_val=1, n_train=10)) is UNDECIDED


@given(rules, intervals(), st.floats(0.01, 1))
def test_more_seeds_never_turn_a_verdict_round(rule: Rule, wide: Interval, share: float) -> None:
    """A narrower interval around the same mean decides what was open; what was decided is not reversed."""
    half = share * (wide.high - wide.mean)
    narrow = Interval(wide.mean, wide.mean - half, wide.mean + half, 50)
    before, after = rule.verdict(wide), rule.verdict(narrow)
    assert {before, after} != {HOLDS, FAILS}
    assert before is UNDECIDED or after is before


@given(st.floats(0.01, 3), intervals())
def test_a_pair_is_not_both_equal_and_different(margin: float, effect: Interval) -> None:
    """Who does better by an amount that matters does not do equally well, and the other way round."""
    if AtLeast(margin).verdict(effect) is HOLDS:
        assert Equal(margin).verdict(effect) is FAILS
    if Equal(margin).verdict(effect) is HOLDS:
        assert AtLeast(margin).verdict(effect) is FAILS


@given(st.floats(0.01, 3), intervals())
def test_equality_has_no_direction(margin: float, effect: Interval) -> None:
    """Exchanging the two configurations changes nothing."""
    turned = Interval(-effect.mean, -effect.high, -effect.low, effect.n)
    assert Equal(margin).verdict(effect) is Equal(margin).verdict(turned)


@given(st.lists(st.sampled_from(Verdict), min_size=1))
def test_a_claim_is_as_good_as_its_weakest_part(parts: Sequence[Verdict]) -> None:
    """It holds with all parts, falls with one, and is open otherwise, in whatever order they stand."""
    told = together(parts)
    assert (told is HOLDS) == all(part is HOLDS for part in parts)
    assert (told is FAILS) == any(part is FAILS for part in parts)
    assert told is together(parts[::-1])


def test_what_was_not_measured_is_not_called_undecided() -> None:
    """More seeds tell of an undecided part; of one that did not run nothing is known."""
    assert together([HOLDS, UNDECIDED, UNMEASURED]) is UNMEASURED
    assert together([UNMEASURED, FAILS]) is FAILS
    assert together([]) is UNMEASURED


seeds = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=8)


@given(seeds, st.booleans(), st.booleans())
def test_sizes_are_compared_whatever_their_signs(
    pairs: list[tuple[float, float]], turn_a: bool, turn_b: bool
) -> None:
    """Turning the sign of either effect changes nothing, and the mean lies in its interval."""
    a, b = (np.round(np.array(column), 3) for column in zip(*pairs, strict=True))
    found = larger_by(a, b, n_val=1, n_train=10)
    turned = larger_by(-a if turn_a else a, -b if turn_b else b, n_val=1, n_train=10)
    assert found.mean == pytest.approx(abs(a.mean()) - abs(b.mean()), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((turned.low, turned.high), abs=1e-9)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


@given(seeds)
def test_exchanged_sizes_exchange_their_sign(pairs: list[tuple[float, float]]) -> None:
    """What is larger by an amount is the other one's smaller."""
    a, b = (np.round(np.array(column), 3) for column in zip(*pairs, strict=True))
    found, other = larger_by(a, b, n_val=1, n_train=10), larger_by(b, a, n_val=1, n_train=10)
    assert (found.low, found.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_of_equal_sizes_none_is_sure_to_be_larger() -> None:
    """The interval keeps its promise in repetitions: it misses the truth in at most one case in twenty."""
    rng = np.random.default_rng(0)
    n, missed = 400, 0
    for _ in range(n):
        a, b = rng.normal(0.3, 1, 5), rng.normal(-0.3, 1, 5)
        found = larger_by(a, b, n_val=0, n_train=1)
        missed += not found.low <= 0 <= found.high
    assert missed / n <= 0.05


@given(intervals())
def test_a_margin_of_nothing_is_the_sign(effect: Interval) -> None:
    """For a claim that names its own limit the side of the limit decides."""
    assume(not math.isclose(effect.low, 0, abs_tol=1e-12))
    assert (AtLeast().verdict(effect) is HOLDS) == (effect.sign > 0)
