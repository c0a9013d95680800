"""The data, models and spaces of the study: what one draw of each problem is."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.curves import FIRST_SEED
from benchmarks.workload import fixed_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import Scalar, SplitSpec
from fmnist_sweep.data.split import split_indices

N_CONFIGURATIONS: Final = 60
SMALLEST_VALIDATION: Final = 150
LARGEST_VALIDATION: Final = 5000
FEW: Final = 2000
"""Up to so many training images, predicting all 10,000 test images would be most of the work."""

TEST_OF_FEW: Final = 5000
N_PROBE: Final = 10_000

_RICH: Final = {
    "optimizer": "adamw",
    "weight_decay": {"low": 1e-4, "high": 0.3},
    "dropout": {"low": 0.0, "high": 0.5},
}
_NARROW: Final = {f"units_{i}": {"low": 16, "high": 128} for i in range(1, 5)}


@dataclass(frozen=True)
class Problem:
    """Data, model and space of a recording.

    Attributes:
        name: Such as ``"dense-500"``.
        data: ``"fashion-mnist"``, or what scikit-learn's loader is called without ``load_``.
        model: ``"dense"`` or ``"cnn"``: whose sweep file has the space.
        n_train: Number of training examples.
        n_val: Number of validation examples.
        epochs: That each configuration trains.
        space: What the space has otherwise than the sweep file.
        metric: What is selected by: ``"accuracy"`` or ``"mae"``.
    """

    name: str
    data: str
    model: str
    n_train: int
    n_val: int
    epochs: int
    space: dict[str, Any]
    metric: str = "accuracy"

    @property
    def is_small(self) -> bool:
        """Whether a plain loop trains it, since Keras would hardly do anything but trace."""
        return self.data != "fashion-mnist"

    @property
    def n_probe(self) -> int:
        """Number of training examples that measure the train scores."""
        return min(self.n_train, N_PROBE)

    def config(self) -> SweepConfig:
        """Return the sweep whose space is drawn from."""
        return fixed_config(self.model, space={**self.space, "epochs": self.epochs})

    def configurations(self, draw: int) -> list[dict[str, Scalar]]:
        """Return the model's default, then the random configurations of a draw."""
        config, rng = self.config(), np.random.default_rng((zlib.crc32(self.name.encode()), draw))
        points = [config.sampled_space.sample(rng) for _ in range(N_CONFIGURATIONS)]
        # What is not named takes the model's default.
        return [{"batch_size": config.model_space.defaults["batch_size"]}, *points]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The examples of one draw, each part a pair of inputs and targets."""

    train: tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
    val: tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
    test: tuple[npt.NDArray[np.float32], npt.NDArray[Any]]


def _fashion(kind: str, model: str, sizes: tuple[int, ...], space: dict[str, Any]) -> list[Problem]:
    return [
        Problem(
            f"{kind}-{n}",
            "fashion-mnist",
            model,
            n,
            min(max(n // 10, SMALLEST_VALIDATION), LARGEST_VALIDATION),
            20,
            space,
        )
        for n in sizes
    ]


PROBLEMS: Final = {
    problem.name: problem
    for problem in (
        *_fashion("dense", "dense", (500, 2000, 10_000, 55_000), {}),
        *_fashion("rich", "dense", (500, 2000), _RICH),
        *_fashion("cnn", "cnn", (500, 2000), {}),
        Problem("digits", "digits", "dense", 500, 150, 30, _NARROW),
        Problem("cancer", "breast_cancer", "dense", 200, 70, 30, _NARROW),
        Problem("diabetes", "diabetes", "dense", 200, 70, 30, _NARROW, "mae"),
    )
}


def arrays_of(problem: Problem, draw: int) -> Arrays:
    """Return a draw's examples: a fresh subset and split, and all that is held out for the test."""
    spec = SplitSpec(n_val=problem.n_val, seed=FIRST_SEED + draw, train_size=problem.n_train)
    if problem.data == "fashion-mnist":
        return _fashion_mnist(spec, draw)
    x, y = _table(problem.data)
    if problem.metric == "mae":
        order = np.random.default_rng(FIRST_SEED + draw).permutation(len(y))
        train, val = order[: problem.n_train], order[problem.n_train : problem.n_train + problem.n_val]
    else:
        train, val = split_indices(y, spec)
    test = np.setdiff1d(np.arange(len(y)), np.concatenate([train, val]))
    if problem.data == "digits":
        x = x / 16
    else:
        x = (x - x[train].mean(axis=0)) / np.maximum(x[train].std(axis=0), 1e-9)
    if problem.metric == "mae":
        y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)
    inputs: npt.NDArray[np.float32] = x.astype(np.float32)
    return Arrays((inputs[train], y[train]), (inputs[val], y[val]), (inputs[test], y[test]))


def _fashion_mnist(spec: SplitSpec, draw: int) -> Arrays:
    from fmnist_sweep.data import load_split, open_data
    from fmnist_sweep.data.test_set import load_test

    data = open_data()
    split, test = load_split(data, spec), load_test(data)
    tested = np.arange(len(test.y))
    if len(split.y_train) <= FEW:
        tested = np.sort(np.random.default_rng((FIRST_SEED, draw)).permutation(tested)[:TEST_OF_FEW])
    train, val = (split.x_train, split.y_train), (split.x_val, split.y_val)
    return Arrays(train, val, (test.x[tested], test.y[tested]))


@cache
def _table(name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x.astype(np.float64), y if name == "diabetes" else y.astype(np.int32)
