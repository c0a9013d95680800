"""Train a CNN of 31,338 weights with and without each way: ``python -m benchmarks.ablation``.

Three seeds each, 10,000 images, 10 epochs, one core. Each training ends its schedule and is measured there,
on the 5,000 validation images of the sweeps; no epoch is picked, and the test set is not opened. Seed 0 of a
way has the initial weights and the order of the images of seed 0 of every other, so differences are taken
seed by seed. Of each model the mean of what it gives for an image and for its mirror image is measured too.

What is trained is kept in ``benchmarks/ablation.jsonl``, a line each, and a training that was stopped goes on
from its last whole epoch: the same command goes on. ``--report`` trains nothing, and prints the table that
docs/spaces.md has. Beside another process, ``--backwards`` begins with the last one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.core.jobs import Hyperparameters, SplitSpec, TrialJob
from fmnist_sweep.core.places import Places, placed

RESULTS: Final = Path(__file__).with_suffix(".jsonl")
EPOCHS: Final = 10
N_TRAIN: Final = 10_000
SEEDS: Final = (0, 1, 2)
BASE: Final[Hyperparameters] = {
    "optimizer": "adamw",
    "learning_rate": 4.5e-3,
    "weight_decay": 0.08,
    "l2": 1e-6,
    "schedule": "cosine",
    "schedule_epochs": EPOCHS,
    "batch_size": 128,
    "batch_norm": True,
    "activation": "relu",
    "conv_blocks": 3,
    "convs_per_block": 1,
    "filters_1": 16,
    "filters_2": 32,
    "filters_3": 64,
    **{f"kernel_size_{i}": 3 for i in (1, 2, 3)},
    **{f"padding_{i}": "same" for i in (1, 2, 3)},
    "pooling": "max",
    "pool_size": 2,
    "global_pooling": True,
    "dense_units": 96,
    "dropout": 0.05,
    "label_smoothing": 0.05,
    "flip": True,
    "shift": 2,
}
"""Settings of ``sweeps/cnn-regularised.toml`` for half as many convolutions, less its newest two."""

WAYS: Final[dict[str, Hyperparameters]] = {
    "none of these": {},
    "alternate_flips = true": {"alternate_flips": True},
    "erase = 0.25": {"erase": 0.25},
    "ema = 0.99": {"ema": 0.99},
    'schedule = "constant"': {"schedule": "constant"},
    "label_smoothing = 0": {"label_smoothing": 0.0},
    "flip = false": {"flip": False},
}
_FIRST: Final = next(iter(WAYS))


def train(way: str, seed: int, work: Path) -> dict[str, Any]:
    """Train one net by the product's trainer, in this process, and return its line of the results."""
    import keras
    import numpy as np

    from fmnist_sweep.core.curves import EpochScores
    from fmnist_sweep.core.events import Started
    from fmnist_sweep.data import load_split, open_data
    from fmnist_sweep.training.measure import class_scores
    from fmnist_sweep.training.trainer import KerasTrainer

    data, split = open_data(), SplitSpec(train_size=N_TRAIN)
    name = f"{list(WAYS).index(way)}-{seed}"
    job = TrialJob(
        trial=0,
        model="fmnist_sweep.models:ConvModel",
        hyperparameters={**BASE, **WAYS[way]},
        epochs=EPOCHS,
        seed=seed,
        data=data.key,
        split=split,
        n_probe=2_000,
        checkpoint=f"{name}.checkpoint",
        deliver_to=name,
    )
    began, n_weights, epochs = time.process_time(), 0, list[EpochScores]()
    for event in KerasTrainer().fit(placed(job, Places.of(data, checkpoints=work, deliveries=work))):
        if isinstance(event, EpochScores):
            epochs.append(event)
        elif isinstance(event, Started):
            n_weights = event.n_parameters
            began = time.process_time()
    seconds = time.process_time() - began
    model = keras.models.load_model(work / name / "model.keras", compile=False)
    images = load_split(data, split)
    both = [model.predict(x, batch_size=1000, verbose=0) for x in (images.x_val, images.x_val[:, :, ::-1])]
    mirrored = class_scores(np.mean(both, axis=0), images.y_val, from_logits=False)
    return {
        "way": way,
        "seed": seed,
        "n_weights": n_weights,
        **epochs[-1].by_name(),
        "averaged": mirrored,
        # Of a training that went on from a checkpoint they are those of its last part.
        "processor_seconds": round(seconds, 1),
        "versions": {p: importlib.metadata.version(p) for p in ("tensorflow", "keras", "numpy")},
    }


def results() -> list[dict[str, Any]]:
    """Return what was trained so far."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def table() -> list[str]:
    """Return the results as the rows of a table, with differences to the first way seed by seed."""
    found = {(r["way"], r["seed"]): r for r in results()}
    rows = [
        "| way | validation accuracy | difference, seed by seed | mean | gap |",
        "|---|---|---|---|---|",
    ]
    for way in WAYS:
        seeds = [seed for seed in SEEDS if (way, seed) in found and (_FIRST, seed) in found]
        if len(seeds) < len(SEEDS):
            continue
        accuracies = [100 * found[way, seed]["val_accuracy"] for seed in seeds]
        gaps = [100 * (found[way, s]["train_accuracy"] - found[way, s]["val_accuracy"]) for s in seeds]
        others = [100 * found[_FIRST, seed]["val_accuracy"] for seed in seeds]
        rows.append(_row(f"`{way}`" if way != _FIRST else way, accuracies, others, gaps))
    whole = [way for way in WAYS if all((way, seed) in found for seed in SEEDS)]
    # What never saw a mirror image in training is no case for it.
    pairs = [found[way, seed] for way in whole for seed in SEEDS if {**BASE, **WAYS[way]}["flip"]]
    if pairs:
        gains = [100 * (r["averaged"]["accuracy"] - r["val_accuracy"]) for r in pairs]
        n_better = sum(gain > 0 for gain in gains)
        rows += [
            "",
            (
                f"The mean over an image and its mirror image: {statistics.mean(gains):+.2f} points over "
                f"all nets with flips, {min(gains):+.2f} to {max(gains):+.2f}, "
                f"better for {n_better} of {len(gains)}."
            ),
        ]
    return rows


def _row(name: str, accuracies: list[float], others: list[float], gaps: list[float]) -> str:
    differences = [a - b for a, b in zip(accuracies, others, strict=True)]
    told = "" if name == _FIRST else ", ".join(f"{d:+.2f}" for d in differences)
    mean = "" if name == _FIRST else f"{statistics.mean(differences):+.2f}"
    return f"| {name} | {statistics.mean(accuracies):.2f} % | {told} | {mean} | {statistics.mean(gaps):.2f} |"


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--backwards", action="store_true", help="begin with the last training")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "fmnist-sweep-ablation"))
    options = parser.parse_args()
    # Way by way: what is there at any time can be compared.
    wanted = [] if options.report else [(way, seed) for way in WAYS for seed in SEEDS]
    for way, seed in reversed(wanted) if options.backwards else wanted:
        if (way, seed) in {(r["way"], r["seed"]) for r in results()}:
            continue
        line = train(way, seed, options.work)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        accuracy, seconds = line["val_accuracy"], line["processor_seconds"]
        print(f"{way}, seed {seed}: {100 * accuracy:.2f} %, {seconds} s", flush=True)
    print("\n".join(table()))


if __name__ == "__main__":
    main()
