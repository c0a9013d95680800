"""What thirty trials give: the best score and the time of whole sweeps under each pruner, in virtual time.

``python -m benchmarks.whole_sweeps [dense cnn] [--seeds 24]``. A race ends where a score is reached; a
person's sweep ends with its trials, and a pruner that is too eager shows there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import optuna
from joblib import Parallel, delayed

from benchmarks.methods import PRUNERS, own_config
from benchmarks.problems import Problem, load_problem
from benchmarks.race import DATA
from benchmarks.virtual import VirtualEngine
from benchmarks.workload import SWEEPS
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership

N_TRIALS: Final = 30
N_WORKERS: Final = 2


def sweep(problem: Problem, pruner: Mapping[str, Any], seed: int) -> tuple[float, float, int]:
    """Run a sweep of `N_TRIALS` and return its best score, its virtual seconds and its trained epochs."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = own_config(problem, seed, pruner=pruner, n_trials=N_TRIALS)
    engine = VirtualEngine(problem.of_job(seed), N_WORKERS, start_s=problem.start_s)
    study = open_study(config, DATA, optuna.storages.InMemoryStorage())
    with ownership(study):
        Search.of(config, DATA, study, engine).run()
    return study.best_value, engine.now, engine.n_epochs


def measure(
    problem: Problem, seeds: Sequence[int], *, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Return a row for each pruner.

    Returns:
        ``name, score`` (mean over the seeds of the best) ``, score_error`` (of that mean) ``, seconds,
        epochs`` (means) and ``n``.
    """
    rows = []
    for name, pruner in PRUNERS.items():
        told = Parallel(n_jobs=n_cores())(delayed(sweep)(problem, pruner, seed) for seed in seeds)
        scores, seconds, epochs = np.array(told).T
        row = {
            "name": name,
            "score": float(scores.mean()),
            "score_error": float(scores.std(ddof=1) / len(seeds) ** 0.5),
            "seconds": float(seconds.mean()),
            "epochs": float(epochs.mean()),
            "n": len(seeds),
        }
        say(f"{problem.name}: {name}: {row['score']:.4f} in {row['seconds']:.0f} s")
        rows.append(row)
    return rows


def main() -> None:
    """Sweep, and print the rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(SWEEPS))
    parser.add_argument("--seeds", type=int, default=24)
    options = parser.parse_args()
    for model in options.models:
        for row in measure(load_problem(model), range(options.seeds)):
            print(json.dumps({"model": model, **row}))


if __name__ == "__main__":
    main()
