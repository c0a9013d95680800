"""Trials an hour with 1, 2 and 4 trials to a device: ``python -m benchmarks.gpu [--models dense cnn]``.

For a machine with accelerators that TensorFlow can use. Each number of trials a device trains the same blocks
of random configurations in a process of its own, in turn; a ratio is to one trial a device. Every trial takes
its memory as it grows, so that several fit. Without a device it says so and ends with exit code 2; nobody has
run it on one yet, and docs/performance.md holds the table's place.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from benchmarks.stats import ratios, rotated
from benchmarks.throughput import FULL, Plan, run_contestant
from benchmarks.workload import Workload, blocks, draw
from fmnist_sweep.engines.machine import find_devices

TRIALS_A_DEVICE: Final = (1, 2, 4)


def compare(
    model: str, plan: Plan, devices: Sequence[str], *, run: Callable[[str, Workload], dict[str, Any]]
) -> dict[int, list[dict[str, Any]]]:
    """Train every block with each number of trials a device, and return what each run told.

    Args:
        model: ``"dense"`` or ``"cnn"``.
        plan: How much is trained.
        devices: Names of the devices.
        run: Trains a workload, as `benchmarks.throughput.run_contestant` does.
    """
    runs: dict[int, list[dict[str, Any]]] = {n: [] for n in TRIALS_A_DEVICE}
    for i, points in enumerate(blocks(draw(model, plan.n_points[model]), plan.n_blocks)):
        work = Workload(model, points, plan.epochs, train_size=plan.train_size)
        for n in rotated(TRIALS_A_DEVICE, i):
            found = run("ours", replace(work, n_workers=n * len(devices)))
            runs[n].append({**found, "n_trials": len(points)})
    return runs


def lines(model: str, runs: dict[int, list[dict[str, Any]]]) -> list[str]:
    """Return a line for each number of trials a device: trials an hour, and times those of one."""
    walls = {n: [one["wall_s"] for one in found] for n, found in runs.items()}
    return [
        f"{model:<8}{n:>16}{3600 * sum(one['n_trials'] for one in found) / sum(walls[n]):>16.0f}"
        f"  {ratios(walls[n], walls[TRIALS_A_DEVICE[0]])}"
        for n, found in runs.items()
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=("dense", "cnn"), default=("dense", "cnn"))
    options = parser.parse_args()
    devices = find_devices()
    if not devices:
        print("this machine has no device that trials could use", file=sys.stderr)
        raise SystemExit(2)
    print(f"{'model':<8}{'trials a device':>16}{'trials an hour':>16}  times one a device")
    for model in options.models:
        print("\n".join(lines(model, compare(model, FULL, devices, run=run_contestant))), flush=True)


if __name__ == "__main__":
    main()
