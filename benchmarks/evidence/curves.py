"""Recorded draws: where they are, and what a rule may see of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
CURVES: Final = Path(__file__).parent / "curves"
FIRST_SEED: Final = 1000


def draw_file(folder: Path, problem: str, number: int) -> Path:
    """Return where a draw is."""
    return folder / problem / f"{number:03}.jsonl"


@dataclass(frozen=True, eq=False)
class Draw:
    """Sixty configurations trained on one subset and split; each array is ``(n_configurations, n_epochs)``.

    Attributes:
        header: Problem, number of the draw, sizes of its parts, metric.
        n_weights: Shape ``(n_configurations,)``.
        measured: What was measured after each epoch, such as ``val_accuracy``.
        default: The same of the model's default, each of shape ``(n_epochs,)``.
    """

    header: dict[str, Any]
    n_weights: npt.NDArray[np.int64]
    measured: dict[str, FloatArray]
    default: dict[str, FloatArray]

    @property
    def problem(self) -> str:
        """The problem's name."""
        return str(self.header["problem"])

    @property
    def is_regression(self) -> bool:
        """Whether less is better in the metric: mae instead of accuracy."""
        return bool(self.header["metric"] == "mae")

    @property
    def loss_name(self) -> str:
        """What the models minimise."""
        return "mse" if self.is_regression else "cross_entropy"

    def value(self, part: str) -> FloatArray:
        """Return the metric of one part with a sign that makes more better: accuracy, or minus mae."""
        return self._signed(self.measured, part)

    @cached_property
    def gap(self) -> FloatArray:
        """How much better a model is on what it trained on."""
        return self.value("train") - self.value("val")

    @cached_property
    def default_gap(self) -> float:
        """The default's gap, at its best epoch by validation; a negative one is none."""
        val = self._signed(self.default, "val")
        return max(0.0, float((self._signed(self.default, "train") - val)[val.argmax()]))

    def standard_error(self, part: str) -> FloatArray:
        """Return the sampling error of a part's metric."""
        n = int(self.header["n_val" if part == "val" else "n_probe"])
        if self.is_regression:
            mae = self.measured[f"{part}_mae"]
            variance = np.maximum(self.measured[f"{part}_mse"] - mae**2, 0.0)
        else:
            share = self.measured[f"{part}_accuracy"]
            variance = share * (1 - share)
        return np.sqrt(variance / n)

    @property
    def gap_noise(self) -> FloatArray:
        """The sampling error of the gap."""
        return np.hypot(self.standard_error("val"), self.standard_error("train"))

    def outcomes(self) -> dict[str, FloatArray]:
        """Return what a choice is judged by, for each configuration and epoch."""
        shape = self.gap.shape
        told = {
            "test": self.value("test"),
            "log_loss": self.measured[f"test_{self.loss_name}"],
            "gap": self.value("train") - self.value("test"),
            "train": self.value("train"),
            "weights": np.broadcast_to(self.n_weights[:, None], shape).astype(np.float64),
            "epoch": np.broadcast_to(np.arange(1, shape[1] + 1), shape).astype(np.float64),
        }
        return {**told, "ece": self.measured["test_ece"]} if "test_ece" in self.measured else told

    def _signed(self, measured: dict[str, FloatArray], part: str) -> FloatArray:
        return -measured[f"{part}_mae"] if self.is_regression else measured[f"{part}_accuracy"]


def read_draw(path: Path) -> Draw:
    """Read one draw.

    Raises:
        OSError: It can't be read.
        ValueError: It is no draw, or not a whole one.
    """
    header, default, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    curves = [row["curve"] for row in rows]
    measured = {name: np.array([curve[name] for curve in curves]) for name in default["curve"]}
    return Draw(
        header,
        np.array([row["n_weights"] for row in rows]),
        measured,
        {name: np.array(values) for name, values in default["curve"].items()},
    )


def read_draws(folder: Path = CURVES) -> dict[str, list[Draw]]:
    """Return all draws by problem, in the order of their numbers."""
    found: dict[str, list[Draw]] = {}
    for path in sorted(folder.glob("*/*.jsonl")):
        found.setdefault(path.parent.name, []).append(read_draw(path))
    return found
