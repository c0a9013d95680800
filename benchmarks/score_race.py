"""Time to a score: ours against its peers, over many seeds, on problems made from recorded tables.

``python -m benchmarks.score_race [dense cnn] [--seeds 20]`` races all methods;
``--alternatives`` races samplers and pruners in our own loop instead: what the defaults were chosen by.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from joblib import Parallel, delayed

from benchmarks import methods
from benchmarks.problems import TARGET_QUANTILE, Problem, load_problem
from benchmarks.race import LIMIT_TRIALS, Entry, Race, require_same_problem
from benchmarks.record import CURVES
from benchmarks.stats import Bar, median_with_missing
from fmnist_sweep.engines.machine import n_cores

OURS: Final = "ours"
PEERS: Final = {
    "kerastuner hyperband": "KerasTuner Hyperband",
    "kerastuner bayesian": "KerasTuner BayesianOptimization",
    "optuna": "Optuna with its defaults",
    "ray asha": "Ray Tune with ASHA",
    "hand grid": "the report's hand grid",
    "random": "random search, two workers",
}
BARS: Final = {**dict.fromkeys(list(PEERS)[:4], 3.0), "hand grid": 10.0}
RUNS_AS: Final = {
    "kerastuner hyperband": "kerastuner",
    "kerastuner bayesian": "kerastuner",
    "optuna": "optuna",
    "ray asha": "ray",
    "hand grid": "script",
}
"""Which contestant of the throughput comparison trains a peer's trials."""


def entries(slowness: Mapping[str, float] | None = None) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the methods, and the reason for each that can't run here.

    Args:
        slowness: How much longer a peer's epochs take than ours, by the peer's name; 1 where it is left out.
    """
    slow = {} if slowness is None else slowness

    def peer(name: str, make: Callable[[Problem, int], Any]) -> Entry:
        return methods.peer(name, make, slowness=slow.get(name, 1.0))

    found = {
        OURS: methods.ours(OURS),
        "random": peer("random", methods.RandomSearch),
        "optuna": peer("optuna", methods.OptunaDefaults),
        "hand grid": peer("hand grid", methods.HandGrid),
    }
    skipped = {}
    if importlib.util.find_spec("ray") is None:
        skipped["ray asha"] = "ray is not installed here: pip install 'fmnist-sweep[bench-ray]'"
    else:
        found["ray asha"] = peer("ray asha", methods.Asha)
    # Imported here: it brings TensorFlow along, which greets on every terminal.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks import kerastuner

    found["kerastuner hyperband"] = peer("kerastuner hyperband", kerastuner.hyperband)
    found["kerastuner bayesian"] = peer("kerastuner bayesian", kerastuner.bayesian)
    return found, skipped


def run_races(
    problem: Problem, found: Mapping[str, Entry], seeds: Sequence[int], *, say: Callable[[str], None] = print
) -> dict[str, list[Race]]:
    """Race every method on every seed, as many at a time as there are cores: the clock is a virtual one."""
    races: dict[str, list[Race]] = {}
    with Parallel(n_jobs=n_cores()) as side_by_side:
        for name, entry in found.items():
            races[name] = side_by_side(delayed(_race)(entry, problem, seed) for seed in seeds)
            times = [race.reached_s for race in races[name]]
            median = median_with_missing(times)
            n = sum(time is not None for time in times)
            shown = "not reached" if median is None else f"{median:.0f} s"
            say(f"{problem.name}: {name}: median {shown}, reached {n} of {len(times)}")
    require_same_problem(races)
    return races


def _race(entry: Entry, problem: Problem, seed: int) -> Race:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Optuna and KerasTuner warn of their own experiments and deprecations.
        warnings.simplefilter("ignore")
        return entry(problem, seed)


def row(name: str, races: Sequence[Race], ours: Sequence[Race]) -> dict[str, Any]:
    """Return a method's line of the table.

    Returns:
        ``name, reached, n, median_s, quartiles_s`` (None: not reached) ``, n_trials, n_epochs`` (medians) and
        ``ratio``: its median over ours; where its median was not reached, over its last moment, a
        lower bound, with ``at_least`` true.
    """
    times = [race.reached_s for race in races]
    numbers = np.array([np.inf if time is None else time for time in times])
    with np.errstate(invalid="ignore"):
        quartiles = [float(np.quantile(numbers, q, method="nearest")) for q in (0.25, 0.75)]
    median, own = median_with_missing(times), median_with_missing([race.reached_s for race in ours])
    bound = float(np.median([race.seconds for race in races])) if median is None else median
    return {
        "name": name,
        "reached": sum(time is not None for time in times),
        "n": len(times),
        "median_s": median,
        "quartiles_s": [q if np.isfinite(q) else None for q in quartiles],
        "n_trials": float(np.median([race.n_trials for race in races])),
        "n_epochs": float(np.median([race.n_epochs for race in races])),
        "ratio": None if own is None else bound / own,
        "at_least": median is None,
    }


def measure(
    problem: Problem,
    seeds: Sequence[int],
    *,
    slowness: Mapping[str, float],
    without: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Race all methods, once with equal epochs and once with each peer's own speed.

    Args:
        problem: The problem.
        seeds: At least ten make a bar.
        slowness: As for `entries`; empty where the throughput was not measured.
        without: Methods to leave out, each with its reason.
        say: Told how far it is.
    """
    found, skipped = entries()
    skipped |= dict(without or {})
    races = run_races(problem, {n: e for n, e in found.items() if n not in skipped}, seeds, say=say)
    told: dict[str, Any] = {
        "model": problem.name,
        "problem": problem.digest,
        "n_configurations": len(problem.table.rows),
        "epochs": problem.epochs,
        "target": problem.target,
        "quantile": problem.quantile,
        "limit_trials": LIMIT_TRIALS,
        "trial_seconds": problem.trial_seconds,
        "fidelity": problem.fidelity(),
        "seeds": len(seeds),
        "skipped": skipped,
        "rows": [row(name, some, races[OURS]) for name, some in races.items()],
        # Without each epoch that was better than any before: no table or plot asks for those.
        "races": {name: [asdict(replace(race, bests=())) for race in some] for name, some in races.items()},
        "slowness": dict(slowness),
    }
    if slowness:
        own_speed, _ = entries(slowness)
        again = run_races(problem, {n: own_speed[n] for n in slowness if n in own_speed}, seeds, say=say)
        told["rows_at_own_speed"] = [row(name, some, races[OURS]) for name, some in again.items()]
    return told


