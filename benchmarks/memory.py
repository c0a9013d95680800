"""Memory over many short trials: ``python -m benchmarks.memory [N_TRIALS]``.

Trains small dense nets on a few images of Fashion-MNIST, one epoch each, and prints how the resident size
of the parent and the peak of its children change from trial to trial. Both slopes should be near zero: a
trial's process gives its memory back, and the parent keeps a trial's curve once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import psutil

from fmnist_sweep.config.loading import load_config
from fmnist_sweep.core.observer import Observer, ProgressObserver
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import Progress
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run the trials and print the two slopes with their 95 % intervals."""
    n_trials = int(sys.argv[1]) if len(sys.argv) == 2 else 200
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = [f"budget.trials={n_trials}", "training.train_size=500", "space.epochs=1"]
    parent = psutil.Process()
    parent_mb: list[float] = []

    def observe(progress: Progress) -> None:
        if progress.n_done_now > len(parent_mb):
            parent_mb.append(parent.memory_info().rss / 2**20)

    with tempfile.TemporaryDirectory() as folder:
        study = run_smoke(folder, settings, n_cores(), ProgressObserver(observe))
        children_mb = [trial.user_attrs["peak_memory_mb"] for trial in study.get_trials(deepcopy=False)]
    print(f"{n_trials} trials, {n_cores()} at a time")
    print("process        first (MB)   last (MB)   slope (MB a trial, 95 % interval)")
    for name, sizes in (("parent", parent_mb), ("child's peak", children_mb)):
        slope, error = slope_of(sizes)
        print(f"{name:<13}{sizes[0]:>12.0f}{sizes[-1]:>12.0f}   {slope:+.4f} +- {1.96 * error:.4f}")


def run_smoke(
    folder: str, settings: Sequence[str], slots: int, observer: Observer | None = None
) -> optuna.Study:
    """Run the shipped smoke sweep with some settings of its file, in a storage of its own.

    Args:
        folder: Folder of the storage.
        settings: What differs from the file, as ``--set`` takes it.
        slots: Number of trials side by side.
        observer: Told what happens.

    Returns:
        The study, in the storage.
    """
    config = load_config(ROOT / "sweeps" / "smoke.toml", settings)
    data = open_data()
    study = open_study(config, data, open_storage(f"sqlite:///{folder}/studies.db", create=True))
    with ownership(study), LocalEngine(slots, places=Places.of(data)) as engine:
        Search.of(config, data, study, engine, observer=observer).run()
    return study


def slope_of(sizes: list[float]) -> tuple[float, float]:
    """Return the least-squares slope over the trials, less the first tenth, and its standard error."""
    y = np.array(sizes[len(sizes) // 10 :])
    x = np.arange(len(y))
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    return float(coefficients[0]), float(np.sqrt(covariance[0, 0]))


if __name__ == "__main__":
    main()
