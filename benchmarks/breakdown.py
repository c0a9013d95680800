"""Where a trial's seconds go: ``python -m benchmarks.breakdown [dense cnn] [--train-size N]``.

Runs a few trials through the real search and engine with a stopwatch inside the trainer. The first epoch's
excess over the others is what tracing and compiling its function takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from typing import Any, Final

import optuna

from benchmarks.instrumented import told_file
from benchmarks.workload import Workload, draw
from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import Progress
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import KERAS_PRELOAD, LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage, side_folder

TRAINER: Final = "benchmarks.instrumented:TimedTrainer"
PARTS: Final = ("start", "data", "build", "trace", "train", "measure", "checkpoint", "store", "rest")


def measure(
    model: str, *, n_trials: int = 4, epochs: int = 3, train_size: int | None = None
) -> dict[str, Any]:
    """Return the mean seconds of a trial by part.

    Returns:
        ``parts``: seconds by the names in `PARTS`; ``trial_s``: their sum, from the ask to the tell;
        ``n_trials, epochs, train_size``.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    work = Workload(model, tuple(draw(model, n_trials)), epochs, train_size=train_size)
    config, data = work.config(), open_data()
    seen: dict[int, float] = {}

    def observe(progress: Progress) -> None:
        for trial in progress.running:
            seen.setdefault(trial.number, time.time())

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/studies.db"
        study = open_study(config, data, open_storage(url, create=True))
        for point in work.points:
            searched = config.sampled_space.searched
            study.enqueue_trial({name: value for name, value in point.items() if name in searched})
        checkpoints = CheckpointFolder(side_folder(url, config.file.study))
        with (
            ownership(study) as owner,
            LocalEngine(
                n_cores(),
                places=Places.of(data, checkpoints=checkpoints.path),
                trainer=TRAINER,
                preload=KERAS_PRELOAD,
            ) as engine,
        ):
            search = Search.of(
                config,
                data,
                study,
                engine,
                run=owner.run,
                checkpoints=checkpoints,
                observer=ProgressObserver(observe),
            )
            search.run()
        trials = study.get_trials(deepcopy=False)
        told = [json.loads(told_file(checkpoints.path, t.number).read_text("utf-8")) for t in trials]
    split = [_split(inside, trial) for inside, trial in zip(told, trials, strict=True)]
    # The first trials wait for the fork server, which imports TensorFlow once for all.
    split = split[n_cores() :] or split
    parts = {part: statistics.mean(parts[part] for parts in split) for part in PARTS}
    return {
        "model": model,
        "parts": parts,
        "trial_s": sum(parts.values()),
        "n_trials": len(split),
        "epochs": epochs,
        "train_size": train_size,
    }


def _split(told: dict[str, Any], trial: optuna.trial.FrozenTrial) -> dict[str, float]:
    """Part a trial's seconds, from its ask to its tell, into `PARTS`."""
    seconds = told["seconds"]
    if trial.datetime_start is None or trial.datetime_complete is None:
        raise RuntimeError(f"trial {trial.number} did not end")
    asked, ended = trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()
    warm = statistics.median(seconds["train"][1:] or seconds["train"])
    warm_measure = statistics.median(seconds["measure"][1:] or seconds["measure"])
    parts = {
        "start": told["began"] - asked,
        "data": sum(seconds["data"]),
        "build": sum(seconds["build"]) + sum(seconds["first prediction"]),
        "trace": seconds["train"][0] - warm + seconds["measure"][0] - warm_measure,
        "train": warm * len(seconds["train"]),
        "measure": warm_measure * len(seconds["measure"]),
        "checkpoint": sum(seconds.get("checkpoint", [])),
        "store": ended - told["ended"],
    }
    parts["trace"] = max(0.0, parts["trace"])
    return {**parts, "rest": max(0.0, ended - asked - sum(parts.values()))}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["dense", "cnn"])
    parser.add_argument("--train-size", type=int)
    options = parser.parse_args()
    for model in options.models:
        print(json.dumps(measure(model, train_size=options.train_size), indent=2), flush=True)


if __name__ == "__main__":
    main()
