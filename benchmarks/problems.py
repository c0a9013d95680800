"""A search problem made from a recorded table: any configuration has a curve, and its epochs have seconds.

Why a model of the table and not the table itself: methods that propose points of a continuous space would
have to be bent to its rows, each in its own way, and the nearest row in fourteen dimensions is decided by the
parameters that don't matter. So curves come from Gaussian processes over the table, which find those that do;
surrogate benchmarks of the field are made so (NAS-Bench-301, YAHPO Gym). What they can't explain, seed noise
included, is put back: a configuration keeps the residual curve of one of its neighbours, drawn by the race's
seed. So the landscape is as rugged as the real one, and the same for all.

References:
    Zela et al. (2022), "Surrogate NAS Benchmarks"; Pfisterer et al. (2022), "YAHPO Gym".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import spearmanr
from typing_extensions import override

from benchmarks.curves import Table, read_table
from benchmarks.record import CURVES
from benchmarks.surrogate import CurveSurrogate
from benchmarks.workload import fixed_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import METRICS, FloatArray, LearningCurve
from fmnist_sweep.core.jobs import Scalar, TrialJob
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.space import FloatParameter, IntParameter, SearchSpace

TARGET_QUANTILE: Final = 0.9
_N_FOR_TARGET: Final = 1000
_N_NEIGHBOURS: Final = 10
_LOWEST_CROSS_ENTROPY: Final = 1e-4


class Problem:
    """Curves, seconds and the score to reach.

    Args:
        table: What was recorded.
        quantile: The score to reach is that of random configurations' scores.

    Attributes:
        name: The model's.
        space: What is searched, epochs left out: a trial runs up to all of them.
        defaults: The model's default configuration, where it lies in the space.
        rule: How a curve is scored.
        start_s: Seconds of a trial before its first epoch, the table's median.
    """

    def __init__(self, table: Table, *, quantile: float = TARGET_QUANTILE) -> None:
        self._begin(table, quantile)
        self._features = np.array([self._encode(row.point) for row in table.rows])
        curves = np.array([_flat(row.curve) for row in table.rows])
        self._surrogate = CurveSurrogate(self._features, curves)
        self._left_out = curves - self._surrogate.residuals
        self._cached: dict[tuple[str, int], LearningCurve] = {}

    def _begin(self, table: Table, quantile: float) -> None:
        self.table = table
        self.quantile = quantile
        self.name = str(table.header["model"])
        self.space: SearchSpace = self.config().sampled_space
        self.defaults = self.config().model_space.defaults
        self.rule: ScoreRule = self.config().score_rule
        self.start_s = float(np.median([row.start_s for row in table.rows]))

    @property
    def epochs(self) -> int:
        """Number of epochs of a whole trial."""
        return self.table.epochs

    @property
    def digest(self) -> str:
        """What makes two races comparable."""
        return self.table.digest

    def config(self, **sections: dict[str, Any]) -> SweepConfig:
        """Return the sweep of this problem, some settings replaced."""
        given = {"space": {"epochs": {"low": 1, "high": self.epochs, "type": "int"}}, **sections}
        return fixed_config(self.name, **given)

    def curve(self, point: dict[str, Scalar], seed: int) -> LearningCurve:
        """Return the whole curve of a configuration; equal arguments give equal curves."""
        key = json.dumps(point, sort_keys=True), seed
        if key not in self._cached:
            self._cached[key] = self._curves([point], seed)[0]
        return self._cached[key]

    def of_job(self, seed: int) -> Any:
        """Return the function that gives an engine the curve of a job."""
        return lambda job: self.curve(_point(job), seed)

    def best_scores(self, points: Sequence[dict[str, Scalar]], seed: int) -> FloatArray:
        """Return the score of each configuration: its best epoch."""
        return np.array([float(self.rule.scores(curve).max()) for curve in self._curves(points, seed)])

    @cached_property
    def target(self) -> float:
        """The score that a share of ``1 - quantile`` of all random configurations reaches."""
        return self.reached_by(1 - self.quantile)

    def reached_by(self, share: float) -> float:
        """Return the score that a share of all random configurations reaches."""
        rng = np.random.default_rng(12_345)
        scores = self.best_scores([self.space.sample(rng) for _ in range(_N_FOR_TARGET)], 12_345)
        return float(np.quantile(scores, 1 - share))

    @cached_property
    def trial_seconds(self) -> float:
        """Mean seconds of a whole trial, its start included."""
        return self.start_s + float(np.mean([row.curve.values("seconds").sum() for row in self.table.rows]))

    def fidelity(self) -> dict[str, float]:
        """Return how well configurations are scored that the surrogate was not shown: Spearman's rho, and R2.

        A score is its mean over the residuals that may be put back: the best epoch of an expected curve,
        without noise, is lower than the best of a real one.
        """
        true = np.array([float(self.rule.scores(row.curve).max()) for row in self.table.rows])
        near = self._surrogate.nearest(self._features, _N_NEIGHBOURS + 1)
        told = np.array(
            [
                np.mean([self._best(flat + self._surrogate.residuals[j]) for j in row if j != i])
                for i, (flat, row) in enumerate(zip(self._left_out, near, strict=True))
            ]
        )
        unexplained = float(((true - told) ** 2).sum() / ((true - true.mean()) ** 2).sum())
        return {"spearman": float(spearmanr(true, told).statistic), "r2": 1 - unexplained}

    def _best(self, flat: FloatArray) -> float:
        return float(self.rule.scores(self._to_curve(flat)).max())

    def _curves(self, points: Sequence[dict[str, Scalar]], seed: int) -> list[LearningCurve]:
        features = np.array([self._encode(point) for point in points])
        flat = self._surrogate.predict(features)
        near = self._surrogate.nearest(features, _N_NEIGHBOURS)
        for i, point in enumerate(points):
            digest = hashlib.sha256(f"{seed} {json.dumps(point, sort_keys=True)}".encode()).digest()
            drawn = int.from_bytes(digest[:8], "little") % near.shape[1]
            flat[i] += self._surrogate.residuals[near[i, drawn]]
        return [self._to_curve(row) for row in flat]

    def _to_curve(self, flat: FloatArray) -> LearningCurve:
        rows = flat.reshape(len(METRICS) + 1, self.epochs)
        stored = {}
        for name, values in zip(METRICS, rows, strict=False):
            low, high = (0.0, 1.0) if name.endswith("accuracy") else (_LOWEST_CROSS_ENTROPY, np.inf)
            stored[name] = np.clip(values, low, high).round(6).tolist()
        return LearningCurve.from_attribute({**stored, "seconds": np.exp(rows[-1]).round(3).tolist()})

    def _encode(self, point: dict[str, Scalar]) -> list[float]:
        """Return a configuration as numbers: ranges as shares of their length, choices one by one.

        A parameter that does not exist is -1, apart from all its values.
        """
        numbers: list[float] = []
        for name in self.space.searched:
            parameter, value = self.space[name], point.get(name)
            if isinstance(parameter, FloatParameter | IntParameter):
                numbers.append(-1.0 if value is None else _share(parameter, float(value)))
            else:
                numbers += [float(value == choice) for choice in parameter.ends()]
        return numbers


class Recorded(Problem):
    """The recorded configurations themselves: no others have a curve, and no seed changes one.

    Args:
        table: What was recorded.
        quantile: The score to reach is that of the recorded configurations' scores.
    """

    def __init__(self, table: Table, *, quantile: float = TARGET_QUANTILE) -> None:
        self._begin(table, quantile)
        self._by_point = {_short(self._searched(row.point)): row.curve for row in table.rows}

    def points(self, seed: int) -> list[dict[str, Scalar]]:
        """Return what is searched of all configurations, in the order that a seed decides."""
        rows = [self._searched(row.point) for row in self.table.rows]
        return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]

    @override
    def curve(self, point: dict[str, Scalar], seed: int) -> LearningCurve:
        return self._by_point[_short(self._searched(point))]

    @override
    def reached_by(self, share: float) -> float:
        scores = [float(self.rule.scores(row.curve).max()) for row in self.table.rows]
        return float(np.quantile(scores, 1 - share))

    def _searched(self, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
        return {name: point[name] for name in self.space.searched if name in point}


def _short(point: Mapping[str, Scalar]) -> str:
    """Return a point as text, its numbers with as many digits as a table keeps."""
    return json.dumps(
        {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in point.items()}, sort_keys=True
    )


def _share(parameter: FloatParameter | IntParameter, value: float) -> float:
    scale = np.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.high)
    return float((scale(value) - low) / (high - low))


def _flat(curve: LearningCurve) -> FloatArray:
    seconds = np.log(np.maximum(curve.values("seconds"), 1e-3))
    return np.concatenate([*(curve.values(name) for name in METRICS), seconds])


def _point(job: TrialJob) -> dict[str, Scalar]:
    return dict(job.hyperparameters)


def load_problem(model: str, *, folder: Path = CURVES, quantile: float = TARGET_QUANTILE) -> Problem:
    """Return the problem of a model's recorded table.

    Raises:
        FileNotFoundError: It was not recorded.
    """
    return Problem(read_table(folder / f"{model}.jsonl"), quantile=quantile)
