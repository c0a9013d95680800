"""What the penalty does to a real search: ``python -m benchmarks.evidence.search [--seeds 10]``.

The replayed rules choose among random trials. In a sweep the sampler and the pruner act on the score as well.
So here the search of ``sweeps/dense.toml`` runs twice for each seed, on 2,000 images: with penalty 1 and with
0, otherwise equal. What it would hand out, its best trial at its best epoch, is trained again with the same
seed and meets the test images. Results go into ``benchmarks/evidence/searches.jsonl``, where the same command
goes on.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import optuna

from benchmarks.evidence.curves import FIRST_SEED
from benchmarks.evidence.problems import PROBLEMS, arrays_of
from benchmarks.workload import fixed_config
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.stored import StoredStudy

SEARCHES: Final = Path(__file__).parent / "searches.jsonl"
PENALTIES: Final = (0.0, 1.0)
N_TRIALS: Final = 30
FIRST_DRAW: Final = 500
"""Subsets and splits that no recorded draw has."""


def search(seed: int, penalty: float, n_workers: int) -> dict[str, Any]:
    """Run one search and return what it would hand out: configuration, epoch, and its scores."""
    problem = PROBLEMS["dense-2000"]
    config = fixed_config(
        problem.model,
        space={"epochs": {"type": "int", "low": 1, "high": problem.epochs}},
        score={"penalty": penalty},
        training={
            "seed": FIRST_SEED + FIRST_DRAW + seed,
            "split_seed": FIRST_SEED + FIRST_DRAW + seed,
            "train_size": problem.n_train,
            "n_val": problem.n_val,
            "patience": 5,
        },
        sampler={"name": "tpe", "seed": seed},
        budget={"trials": N_TRIALS},
    )
    data = open_data()
    study = open_study(config, data, optuna.storages.InMemoryStorage())
    with ownership(study), LocalEngine(n_workers, places=Places.of(data)) as engine:
        Search.of(config, data, study, engine).run()
    stored = StoredStudy.of(study)
    winner = best_trials(stored, 1)[0]
    return {
        "seed": seed,
        "penalty": penalty,
        "epoch": winner.scored_after,
        "point": {name: value for name, value in winner.hyperparameters.items() if name != "epochs"},
        "val_accuracy": winner.scores["val_accuracy"],
        "gap": winner.gap,
        "n_weights": winner.n_parameters,
        "n_pruned": len(stored.in_state("PRUNED")),
    }


def tested(found: dict[str, Any]) -> dict[str, float]:
    """Train what a search handed out again, up to its epoch, and measure it on the test images."""
    from benchmarks.evidence.training import set_up, train

    set_up(1)
    problem, draw = replace(PROBLEMS["dense-2000"], epochs=found["epoch"]), FIRST_DRAW + found["seed"]
    _, curve = train(problem, found["point"], arrays_of(problem, draw), seed=FIRST_SEED + draw)
    return {name: values[-1] for name, values in curve.items() if name.startswith("test_")}


def main() -> None:
    """Search what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1, help="trials side by side")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = {(told["seed"], told["penalty"]) for told in read_searches()}
    for seed in range(options.seeds):
        for penalty in PENALTIES:
            if (seed, penalty) in done:
                continue
            found = search(seed, penalty, options.workers)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found |= pool.submit(tested, found).result()
            with SEARCHES.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(f"seed {seed}, penalty {penalty:g}: test {found['test_accuracy']:.4f}", flush=True)


def read_searches(path: Path = SEARCHES) -> list[dict[str, Any]]:
    """Return what was found so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
