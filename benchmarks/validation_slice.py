"""How much easier validation images are than test images.

    python benchmarks/validation_slice.py exports/*
    python benchmarks/validation_slice.py --fresh

The first prints for each bundle validation minus test accuracy, the means over its seeds. The second trains
the default dense net, which nobody picked, with three seeds on each of three splits: the first 5,000 images
of the training file validate, or 5,000 that are drawn by class with two split seeds. Some minutes.

The second reads the test images, and no study records that: its nets are no candidates. It measures the
data, how far validation images are from test images, and no choice among models or settings is made by
it. For anything that is chosen the test set is read by an export alone, which is recorded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from fmnist_sweep.analysis.measures import model_scores, over_repeats
from fmnist_sweep.core.events import Failed
from fmnist_sweep.core.jobs import SplitSpec, TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.finals import TEST_READER

SEED = 10_000
SPLITS = {
    "the first 5,000": SplitSpec(),
    "drawn, seed 0": SplitSpec(seed=0),
    "drawn, seed 1": SplitSpec(seed=1),
}


def main() -> None:
    """Print one line for each bundle, or each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--fresh", action="store_true", help="train the default dense net on three splits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'':<24}{'validation':>12}{'test':>10}{'difference':>12}{'gap to val':>12}{'gap to test':>13}")
    for bundle in arguments.bundles:
        mean = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))["mean"]
        show(
            bundle.name, *(mean[name]["mean"] for name in ("train_accuracy", "val_accuracy", "test_accuracy"))
        )
    if arguments.fresh:
        fresh(arguments.epochs, arguments.seeds)


def fresh(epochs: int, n_seeds: int) -> None:
    """Train the default dense net on each split with some seeds, and let all predict the test images."""
    with tempfile.TemporaryDirectory() as folder:
        data = open_data()
        base = TrialJob(0, "fmnist_sweep.models:DenseModel", {}, epochs, SEED, data.key)
        points = [(split, SEED + i) for split in SPLITS.values() for i in range(n_seeds)]
        jobs = [
            replace(base, trial=i, split=split, seed=seed, deliver_to=str(i))
            for i, (split, seed) in enumerate(points)
        ]
        places = Places.of(data, deliveries=Path(folder))
        with LocalEngine(n_cores(), places=places) as engine:
            _run(engine, jobs)
        with LocalEngine(1, places=places, trainer=TEST_READER) as engine:
            _run(engine, jobs[:1])
        deliveries = [Delivery(Path(folder) / str(job.deliver_to), job.seed) for job in jobs]
        scores = [model_scores(delivery.predictions) for delivery in deliveries]
    for k, name in enumerate(SPLITS):
        mean = over_repeats(scores[k * n_seeds : (k + 1) * n_seeds])
        show(name, *(mean[f"{part}_accuracy"]["mean"] for part in ("train", "val", "test")))


def _run(engine: LocalEngine, jobs: list[TrialJob]) -> None:
    waiting = list(jobs)
    while waiting or engine.running:
        while waiting and len(engine.running) < engine.slots:
            engine.submit(waiting.pop(0))
        failed = [event for event in engine.events(60) if isinstance(event, Failed)]
        if failed:
            raise RuntimeError(f"training {failed[0].trial} failed: {failed[0].reason}")


def show(name: str, train: float, val: float, test: float) -> None:
    """Print a line, in per cent and points."""
    print(
        f"{name:<24}{100 * val:>10.2f} %{100 * test:>8.2f} %{100 * (val - test):>+12.2f}"
        f"{100 * (train - val):>+12.2f}{100 * (train - test):>+13.2f}"
    )


if __name__ == "__main__":
    main()
