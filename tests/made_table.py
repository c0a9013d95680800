"""A table of learning curves that nobody trained."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.curves import Row, Table
from benchmarks.workload import draw
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.jobs import Scalar

EPOCHS = 6


def made_curve(point: dict[str, Scalar], rng: np.random.Generator) -> LearningCurve:
    """Best at a learning rate of 1e-3; a second an epoch."""
    peak = 0.9 - 0.02 * abs(math.log10(float(point["learning_rate"])) + 3) + rng.normal(scale=1e-4)
    val = [round(peak - 0.1 * math.exp(-e), 4) for e in range(EPOCHS)]
    return LearningCurve(tuple(EpochScores.of_classes(e, v, 1 - v, v, 1 - v, 1.0) for e, v in enumerate(val)))


def made_table(model: str, n: int = 60) -> Table:
    """Return a recorded table of a model, of random configurations with `made_curve`."""
    rng = np.random.default_rng(0)
    rows = [Row(i, point, 0.5, 1000, made_curve(point, rng)) for i, point in enumerate(draw(model, n))]
    return Table({"model": model, "epochs": EPOCHS}, tuple(rows), 0)
