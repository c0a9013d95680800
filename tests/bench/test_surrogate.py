"""The processes that stand in for trainings, on curves written by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the surrogate needs the extra bench")
from sklearn.gaussian_process import GaussianProcessRegressor

from benchmarks.surrogate import CurveSurrogate, _fit, _without_itself

N = 40


@pytest.fixture
def features() -> np.ndarray:
    """Three, of which the first alone decides the curve."""
    return np.random.default_rng(0).random((N, 3))


@pytest.fixture
def curves(features: np.ndarray) -> np.ndarray:
    """Rise to a height that the first feature sets."""
    noise = np.random.default_rng(1).normal(scale=1e-3, size=(N, 5))
    return np.asarray(features[:, :1] * (1 - np.exp(-np.arange(1, 6)))[None, :] + noise)


def test_leaving_one_out_equals_a_fit_without_it(features: np.ndarray, curves: np.ndarray) -> None:
    """The closed form against the plain way, with the same kernel."""
    heights = (curves[:, -1] - curves[:, -1].mean()) / curves[:, -1].std()
    process = _fit(features, heights)
    without = _without_itself(process)
    for i in (0, 7, N - 1):
        others = np.arange(N) != i
        again = GaussianProcessRegressor(process.kernel_, optimizer=None)
        again.fit(features[others], heights[others])
        assert without[i] == pytest.approx(again.predict(features[[i]])[0], abs=1e-6)


def test_curves_that_it_was_not_shown_are_close(features: np.ndarray, curves: np.ndarray) -> None:
    """Within a few times the noise."""
    surrogate = CurveSurrogate(features[:30], curves[:30])
    assert np.abs(surrogate.predict(features[30:]) - curves[30:]).mean() < 5e-3


@pytest.mark.slow
def test_what_does_not_matter_makes_no_neighbours(features: np.ndarray, curves: np.ndarray) -> None:
    """The nearest rows are near in the feature that decides."""
    surrogate = CurveSurrogate(features, curves)
    near = surrogate.nearest(features, 3)
    assert [row[0] for row in near] == list(range(N))
    apart = np.abs(features[near, 0] - features[:, :1]).mean()
    assert apart < 0.05
