"""The identical list of trials that every competitor of the throughput comparison trains."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import Scalar

ROOT: Final = Path(__file__).parent.parent
SWEEPS: Final = {"dense": ROOT / "sweeps" / "dense.toml", "cnn": ROOT / "sweeps" / "cnn.toml"}


@dataclass(frozen=True)
class Workload:
    """Trials to train, one after the other or side by side.

    Attributes:
        model: ``"dense"`` or ``"cnn"``.
        points: A complete set of hyperparameters for each trial, without epochs.
        epochs: That each of them trains.
        seed: Of weights and shuffling.
        train_size: Number of training images; None takes all.
        n_workers: Trials side by side, for those who can.
    """

    model: str
    points: tuple[dict[str, Scalar], ...]
    epochs: int
    seed: int = 0
    train_size: int | None = None
    n_workers: int = 2

    def to_json(self) -> str:
        """Return the workload as text; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Workload:
        """Read what `to_json` wrote."""
        stored = json.loads(text)
        return cls(**{**stored, "points": tuple(stored["points"])})

    def config(self) -> SweepConfig:
        """Return the sweep whose trials these are: no pruning, no early stopping, fixed epochs."""
        return fixed_config(
            self.model,
            space={"epochs": self.epochs},
            training={"seed": self.seed, "train_size": self.train_size},
            sampler={"name": "random", "enqueue_default": False},
            pruner={"name": "none"},
            budget={"trials": len(self.points)},
        )


def fixed_config(model: str, **sections: dict[str, Any]) -> SweepConfig:
    """Return the sweep of a model's sweep file with some settings replaced, and without patience."""
    settings = tomllib.loads(SWEEPS[model].read_text(encoding="utf-8"))
    settings["training"].pop("patience", None)
    for section, values in sections.items():
        given = {key: value for key, value in values.items() if value is not None}
        # The keys of one sampler or pruner mean nothing to another.
        before = {} if "name" in given else settings.get(section, {})
        settings[section] = {**before, **given}
    return parse_config(settings, where=str(SWEEPS[model]))


def draw(model: str, n: int, *, seed: int = 0) -> list[dict[str, Scalar]]:
    """Return random configurations of a model's sweep, without epochs."""
    config = fixed_config(model)
    rng = np.random.default_rng(seed)
    return [config.sampled_space.sample(rng) for _ in range(n)]


def blocks(points: list[dict[str, Scalar]], n: int) -> list[tuple[dict[str, Scalar], ...]]:
    """Deal the points out to ``n`` blocks that differ by at most one in size.

    Example:
        >>> [len(block) for block in blocks([{"a": i} for i in range(5)], 2)]
        [3, 2]
    """
    return [tuple(points[i::n]) for i in range(n)]
