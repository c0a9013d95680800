"""A plain training loop for the dense net on a few hundred rows, in NumPy.

There Keras spends most of a training on tracing. Layers, initial weights, loss and optimizer are those of
`fmnist_sweep.models.DenseModel` without batch normalisation and dropout; with equal weights and batches, both
take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from benchmarks.evidence.measuring import Measuring
from benchmarks.evidence.problems import Arrays, Problem
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.models.spaces import DENSE_DEFAULTS

Matrix: TypeAlias = npt.NDArray[np.float32]

_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-7
_SLOPE: Final = 0.2


def _gelu_slope(z: Matrix) -> Matrix:
    slope: Matrix = (1 + erf(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return slope


ACTIVATIONS: Final[dict[str, tuple[Callable[[Matrix], Matrix], Callable[[Matrix], Matrix]]]] = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(np.float32)),
    "leaky_relu": (lambda z: np.where(z > 0, z, _SLOPE * z), lambda z: np.where(z > 0, 1, _SLOPE)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "gelu": (lambda z: z * (1 + erf(z / np.sqrt(2))) / 2, _gelu_slope),
}
"""Keras's activations and their derivatives."""


class PlainNet:
    """A dense net with Keras's initial weights: probabilities of classes, or one linear output.

    Args:
        sizes: Width of the inputs, of each hidden layer, and of the output.
        point: Its configuration: activation, learning rate, l2.
        seed: Of the initial weights.
        is_regression: Whether the output is linear and fitted by least squares.
    """

    def __init__(
        self, sizes: tuple[int, ...], point: Mapping[str, Scalar], *, seed: int, is_regression: bool
    ) -> None:
        rng = np.random.default_rng((seed, 1))
        self.weights: list[Matrix] = []
        for fan_in, fan_out in pairwise(sizes):
            limit = np.sqrt(6 / (fan_in + fan_out))
            kernel = rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)
            self.weights += [kernel, np.zeros(fan_out, np.float32)]
        self._activate, self._slope = ACTIVATIONS[str(point["activation"])]
        self._rate, self._l2 = float(point["learning_rate"]), np.float32(point["l2"])
        self._is_regression = is_regression
        self._moments = [[np.zeros_like(w) for w in self.weights] for _ in _BETAS]
        self._n_steps = 0

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return sum(weights.size for weights in self.weights)

    def predict(self, x: Matrix) -> Matrix:
        """Return probabilities ``(n, n_classes)``, or predictions ``(n, 1)``."""
        return self._forward(x)[-1]

    def step(self, x: Matrix, y: npt.NDArray[Any]) -> None:
        """Take one step of Adam on a batch."""
        self._n_steps += 1
        first, second = _BETAS
        rate = self._rate * np.sqrt(1 - second**self._n_steps) / (1 - first**self._n_steps)
        for i, gradient in self._gradients(x, y):
            mean, square = (moments[i] for moments in self._moments)
            mean += (1 - first) * (gradient - mean)
            square += (1 - second) * (gradient**2 - square)
            self.weights[i] -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(_EPSILON))

    def _forward(self, x: Matrix) -> list[Matrix]:
        """Return the input of each layer's activation, between the inputs and the outputs."""
        told = [x]
        for i in range(0, len(self.weights), 2):
            inputs = told[-1] if i == 0 else self._activate(told[-1])
            told.append(inputs @ self.weights[i] + self.weights[i + 1])
        if self._is_regression:
            return told
        powers = np.exp(told[-1] - told[-1].max(axis=1, keepdims=True))
        return [*told[:-1], powers / powers.sum(axis=1, keepdims=True)]

    def _gradients(self, x: Matrix, y: npt.NDArray[Any]) -> Iterator[tuple[int, Matrix]]:
        """Yield the number and the gradient of each array of weights, all from those before the step."""
        *told, outputs = self._forward(x)
        if self._is_regression:
            delta = 2 * (outputs - y[:, None]) / len(y)
        else:
            delta = outputs.copy()
            delta[np.arange(len(y)), y] -= 1
            delta /= len(y)
        found = []
        for i in range(len(self.weights) - 2, -1, -2):
            before = told[i // 2]
            inputs = before if i == 0 else self._activate(before)
            found.append((i, inputs.T @ delta + 2 * self._l2 * self.weights[i]))
            found.append((i + 1, delta.sum(axis=0)))
            if i:
                delta = (delta @ self.weights[i].T) * self._slope(before)
        yield from ((i, gradient.astype(np.float32)) for i, gradient in found)


def train_plainly(
    problem: Problem, point: Mapping[str, Scalar], arrays: Arrays, *, seed: int
) -> tuple[int, dict[str, list[float]]]:
    """Train one configuration.

    Returns:
        The number of weights, and what was measured: a list over epochs by name.
    """
    point = {**DENSE_DEFAULTS, **point}
    x, y = arrays.train
    x = x.reshape(len(x), -1)
    is_regression = problem.metric == "mae"
    hidden = (int(point[f"units_{i + 1}"]) for i in range(int(point["depth"])))
    sizes = (x.shape[1], *hidden, 1 if is_regression else int(y.max()) + 1)
    net = PlainNet(sizes, point, seed=seed, is_regression=is_regression)
    measuring, batch_size = Measuring(problem, arrays), int(point["batch_size"])
    inputs = measuring.inputs.reshape(len(measuring.inputs), -1)
    for epoch in range(problem.epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(y))
        for start in range(0, len(y), batch_size):
            batch = order[start : start + batch_size]
            net.step(x[batch], y[batch])
        measuring.measure(lambda: net.predict(inputs))
    return net.n_weights, measuring.curve
