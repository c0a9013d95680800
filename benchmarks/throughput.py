"""Trials an hour on an identical list of trials, ours against what a user would pick, block by block.

``python -m benchmarks.throughput [--quick] [--models dense cnn] [--only ours optuna]``. Every contestant
trains each block in a process of its own; who begins rotates from block to block, so that a noisy minute
hits everyone. The process's start counts and is shown apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.contestants import CONTESTANTS, TITLES, missing
from benchmarks.stats import Bar, Spread, ratios, rotated
from benchmarks.workload import ROOT, Workload, blocks, draw
from fmnist_sweep.engines.machine import n_cores

BARS: Final = {
    "dense": {"script": 4.0, "kerastuner": 4.0, "optuna": 4.0, "ray": 4.0},
    "cnn": {"script": 3.0, "kerastuner": 3.0, "optuna": 3.0, "ray": 2.8},
}
MAX_ACCURACY_DIFFERENCE: Final = 0.01
"""Mean distance of two validation accuracies of equal configurations: seeds alone move them by half of it."""

_QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Plan:
    """How much is trained.

    Attributes:
        n_points: Configurations of each model.
        n_blocks: Into which they are dealt.
        epochs: Of each trial.
        train_size: Number of training images; None takes all.
    """

    n_points: dict[str, int]
    n_blocks: int
    epochs: int
    train_size: int | None = None


FULL: Final = Plan({"dense": 20, "cnn": 12}, n_blocks=2, epochs=3)
"""Blocks of several trials for each core: a sweep's last trial, which leaves cores idle, weighs little."""

QUICK: Final = Plan({"dense": 4, "cnn": 2}, n_blocks=2, epochs=1, train_size=20_000)


def run_contestant(name: str, work: Workload) -> dict[str, Any]:
    """Train a workload in a fresh process.

    Returns:
        What the contestant told, with ``wall_s``, the whole life of its process, ``train_s``, from its
        first trial to its last, and ``start_s``, what came before.

    Raises:
        RuntimeError: The process failed; its last words follow.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "workload.json", Path(folder) / "result.json"]
        paths[0].write_text(work.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.contestants", name, *map(str, paths)]
        environment = {**os.environ, **_QUIET, "PYTHONPATH": str(ROOT)}
        spawned, began = time.time(), time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env=environment
        )
        wall = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"{name} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
        told: dict[str, Any] = json.loads(paths[1].read_text(encoding="utf-8"))
    train = told["ended"] - told["began"]
    return {**told, "wall_s": wall, "train_s": train, "start_s": told["began"] - spawned}


def compare(
    model: str,
    plan: Plan,
    names: Sequence[str],
    *,
    run: Callable[[str, Workload], dict[str, Any]] = run_contestant,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Let the contestants train every block, and return all that was measured.

    Returns:
        ``runs``: for each contestant a list of what `run_contestant` gave, a block each; ``skipped``: the
        reason for each contestant that could not run; and the plan.
    """
    skipped = {name: reason for name in names if (reason := missing(name)) is not None}
    running = [name for name in names if name not in skipped]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in running}
    for i, points in enumerate(blocks(draw(model, plan.n_points[model]), plan.n_blocks)):
        work = Workload(model, points, plan.epochs, train_size=plan.train_size, n_workers=n_cores())
        for name in rotated(running, i):
            found = run(name, work)
            runs[name].append({**found, "n_trials": len(points)})
            say(
                f"{model} block {i + 1}/{plan.n_blocks}: {name} trained {len(points)} trials "
                f"in {found['train_s']:.1f} s, started in {found['start_s']:.1f} s"
            )
    return {
        "model": model,
        "n_trials": plan.n_points[model],
        "n_blocks": plan.n_blocks,
        "epochs": plan.epochs,
        "train_size": plan.train_size,
        "runs": runs,
        "skipped": skipped,
    }


def summarise(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each contestant.

    Returns:
        ``name, title, trials_an_hour`` (start included); for all but ours ``ratio`` and
        ``ratio_without_start`` (how many times as fast ours is, as a `Spread`'s fields) and
        ``accuracy_difference`` (mean distance of the validation accuracies, trial by trial) and
        ``accuracy_bias`` (mean of ours less theirs).
    """
    runs = measured["runs"]
    rows = []
    for name, theirs in runs.items():
        n_trials = sum(block["n_trials"] for block in theirs)
        row: dict[str, Any] = {
            "name": name,
            "title": TITLES[name],
            "trials_an_hour": 3600 * n_trials / sum(block["wall_s"] for block in theirs),
            "start_s": Spread.of([block["start_s"] for block in theirs]).__dict__,
            "train_s_a_trial": Spread.of([b["train_s"] / b["n_trials"] for b in theirs]).__dict__,
        }
        if name != "ours" and "ours" in runs:
            ours = runs["ours"]
            for key, field in (("ratio", "wall_s"), ("ratio_without_start", "train_s")):
                spread = ratios([b[field] for b in ours], [b[field] for b in theirs])
                row[key] = spread.__dict__
            pairs = [
                zip(a["val_accuracy"], b["val_accuracy"], strict=True)
                for a, b in zip(ours, theirs, strict=True)
            ]
            differences = np.array([a - b for pair in pairs for a, b in pair])
            row["accuracy_difference"] = float(np.abs(differences).mean())
            row["accuracy_bias"] = float(differences.mean())
        rows.append(row)
    return rows


def bars(measured: dict[str, Any]) -> list[Bar]:
    """Return the bars of one model's comparison."""
    model, rows = measured["model"], {row["name"]: row for row in summarise(measured)}
    area = f"throughput {model}"
    found = []
    for name, limit in BARS[model].items():
        what = f"trials an hour over {TITLES[name]}"
        if name in measured["skipped"]:
            found.append(Bar(area, what, None, limit, ">=", note=measured["skipped"][name]))
        elif name in rows:
            ratio, inner = Spread(**rows[name]["ratio"]), Spread(**rows[name]["ratio_without_start"])
            note = f"without start-up {inner.median:.2f} x"
            found.append(Bar(area, what, ratio.median, limit, ">=", spread=_range(ratio), note=note))
    differences = {n: r["accuracy_difference"] for n, r in rows.items() if "accuracy_difference" in r}
    if differences:
        worst = max(differences, key=lambda name: differences[name])
        found.append(
            Bar(
                area,
                f"mean distance of validation accuracies, at worst ({TITLES[worst]})",
                differences[worst],
                MAX_ACCURACY_DIFFERENCE,
                "<=",
                unit="",
                note=f"ours less theirs {rows[worst]['accuracy_bias']:+.4f}",
            )
        )
    return found


def _range(spread: Spread) -> str:
    return f"{spread.low:.2f} to {spread.high:.2f}, n = {spread.n}"


def main() -> None:
    """Run the comparison by itself and print its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", nargs="+", default=list(BARS), choices=list(BARS))
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--n-points", type=int)
    parser.add_argument("--train-size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--blocks", type=int)
    options = parser.parse_args()
    base = QUICK if options.quick else FULL
    plan = Plan(
        base.n_points if options.n_points is None else dict.fromkeys(BARS, options.n_points),
        options.blocks or base.n_blocks,
        options.epochs or base.epochs,
        options.train_size or base.train_size,
    )
    for model in options.models:
        print(json.dumps(summarise(compare(model, plan, options.only)), indent=2))


if __name__ == "__main__":
    main()
