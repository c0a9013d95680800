"""What the stored reference studies say at full size: rules replayed on them, judged by fresh repeats.

Each configuration of the paper's studies was trained five times, on fresh seeds and splits of all 60,000
training images. A rule chooses among those of one repeat, and what it chose is judged by the other four: the
mean of their validation results for the same configuration after the same epoch. Few configurations, which
people chose, and five repeats that share images: a hint beside the draws. No test image is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from benchmarks.evidence.curves import Draw
from benchmarks.workload import ROOT
from fmnist_sweep.core.curves import METRICS

REFERENCE: Final = ROOT / "reference"
N_EPOCHS: Final = {"dense": 15, "cnn": 10}
"""What the report's final models train; shorter runs are left out."""

_Repeats: TypeAlias = dict[int, dict[str, Any]]


def stored_draws(model: str, folder: Path = REFERENCE) -> list[Draw]:
    """Return a draw for each repeat: the others' validation results stand for the test.

    Args:
        model: ``"dense"`` or ``"cnn"``.
        folder: Where the studies are, as text.
    """
    n_epochs = N_EPOCHS[model]
    found: dict[str, _Repeats] = {}
    for path in sorted(folder.glob(f"paper-{model}-*.jsonl")):
        for attributes in _trials(path):
            whole = len(attributes["curve"]["val_accuracy"]) >= n_epochs
            if whole and "split_seed" in attributes:
                point = {k: v for k, v in attributes["hyperparameters"].items() if k != "epochs"}
                found.setdefault(json.dumps(point, sort_keys=True), {})[attributes["repeat"]] = attributes
    n_repeats = max((len(repeats) for repeats in found.values()), default=0)
    kept = [repeats for repeats in found.values() if len(repeats) == n_repeats]
    return [_draw(model, kept, number, n_epochs) for number in range(n_repeats)]


def _trials(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        trial = json.loads(line)
        if trial["state"] == "COMPLETE":
            yield trial["user_attrs"]


def _draw(model: str, kept: list[_Repeats], number: int, n_epochs: int) -> Draw:
    def values(name: str, repeat: int) -> np.ndarray:
        return np.array([repeats[repeat]["curve"][name][:n_epochs] for repeats in kept])

    others = [repeat for repeat in kept[0] if repeat != number]
    measured = {name: values(name, number) for name in METRICS}
    for name in ("accuracy", "cross_entropy"):
        measured[f"test_{name}"] = np.mean([values(f"val_{name}", repeat) for repeat in others], axis=0)
    header = {"problem": f"stored {model}", "draw": number, "metric": "accuracy"}
    header |= {"n_train": 55_000, "n_val": 5000, "n_probe": 10_000, "epochs": n_epochs}
    weights = np.array([repeats[number]["n_parameters"] for repeats in kept])
    # Which of them is the default is not asked: no rule that is shown needs its gap.
    return Draw(header, weights, measured, {name: these[0] for name, these in measured.items()})
