"""Gaussian processes over learning curves: what a configuration that nobody trained would have shown."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from fmnist_sweep.core.curves import FloatArray

N_COMPONENTS: Final = 8
_LENGTHS: Final = (1e-2, 1e3)
_LOWEST_SPREAD: Final = 1e-9


class CurveSurrogate:
    """One process for each principal component of the curves, a length scale for each feature.

    Args:
        features: Shape ``(n, n_features)``, each from 0 to 1.
        curves: Shape ``(n, n_values)``.
        n_components: Of the curves, at most.

    Attributes:
        residuals: Shape ``(n, n_values)``: each curve less what the others make of it, the length scales
            being those of all.

    References:
        Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning", section 5.4.2, for the
        prediction of each from the others without a fit of its own.
    """

    def __init__(self, features: FloatArray, curves: FloatArray, *, n_components: int = N_COMPONENTS) -> None:
        self._mean = curves.mean(axis=0)
        self._spread = np.maximum(curves.std(axis=0), _LOWEST_SPREAD)
        standardised = (curves - self._mean) / self._spread
        self._components = PCA(min(n_components, *curves.shape), random_state=0).fit(standardised)
        heights = self._components.transform(standardised)
        self._scale = np.maximum(heights.std(axis=0), _LOWEST_SPREAD)
        self._features = features
        self._processes = [_fit(features, height) for height in (heights / self._scale).T]
        left_out = np.array([_without_itself(process) for process in self._processes]).T
        self.residuals: FloatArray = curves - self._back(left_out)

    def predict(self, features: FloatArray) -> FloatArray:
        """Return the expected curves, shape ``(n, n_values)``."""
        return self._back(np.array([process.predict(features) for process in self._processes]).T)

    def nearest(self, features: FloatArray, n: int) -> np.ndarray:
        """Return the indices of the ``n`` rows that are most like each configuration, shape ``(len, n)``.

        Likeness is what the process of the first component makes of it, so that parameters that don't
        matter don't count.
        """
        kernel = self._processes[0].kernel_.k1
        return np.argsort(-kernel(features, self._features), axis=1, kind="stable")[:, :n]

    def _back(self, heights: FloatArray) -> FloatArray:
        return np.asarray(
            self._components.inverse_transform(heights * self._scale) * self._spread + self._mean
        )


def _fit(features: FloatArray, height: FloatArray) -> GaussianProcessRegressor:
    kernel = ConstantKernel() * Matern(np.ones(features.shape[1]), _LENGTHS, nu=2.5) + WhiteKernel()
    with warnings.catch_warnings():
        # A length scale at its bound is a parameter that doesn't matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel).fit(features, height)


def _without_itself(process: GaussianProcessRegressor) -> FloatArray:
    """Return what the process would predict for each of its points if it had not seen it."""
    inverse = np.linalg.inv(process.L_ @ process.L_.T)
    return np.asarray(process.y_train_ - process.alpha_ / np.diag(inverse))
