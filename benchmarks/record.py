"""Record a table of learning curves: ``python -m benchmarks.record dense [--n 240]``.

Trains random configurations of a sweep file's space for all their epochs, one on each core, into
``benchmarks/curves/MODEL.jsonl``. It can be stopped at any time: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.curves import Row, append_row, begin_table
from benchmarks.workload import ROOT, SWEEPS, draw, fixed_config
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.events import EpochDone, Failed, Finished, Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.storage.checkpoints import CheckpointFolder

CURVES: Final = ROOT / "benchmarks" / "curves"
CLOCK: Final = "benchmarks.processor_clock:ProcessorClock"
_PACKAGES: Final = ("tensorflow", "keras", "numpy")


def header(model: str, data: DataRef, *, epochs: int, seed: int, train_size: int | None) -> dict[str, Any]:
    """Return a table's first line."""
    space = json.dumps(fixed_config(model).to_dict()["space"], sort_keys=True)
    return {
        "model": model,
        "epochs": epochs,
        "seed": seed,
        "train_size": train_size,
        "space_digest": hashlib.sha256(space.encode()).hexdigest(),
        "data_digest": data.digest,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "machine": f"{platform.machine()}, {n_cores()} cores",
    }


def record(model: str, path: Path, *, n: int, epochs: int, seed: int, train_size: int | None) -> None:
    """Train what the table still lacks, and show how far it is."""
    data = open_data()
    config = fixed_config(model, training={"train_size": train_size})
    stored = begin_table(path, header(model, data, epochs=epochs, seed=seed, train_size=train_size))
    points = draw(model, n, seed=seed)
    waiting = [i for i in range(n) if i not in stored]
    print(f"{path}: {len(stored)} of {n} configurations are there; {len(waiting)} to train", flush=True)
    folder = CheckpointFolder(Path(f"{path}.checkpoints"))
    folder.keep(waiting)
    jobs = [
        TrialJob(
            i,
            config.model_space.path,
            points[i],
            epochs,
            config.file.training.seed,
            data,
            config.split,
            n_probe=config.n_probe,
            checkpoint=folder.key(i),
        )
        for i in waiting
    ]
    with LocalEngine(n_cores(), places=Places.of(data, checkpoints=folder.path), trainer=CLOCK) as engine:
        _train(engine, jobs, path, folder)
    if folder.path.is_dir() and not any(folder.path.iterdir()):
        folder.path.rmdir()


def _train(engine: LocalEngine, jobs: list[TrialJob], path: Path, folder: CheckpointFolder) -> None:
    began, n_done, pending = time.monotonic(), 0, list(reversed(jobs))
    live: dict[int, _Training] = {}
    while pending or live:
        while pending and len(live) < engine.slots:
            job = pending.pop()
            live[job.trial] = _Training(job)
            engine.submit(job)
        for event in engine.events(60):
            training = live[event.trial]
            match event:
                case Started():
                    training.n_parameters = event.n_parameters
                case EpochDone():
                    training.epochs.append(event.scores)
                case Finished() | Failed():
                    append_row(path, live.pop(event.trial).row())
                    folder.remove(event.trial)
                    n_done += 1
                    left = (time.monotonic() - began) / n_done * (len(jobs) - n_done) / 60
                    how = f"failed: {event.reason}" if isinstance(event, Failed) else training.words()
                    print(f"[{n_done}/{len(jobs)}] {event.trial}: {how}; {left:.0f} min left", flush=True)


class _Training:
    """A configuration that is being trained."""

    def __init__(self, job: TrialJob) -> None:
        self.job = job
        self.n_parameters = 0
        self.epochs: list[EpochScores] = []

    def row(self) -> Row:
        """Return what goes into the table: what the first epoch took beyond the others was the start."""
        point, epochs, start_s = dict(self.job.hyperparameters), self.epochs, 0.0
        if len(epochs) > 1:
            usual = statistics.median(scores.seconds for scores in epochs[1:])
            start_s = round(max(0.0, epochs[0].seconds - usual), 2)
            epochs = [replace(epochs[0], seconds=usual), *epochs[1:]]
        return Row(self.job.trial, point, start_s, self.n_parameters, LearningCurve(tuple(epochs)))

    def words(self) -> str:
        """Return its outcome for whoever watches."""
        best = max(scores.val["accuracy"] for scores in self.epochs)
        seconds = sum(scores.seconds for scores in self.epochs)
        return f"validation accuracy {best:.4f} at best, {seconds:.0f} s"


def main() -> None:
    """Record a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(SWEEPS))
    parser.add_argument("--n", type=int, default=240, help="configurations in all")
    parser.add_argument("--epochs", type=int, help="by default the sweep file's largest number")
    parser.add_argument("--seed", type=int, default=0, help="of the list of configurations")
    parser.add_argument("--train-size", type=int, help="training images; by default all")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    record(
        options.model,
        options.output or CURVES / f"{options.model}.jsonl",
        n=options.n,
        epochs=options.epochs or fixed_config(options.model).epochs[-1],
        seed=options.seed,
        train_size=options.train_size,
    )


if __name__ == "__main__":
    main()
