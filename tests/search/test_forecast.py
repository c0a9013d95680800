"""Forecasts of learning curves."""

from __future__ import annotations

import numpy as np
import pytest

from fmnist_sweep.search.forecast import CurveForecast

EPOCHS = 10


def curve(end: float, n: int) -> list[float]:
    return [end - 0.1 / (t + 1) for t in range(n)]


@pytest.fixture(scope="module")
def forecast() -> CurveForecast:
    ends = np.random.default_rng(0).normal(0.85, 0.02, 30)
    return CurveForecast([curve(end, 1 + i % 8) for i, end in enumerate(ends)], EPOCHS)


def test_a_forecast_ranks_curves_by_what_they_have_shown(forecast: CurveForecast) -> None:
    """And leaves a new one between: nothing is known of it but what the others came to."""
    curves = [curve(0.89, 4), [], curve(0.80, 4)]
    good, new, bad = (forecast.improvement(one, EPOCHS, 0.86) for one in curves)
    assert good > new > bad >= 0


def test_the_more_of_a_curve_is_seen_the_nearer_its_forecast(forecast: CurveForecast) -> None:
    """And one that is seen to its end is what it came to, up to its noise."""
    end = curve(0.88, EPOCHS)[-1]
    off = [abs(forecast.last(curve(0.88, n), EPOCHS) - end) for n in (0, 1, 4, 9)]
    assert off == sorted(off, reverse=True)
    assert forecast.last(curve(0.88, EPOCHS), EPOCHS) == pytest.approx(end, abs=0.002)


def test_a_shorter_trial_is_forecast_to_its_own_end(forecast: CurveForecast) -> None:
    """It has less time to climb."""
    shown = curve(0.86, 2)
    assert forecast.last(shown, 4) < forecast.last(shown, EPOCHS)


def test_what_went_astray_tells_nothing_of_the_good_ones() -> None:
    """Curves that collapsed leave the forecast of the others where it was."""
    rng = np.random.default_rng(1)
    curves = [curve(end, 6) for end in rng.normal(0.85, 0.01, 20)]
    lost = [[*curve(0.85, 3), 0.1, 0.1, 0.1] for _ in range(3)]
    one, other = CurveForecast(curves, EPOCHS), CurveForecast([*curves, *lost], EPOCHS)
    shown = curve(0.86, 4)
    assert one.last(shown, EPOCHS) == pytest.approx(other.last(shown, EPOCHS), abs=0.01)


def test_equal_curves_are_no_division_by_nothing() -> None:
    """All scores the same: the next one is as well."""
    flat = CurveForecast([[0.5] * 3] * 6, 5)
    assert flat.last([0.5], 5) == pytest.approx(0.5, abs=1e-3)
    assert np.isfinite(flat.improvement([0.5], 5, 0.5))