def slowness_from(throughput: Sequence[Mapping[str, Any]], n_workers: int = 2) -> dict[str, float]:
    """Return how much longer a peer's epochs take, from the throughput that was measured on this machine.

    Args:
        throughput: Rows of `throughput.summarise` for the same model.
        n_workers: Side by side in ours; a peer that trains one trial at a time has one.
    """
    ratio = {row["name"]: row["ratio_without_start"]["median"] for row in throughput if "ratio" in row}
    workers = {name: n_workers if name == "ray" else 1 for name in ratio}
    return {peer: ratio[runs] * workers[runs] / n_workers for peer, runs in RUNS_AS.items() if runs in ratio}


def bars(told: Mapping[str, Any]) -> list[Bar]:
    """Return the bars of one problem, peers at their own speed where that was measured."""
    rows = {row["name"]: row for row in told["rows"]}
    own_speed = {row["name"]: row for row in told.get("rows_at_own_speed", [])}
    found = []
    for name, limit in BARS.items():
        what = f"{told['model']}, median time to the score over {PEERS[name]}"
        if name not in rows:
            reason = told["skipped"].get(name, "")
            found.append(Bar("time to score", what, None, limit, ">=", note=reason))
            continue
        counted = own_speed.get(name, rows[name])
        ours, equal = rows[OURS], rows[name]
        note = f"reached {counted['reached']} of {counted['n']}; ours {ours['reached']} of {ours['n']}"
        if name in own_speed and equal["ratio"] is not None:
            at_least = "at least " if equal["at_least"] else ""
            note += f"; with equal epoch times {at_least}{equal['ratio']:.1f} x"
        if counted["at_least"]:
            note += "; a lower bound"
        found.append(Bar("time to score", what, counted["ratio"], limit, ">=", note=note))
    return found


def main() -> None:
    """Race, and print the table as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["dense", "cnn"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--alternatives", action="store_true")
    parser.add_argument(
        "--quantile", type=float, default=TARGET_QUANTILE, help="of random scores: the target"
    )
    parser.add_argument("--curves", type=Path, default=CURVES, help="folder of the tables")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for model in options.models:
        problem = load_problem(model, folder=options.curves, quantile=options.quantile)
        print(f"{model}: target {problem.target:.4f}, {problem.fidelity()}", flush=True)
        found = methods.alternatives() if options.alternatives else entries()[0]
        races = run_races(problem, found, range(options.seeds), say=lambda line: print(line, flush=True))
        base = races.get(OURS, next(iter(races.values())))
        for line in sorted((row(name, some, base) for name, some in races.items()), key=rank):
            print(json.dumps(line))


def rank(line: Mapping[str, Any]) -> float:
    """Return what lines of a table are sorted by: the median time, those that did not arrive last."""
    return float("inf") if line["median_s"] is None else float(line["median_s"])


if __name__ == "__main__":
    main()
