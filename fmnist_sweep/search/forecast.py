"""A forecast of learning curves: where a trial would come to that was trained for some of its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import special
from scipy.optimize import minimize

from fmnist_sweep.core.curves import FloatArray

MIN_CURVES: Final = 5
"""Curves that a forecast is made from at the least."""

_LOWEST: Final = -4.0
"""Standardised scores are no lower: a training that went astray says nothing about the good ones."""

_START: Final = np.array([0.5, 0.0, 0.0, 0.0, 0.0, 1.0, np.log(0.2)])
"""Mean and log spread of the asymptotes, log height, exponent and offset of the decay, climb, log noise."""


class CurveForecast:
    """Gaussian processes over epochs with an exponentially decaying kernel, the same for all curves.

    A curve is its asymptote, of which all configurations' are alike in distribution, less a climb that dies
    away, plus a deviation with the kernel of freeze-thaw optimisation. Unlike there, no hyperparameter ties
    the asymptotes: the sweep's own sampler proposes.

    Args:
        curves: Scores of some trials' epochs, higher is better; `MIN_CURVES` at the least.
        epochs: Number of epochs of the longest trial.

    Attributes:
        n_curves: How many curves it was made from.

    References:
        Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization", equations 5 and 6.
    """

    def __init__(self, curves: Sequence[Sequence[float]], epochs: int) -> None:
        self.n_curves = len(curves)
        last = np.array([curve[-1] for curve in curves])
        low, self._middle, high = np.quantile(last, [0.25, 0.5, 0.75])
        self._spread = max((high - low) / 1.349, 1e-6)
        groups: dict[int, list[FloatArray]] = {}
        for curve in curves:
            groups.setdefault(len(curve), []).append(self._standardised(curve))
        stacked = [np.array(group) for group in groups.values()]
        found = minimize(_misfit, _START, args=(stacked,), method="L-BFGS-B", options={"maxiter": 50})
        self._moments = _moments(found.x, epochs)
        self._known: dict[tuple[int, int], tuple[FloatArray, float, float]] = {}

    def improvement(self, curve: Sequence[float], epochs: int, best: float) -> float:
        """Return the expected improvement of a trial's last epoch over a score, in standard units.

        Args:
            curve: The trial's scores so far; an empty one is a trial that has not begun.
            epochs: Number of its epochs.
            best: The score.
        """
        mean, spread = self._last(curve, epochs)
        z = (mean - (best - self._middle) / self._spread) / spread
        return float(spread * (z * special.ndtr(z) + np.exp(-z * z / 2) / np.sqrt(2 * np.pi)))

    def last(self, curve: Sequence[float], epochs: int) -> float:
        """Return the score that is expected of a trial's last epoch; arguments as for `improvement`."""
        return float(self._middle + self._spread * self._last(curve, epochs)[0])

    def _standardised(self, curve: Sequence[float]) -> FloatArray:
        scaled = (np.asarray(curve, dtype=float) - self._middle) / self._spread
        return np.asarray(np.maximum(scaled, _LOWEST))

    def _last(self, curve: Sequence[float], epochs: int) -> tuple[float, float]:
        """Return mean and spread of a trial's last epoch, standardised, its noise left out."""
        n, mean = len(curve), self._moments[0]
        weights, last, spread = self._after(n, epochs)
        return float(last + weights @ (self._standardised(curve) - mean[:n])), spread

    def _after(self, n: int, epochs: int) -> tuple[FloatArray, float, float]:
        """Return what ``n`` epochs weigh for the last one, that one's mean, and its spread after them."""
        if (n, epochs) not in self._known:
            mean, covariance, noise = self._moments
            last = epochs - 1
            seen = covariance[:n, :n] + noise * np.eye(n)
            weights = np.asarray(np.linalg.solve(seen, covariance[:n, last]), dtype=float)
            variance = covariance[last, last] - weights @ covariance[:n, last]
            self._known[n, epochs] = weights, float(mean[last]), float(np.sqrt(max(variance, 1e-12)))
        return self._known[n, epochs]


def _moments(parameters: FloatArray, epochs: int) -> tuple[FloatArray, FloatArray, float]:
    """Return mean and covariance of a curve's first epochs, and the variance of their noise."""
    mean, climb = parameters[0], parameters[5]
    spread, height, exponent, offset, noise = np.exp(parameters[[1, 2, 3, 4, 6]])
    times = np.arange(epochs, dtype=float)
    decay = (offset / (times[:, None] + times + offset)) ** exponent
    means = mean - climb * (offset / (times + offset)) ** exponent
    return means, spread**2 + height**2 * decay, float(noise**2)


def _misfit(parameters: FloatArray, groups: Sequence[FloatArray]) -> float:
    """Return what is minimised: less the log likelihood of all curves, less that of the parameters."""
    longest = max(group.shape[1] for group in groups)
    means, covariance, noise = _moments(parameters, longest)
    total = 0.5 * float(((parameters - _START) ** 2).sum())
    for group in groups:
        n_curves, n = group.shape
        try:
            lower = np.linalg.cholesky(covariance[:n, :n] + (noise + 1e-9) * np.eye(n))
        except np.linalg.LinAlgError:
            return 1e12
        scaled = np.linalg.solve(lower, (group - means[:n]).T)
        total += 0.5 * float((scaled**2).sum()) + n_curves * float(np.log(np.diag(lower)).sum())
    return total
