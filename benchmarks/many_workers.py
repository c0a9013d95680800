"""TPE's draws beside hundreds of running trials: made several at once, against each for itself.

``python -m benchmarks.many_workers [--workers 256 1000] [--seeds 20] [--rounds 4]``. Trials of a problem made
from recorded curves end one after the other, each after 0.8 to 1.2 of a round, and others are asked for.
The first round is drawn at random. Scores are in points of accuracy, the penalty taken off.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import optuna

from benchmarks.problems import Problem, load_problem
from fmnist_sweep.config.schema import TPESection
from fmnist_sweep.search import samplers, tpe

APART: Final = 10**9
"""So many running trials are not: each is seen, and each draw made for itself."""


def race(problem: Problem, n_workers: int, n_rounds: int, seed: int, *, at_once: bool) -> dict[str, float]:
    """Return what a search of so many rounds has found.

    Returns:
        ``best`` (the best score), ``last`` (the mean score of the last round) and ``ms`` (of a draw).
    """
    rng = np.random.default_rng(seed)
    n_trials = n_workers * n_rounds
    seconds = rng.uniform(0.8, 1.2, n_trials)
    study = optuna.create_study(direction="maximize")
    scores: list[float] = []
    running: list[tuple[float, int, optuna.Trial]] = []
    pictures, now, spent = tpe.Pictures(), 0.0, 0.0
    with ExitStack() as stack:
        for limit in () if at_once else ("MAX_RUNNING", "RUNNING_PER_DRAW"):
            stack.enter_context(patch.object(tpe, limit, APART))
        for number in range(n_trials):
            if number >= n_workers:
                now, ended, trial = heapq.heappop(running)
                study.tell(trial, scores[ended])
            began = time.process_time()
            study.sampler = samplers.build_sampler(TPESection(seed=seed), trial=number, pictures=pictures)
            trial = study.ask()
            point = samplers.draw(trial, problem.space)
            spent += (time.process_time() - began) * (number >= n_workers)
            scores.append(float(problem.best_scores([point], seed)[0]))
            heapq.heappush(running, (now + seconds[number], number, trial))
    return {
        "best": 100 * max(scores),
        "last": 100 * float(np.mean(scores[-n_workers:])),
        "ms": 1000 * spent / (n_trials - n_workers),
    }


def row(problem: Problem, n_workers: int, n_rounds: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Return both ways' means over the seeds, and their differences with a standard error."""
    found: dict[str, list[dict[str, float]]] = {"each": [], "at once": []}
    for seed in seeds:
        for way, some in found.items():
            some.append(race(problem, n_workers, n_rounds, seed, at_once=way == "at once"))
            print(f"{n_workers} workers, seed {seed}, {way}: {some[-1]}", file=sys.stderr, flush=True)
    told: dict[str, Any] = {"workers": n_workers, "rounds": n_rounds, "seeds": len(seeds)}
    for what in ("best", "last", "ms"):
        each, at_once = (np.array([one[what] for one in found[way]]) for way in ("each", "at once"))
        told[what] = {"each": round(each.mean(), 3), "at once": round(at_once.mean(), 3)}
        gained = at_once - each
        told[what]["difference"] = round(gained.mean(), 3)
        told[what]["se"] = round(gained.std(ddof=1) / np.sqrt(len(seeds)), 3)
    return told


def main() -> None:
    """Race, and print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="dense")
    parser.add_argument("--workers", type=int, nargs="+", default=[256, 1000])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = load_problem(options.model)
    for n_workers in options.workers:
        print(json.dumps(row(problem, n_workers, options.rounds, range(options.seeds))), flush=True)


if __name__ == "__main__":
    main()
