"""The simulation of the rules that decide a confirmation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import decision_rules as simulation
from benchmarks.decision_rules import N_TRAIN, N_VAL, Scenario, compared, pick, smallest_tied
from fmnist_sweep.analysis.decision import DecisionRule, decide
from fmnist_sweep.analysis.statistics import paired_difference

SCENARIO = Scenario(0.7, 0.4, 0.75, 30)


@pytest.fixture
def repeats() -> tuple[np.ndarray, np.ndarray]:
    """Return scores of a few sweeps' candidates, the baseline's first, and the sizes."""
    sweeps = simulation.simulated(replace(SCENARIO, percentile=0.95), 30, 0)
    columns = sweeps.best(4)
    return sweeps.repeats(columns, 5), np.take_along_axis(sweeps.size, columns, axis=1)


@pytest.mark.parametrize("rule", [DecisionRule(), DecisionRule(prefer="smallest", sure=0.6)])
def test_the_simulated_rule_is_the_one_that_confirm_uses(
    repeats: tuple[np.ndarray, np.ndarray], rule: DecisionRule
) -> None:
    """Sweep by sweep: the same pick, the same interval, the same winner."""
    scores, sizes = repeats
    places = pick(scores, sizes, rule)
    low, high, surer = compared(scores, places, rule.sure)
    assert 0 < surer.sum() < len(surer)
    for i, rows in enumerate(scores):
        candidates = {str(k): row for k, row in enumerate(rows) if k}
        known = {str(k): 10 ** sizes[i, k] for k in range(1, 5)}
        found = decide(candidates, rows[0], rule, sizes=known, n_val=N_VAL, n_train=N_TRAIN)
        assert found.pick == str(places[i])
        assert (found.winner != "baseline") == surer[i]
        assert found.difference is not None
        interval = found.difference.interval
        assert (interval.low, interval.high) == pytest.approx((low[i], high[i]))


def test_the_simulated_rule_of_before_is_the_one_that_old_confirmations_keep(
    repeats: tuple[np.ndarray, np.ndarray],
) -> None:
    """The smallest of those whose paired difference to the best mean has 0 in its interval."""
    scores, sizes = repeats
    for rows, own, place in zip(scores, sizes, smallest_tied(scores, sizes), strict=True):
        best = rows[rows.mean(axis=1).argmax()]
        tied = [
            k
            for k, r in enumerate(rows)
            if paired_difference(best, r, n_val=N_VAL, n_train=N_TRAIN).sign == 0
        ]
        limit = min(10 ** own[k] for k in tied) * 1.1
        assert place == max((k for k in tied if 10 ** own[k] <= limit), key=lambda k: rows[k].mean())


def test_the_grid_is_the_whole_one_and_its_tables_are_written() -> None:
    """54 scenarios; a row for each rule, and for each spread and noise."""
    assert len(simulation.scenarios()) == 54
    found = simulation.measure(4)
    assert simulation.summary(found).count("\n") == 1 + len(simulation.RULES)
    assert simulation.by_noise(found).count("\n") == 10


def test_without_noise_nothing_is_lost() -> None:
    """Regret is measured against the best that was drawn, and an equal is not worse."""
    quiet = replace(SCENARIO, noise=1e-9)
    sweeps = simulation.simulated(quiet, 50, 0)
    found = simulation.outcome(sweeps, simulation.decided()(sweeps))
    assert (found.regret, found.worse) == pytest.approx((0, 0), abs=1e-6)


def test_the_rule_keeps_what_its_documentation_says() -> None:
    """Over the grid: under half the regret of before, seldom worse than the baseline, claims that hold."""
    found = simulation.measure(150)
    now, before = ([o for _, o in found[name]] for name in (simulation.NOW, simulation.BEFORE))
    assert np.mean([o.regret for o in now]) < 0.5 * np.mean([o.regret for o in before])
    assert np.mean([o.worse for o in now]) < 0.05
    assert np.mean([o.covered for o in now]) > 0.95
