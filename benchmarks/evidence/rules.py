"""The rules that are compared: each chooses one configuration and epoch out of the trials of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.curves import Draw, FloatArray

Sweeps: TypeAlias = npt.NDArray[np.int64]
"""Which configurations each replayed sweep tried: ``(n_sweeps, n_trials)``."""

Choices: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Configuration and epoch that each sweep ends with: two arrays ``(n_sweeps,)``."""

Rule: TypeAlias = Callable[[Draw, Sweeps, np.random.Generator], Choices]

PENALTIES: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
ERRORS: Final = (0.25, 0.5, 1.0)
PATIENCE: Final = 5
THRESHOLD: Final = 0.02
NOISE: Final = 0.005
PLAIN: Final = "plain"
PENALTY_1: Final = "penalty 1, tolerance 0.01"
CROSS_ENTROPY: Final = "cross-entropy"

TOLERANCES: Final[dict[str, Callable[[Draw], FloatArray | float]]] = {
    "tolerance 0.01": lambda _: 0.01,
    "tolerance 0.1": lambda _: 0.1,
    "the default's gap": lambda draw: draw.default_gap,
    "the gap's noise": lambda draw: draw.gap_noise,
}


def hinge(draw: Draw, penalty: float, tolerance: FloatArray | float) -> FloatArray:
    """Return today's score of each configuration and epoch."""
    return draw.value("val") - penalty * np.maximum(0.0, draw.gap - tolerance)


def loss_score(draw: Draw) -> FloatArray:
    """Return minus the validation loss."""
    return -draw.measured[f"val_{draw.loss_name}"]


def best(score: FloatArray, sweeps: Sweeps) -> Choices:
    """Take the best score; the first of equal epochs, as a sweep does."""
    epochs, tops = score.argmax(axis=1), score.max(axis=1)
    chosen = sweeps[np.arange(len(sweeps)), tops[sweeps].argmax(axis=1)]
    return chosen, epochs[chosen]


def within(draw: Draw, sweeps: Sweeps, n_errors: float, wanted: FloatArray) -> Choices:
    """Among what is within the noise of the best validation metric, take the least of something.

    Args:
        draw: The curves.
        sweeps: Which configurations each sweep tried.
        n_errors: How many standard errors of the best one's metric count as noise.
        wanted: What is to be small, ``(n_configurations, n_epochs)``; ties go to the better metric.
    """
    n, n_epochs = len(sweeps), draw.gap.shape[1]
    value = draw.value("val")[sweeps].reshape(n, -1)
    top = value.argmax(axis=1)
    error = draw.standard_error("val")[sweeps].reshape(n, -1)[np.arange(n), top]
    near = value >= (value[np.arange(n), top] - n_errors * error)[:, None]
    least = np.where(near, wanted[sweeps].reshape(n, -1), np.inf)
    tied = least == least.min(axis=1)[:, None]
    flat = np.where(tied, value, -np.inf).argmax(axis=1)
    return sweeps[np.arange(n), flat // n_epochs], flat % n_epochs


def stopped(score: FloatArray) -> FloatArray:
    """Return a score as early stopping leaves it: `PATIENCE` epochs without a better one end a trial."""
    ended = score.copy()
    for row in ended:
        top, waited = -np.inf, 0
        for epoch, value in enumerate(row):
            top, waited = (value, 0) if value > top else (top, waited + 1)
            if waited >= PATIENCE:
                row[epoch + 1 :] = -np.inf
                break
    return ended


def thresholdout(draw: Draw, sweeps: Sweeps, rng: np.random.Generator) -> Choices:
    """Answer each question about validation through noise, and with the train metric where the two agree.

    References:
        Dwork et al. (2015), "The reusable holdout", Science 349.
    """
    n, n_epochs = len(sweeps), draw.gap.shape[1]
    train, val = draw.value("train")[sweeps].reshape(n, -1), draw.value("val")[sweeps].reshape(n, -1)
    threshold = THRESHOLD + rng.laplace(0, 2 * NOISE, (n, 1))
    differ = np.abs(train - val) > threshold + rng.laplace(0, 4 * NOISE, val.shape)
    flat = np.where(differ, val + rng.laplace(0, NOISE, val.shape), train).argmax(axis=1)
    return sweeps[np.arange(n), flat // n_epochs], flat % n_epochs


def _hinge_rule(penalty: float, tolerance: str) -> Rule:
    return lambda draw, sweeps, _: best(hinge(draw, penalty, TOLERANCES[tolerance](draw)), sweeps)


def _within_rule(n_errors: float, wanted: Callable[[Draw], FloatArray]) -> Rule:
    return lambda draw, sweeps, _: within(draw, sweeps, n_errors, wanted(draw))


def _stop_rule(score: Callable[[Draw], FloatArray]) -> Rule:
    return lambda draw, sweeps, _: best(stopped(score(draw)), sweeps)


WANTED: Final[dict[str, Callable[[Draw], FloatArray]]] = {
    "gap": lambda draw: draw.gap,
    "cross-entropy": lambda draw: -loss_score(draw),
    "weights": lambda draw: np.broadcast_to(draw.n_weights[:, None], draw.gap.shape).astype(np.float64),
}

RULES: Final[dict[str, Rule]] = {
    PLAIN: lambda draw, sweeps, _: best(draw.value("val"), sweeps),
    **{f"penalty {p:g}, {t}": _hinge_rule(p, t) for t in TOLERANCES for p in PENALTIES},
    CROSS_ENTROPY: lambda draw, sweeps, _: best(loss_score(draw), sweeps),
    **{
        f"smallest {name} within {k:g} errors": _within_rule(k, wanted)
        for name, wanted in WANTED.items()
        for k in ERRORS
    },
    "early stopping by the metric": _stop_rule(lambda draw: draw.value("val")),
    "early stopping by penalty 1": _stop_rule(lambda draw: hinge(draw, 1.0, 0.01)),
    "early stopping by cross-entropy": _stop_rule(loss_score),
    "thresholdout": thresholdout,
}
"""By the name that the tables have."""
