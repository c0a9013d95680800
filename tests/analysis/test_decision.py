"""The rule that decides what a confirmation hands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from fmnist_sweep.analysis.decision import Decision, DecisionRule, decide, picked

RULE = DecisionRule()
BASELINE = [0.890, 0.892, 0.888, 0.891, 0.889]


def decided(
    scores: Mapping[str, Sequence[float]], baseline: Sequence[float] | None, rule: DecisionRule = RULE
) -> Decision:
    """Decide on splits of 5,000 validation images of 60,000."""
    return decide(scores, baseline, rule, n_val=5000, n_train=55_000)


def above(by: float, wobble: float = 0.0) -> list[float]:
    """Return scores that lie above the baseline's, each second one a little more and each other less."""
    return [b + by + (wobble if i % 2 else -wobble) for i, b in enumerate(BASELINE)]


def test_the_best_mean_wins_where_it_is_surely_better() -> None:
    """Its claim is that the whole interval lies above 0."""
    found = decided({"a": above(0.004, 0.0005), "b": above(0.010, 0.0005)}, BASELINE)
    assert (found.pick, found.winner, found.shown) == ("b", "b", "better")
    assert found.difference is not None
    assert found.difference.interval.low > 0


def test_the_baseline_stays_unless_the_chance_is_high_enough() -> None:
    """The difference is told all the same; who asks for less gets the pick, as probably better."""
    scores = {"a": above(0.001, 0.003)}
    kept = decided(scores, BASELINE)
    assert (kept.pick, kept.winner, kept.shown) == ("a", "baseline", "nothing")
    assert kept.difference is not None
    assert 0.5 < kept.difference.chance < 0.8
    daring = decided(scores, BASELINE, DecisionRule(sure=0.5))
    assert (daring.winner, daring.shown) == ("a", "probably better")


def test_equals_leave_the_baseline_where_it_is() -> None:
    """Nothing beats it, and no division by a spread of 0 goes wrong."""
    found = decided({"a": BASELINE}, BASELINE, DecisionRule(sure=0.5))
    assert (found.winner, found.shown) == ("baseline", "nothing")


def test_one_repeat_decides_nothing() -> None:
    """Its spread is unknown."""
    found = decided({"a": [0.95]}, [0.80])
    assert (found.winner, found.shown) == ("baseline", "nothing")


def test_without_a_baseline_the_pick_wins_and_nothing_is_claimed() -> None:
    """One of too many weights, or that failed; and without candidates the baseline is all there is."""
    found = decided({"a": [0.8, 0.9]}, None)
    assert (found.winner, found.difference, found.shown) == ("a", None, "nothing")
    assert decided({}, BASELINE).winner == "baseline"
    with pytest.raises(ValueError, match="nothing to decide"):
        decided({}, None)


def test_the_smallest_is_picked_where_that_was_asked_for_and_costs_little() -> None:
    """Within the given distance of the best mean in the shown unit, its end included; no further."""
    sizes = {"large": 200_000.0, "small": 50_000.0, "tiny": 1_000.0}
    means = {"large": 0.902, "small": 0.901, "tiny": 0.89}
    assert picked(means, sizes, DecisionRule(), factor=100) == "large"
    assert picked(means, sizes, DecisionRule(prefer="smallest"), factor=100) == "small"
    assert picked(means, sizes, DecisionRule(prefer="smallest", within=0.05), factor=100) == "large"
    # In nats the same distance is another one.
    assert picked(means, sizes, DecisionRule(prefer="smallest"), factor=1) == "tiny"


def test_the_interval_of_a_pick_holds_although_it_was_picked() -> None:
    """Of four equals the best mean is compared: the interval of one pair by itself holds too seldom."""
    generator, n = np.random.default_rng(0), 600
    held = {True: 0, False: 0}
    for _ in range(n):
        rows = generator.normal(0, 0.003, (5, 5))
        scores = {str(i): row for i, row in enumerate(rows[1:])}
        # Without the correction of the shared images, which there are none of: it would hide the picking.
        found = decide(scores, rows[0], RULE, n_val=0, n_train=1)
        own = {str(found.pick): scores[str(found.pick)]}
        alone = decide(own, rows[0], RULE, n_val=0, n_train=1)
        for corrected, decision in ((True, found), (False, alone)):
            assert decision.difference is not None
            i = decision.difference.interval
            held[corrected] += i.low <= 0 <= i.high
    assert 0.95 <= held[True] / n < 0.995
    assert held[True] - held[False] > 0.02 * n
