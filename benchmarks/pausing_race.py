"""Whether trials that pause and go on later find good scores sooner than trials that are pruned.

``python -m benchmarks.pausing_race [dense cnn] [--seeds 50] --keep races.jsonl``, in virtual time: halving
that promotes and a forecast that thaws, under TPE and under random draws, against the sweep file as it
stands, Optuna's pruners in our loop and Ray's ASHA; all with equal epoch times. Half an hour of one
core. With ``--recorded`` the recorded configurations themselves are tried, in random order, and without TPE.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from joblib import Parallel, delayed

from benchmarks import methods, performance
from benchmarks.curves import read_table
from benchmarks.pausing import Promotion
from benchmarks.pausing_page import better
from benchmarks.problems import Problem, Recorded
from benchmarks.race import Race, race_limit_s, race_ours, race_peer
from benchmarks.record import CURVES
from benchmarks.run import DOCS, RESULTS
from benchmarks.stats import median_with_missing
from benchmarks.whole_sweeps import N_TRIALS, N_WORKERS
from fmnist_sweep.engines.machine import n_cores

OURS: Final = "ours"
EASY, HARD = 0.9, 0.99
LIMIT_TRIALS: Final = 40


@dataclass(frozen=True)
class Method:
    """One that races.

    Attributes:
        sampler: As in ``[sampler]``; None takes the sweep file's.
        pruner: As in ``[pruner]``; None takes the sweep file's.
        peer: Makes what drives the race instead of our loop, from the problem, the seed and
            ``sampler, n_trials``.
    """

    sampler: Mapping[str, Any] | None = None
    pruner: Mapping[str, Any] | None = None
    peer: Callable[..., Any] | None = None

    def race(self, problem: Problem, seed: int, *, n_trials: int | None = None, **limits: Any) -> Race:
        """Race; given a number of trials, the race ends with those."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = self.sampler
        if isinstance(problem, Recorded):
            sampler = {"name": "points", "points": problem.points(seed)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.peer is None:
                budget = methods.N_TRIALS if n_trials is None else n_trials
                config = methods.own_config(
                    problem, seed, sampler=sampler, pruner=self.pruner, n_trials=budget
                )
                return race_ours(OURS, problem, config, seed, **limits)
            peer = self.peer(problem, seed, sampler=sampler, n_trials=n_trials)
            return race_peer(OURS, problem, peer, seed, **limits)


def _promotion(first: int) -> Callable[..., Any]:
    return lambda problem, seed, **settings: Promotion(problem, seed, first=first, **settings)


class _Asha(methods.Asha):
    """Ray's, which ends with its trials."""

    def __init__(self, problem: Problem, seed: int, *, n_trials: int | None, **_: Any) -> None:
        super().__init__(problem, seed)
        self._listed = problem.points(seed) if isinstance(problem, Recorded) else None
        n_points = methods.N_TRIALS if self._listed is None else len(self._listed)
        self._n_trials = n_points if n_trials is None else min(n_trials, n_points)

    def propose(self, trial: int) -> Any:
        """Return a random point while trials are left."""
        if trial >= self._n_trials:
            return None
        proposal = super().propose(trial)
        return proposal if self._listed is None else replace(proposal, point=self._listed[trial])


def entries(*, recorded: bool = False) -> dict[str, Method]:
    """Return the methods; the first is what the others are compared with.

    Args:
        recorded: Without those under TPE, but for the first: its draws are random then as all others'.
    """
    random, pruners = methods.SAMPLERS["random"], methods.PRUNERS
    drawn: dict[str, Mapping[str, Any] | None] = (
        {"random": random} if recorded else {"tpe": None, "random": random}
    )
    found = {OURS: Method()}
    for sampler, section in drawn.items():
        for pruner in ("median", "successive halving, rungs by 2"):
            if (sampler, pruner) != ("tpe", "median"):
                found[f"{sampler} / {pruner}"] = Method(section, pruners[pruner])
        for first in (1, 2):
            name = f"{sampler} / promotion by 3 from {first} {'epoch' if first == 1 else 'epochs'}"
            found[name] = Method(section, peer=_promotion(first))
        promotion = {"name": "promotion", "min_resource": 2, "reduction_factor": 3}
        found[f"{sampler} / [pruner] promotion by 3 from 2 epochs"] = Method(section, promotion)
        found[f"{sampler} / [pruner] freeze-thaw, 4 epochs a trial"] = Method(
            section, {"name": "freeze_thaw"}
        )
    found["random / ray asha"] = Method(random, peer=_Asha)
    return found


def measure(
    problem: Problem, seeds: Sequence[int], keep: Path, *, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Race all methods on a model's recorded curves, seed by seed, and return what `keep` then holds.

    Args:
        problem: The problem, to the hard score.
        seeds: Of the methods and of the problem's noise.
        keep: A line of JSON for each method and seed; those that stand there are not raced again.
        say: Told of each seed.

    Returns:
        A mapping for each method and seed: ``model, name, seed``; the seconds ``easy_s, hard_s`` (None: not
        reached); of a whole sweep of `N_TRIALS` its ``score, seconds, epochs``.
    """
    recorded, model = isinstance(problem, Recorded), problem.name
    # Worked out before the problem travels to the workers.
    hard, easy = problem.target, problem.reached_by(1 - EASY)
    say(f"{model}: easy {easy:.4f}, hard {hard:.4f}")
    before = {(line["model"], line["name"], line["seed"]) for line in _lines(keep)}
    side_by_side = Parallel(n_jobs=n_cores(), return_as="generator_unordered")
    missing = (
        (name, method, seed)
        for seed in seeds
        for name, method in entries(recorded=recorded).items()
        if (model, name, seed) not in before
    )
    for line in side_by_side(delayed(_line)(problem, (easy, hard), *one) for one in missing):
        with keep.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        say(f"{model}: {line['name']}, seed {line['seed']}")
    return [line for line in _lines(keep) if line["model"] == model and line["seed"] in seeds]


def _line(
    problem: Problem, targets: tuple[float, float], name: str, method: Method, seed: int
) -> dict[str, Any]:
    easy, hard = targets
    race = method.race(problem, seed, limit_trials=LIMIT_TRIALS)
    # The clock is not stopped at a score: the sweep ends with its trials.
    whole = method.race(problem, seed, n_trials=N_TRIALS, at_least_s=np.inf)
    return {
        "model": problem.name,
        "name": name,
        "seed": seed,
        "easy_s": race.time_to(easy),
        "hard_s": race.time_to(hard),
        "score": whole.best_by(whole.seconds),
        "seconds": whole.seconds,
        "epochs": whole.n_epochs,
    }


def _lines(keep: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in keep.read_text("utf-8").splitlines()] if keep.exists() else []


def summarise(lines: Sequence[Mapping[str, Any]], limit_s: float) -> list[dict[str, Any]]:
    """Return a row for each method of one model, over the seeds that all methods have raced.

    Args:
        lines: As `measure` gives them.
        limit_s: Seconds after which a race ends unreached.

    Returns:
        ``name, n``; medians ``easy_s, hard_s`` (None: most did not arrive) and how many arrived in
        ``easy_reached, hard_reached``; ``easy_faster, hard_faster``, the first method's median over this
        one's, a lower bound with ``easy_at_least, hard_at_least`` true where only this one has one; of
        whole sweeps the means ``score, seconds, epochs``, and ``gain``, the mean difference from the first
        method's score of the same seed, with ``gain_error``, its standard error.
    """
    names = [name for name in entries() if any(line["name"] == name for line in lines)]
    raced = {name: {line["seed"]: line for line in lines if line["name"] == name} for name in names}
    seeds = sorted(set.intersection(*(set(of_seed) for of_seed in raced.values())))
    rows: list[dict[str, Any]] = []
    for name in names:
        own, first = [raced[name][seed] for seed in seeds], [raced[names[0]][seed] for seed in seeds]
        gains = np.array([a["score"] - b["score"] for a, b in zip(own, first, strict=True)])
        row: dict[str, Any] = {"name": name, "n": len(seeds)}
        for target in ("easy", "hard"):
            times, theirs = ([line[f"{target}_s"] for line in some] for some in (own, first))
            median, base = median_with_missing(times), median_with_missing(theirs)
            row[f"{target}_s"] = median
            row[f"{target}_reached"] = sum(time is not None for time in times)
            row[f"{target}_faster"] = None if median is None else (limit_s if base is None else base) / median
            row[f"{target}_at_least"] = median is not None and base is None
        row |= {what: float(np.mean([line[what] for line in own])) for what in ("score", "seconds", "epochs")}
        row |= {"gain": float(gains.mean()), "gain_error": float(gains.std(ddof=1) / len(seeds) ** 0.5)}
        rows.append(row)
    return rows


def main() -> None:
    """Race, print each method's row as a JSON line, and say which methods are better."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["dense", "cnn"])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--recorded", action="store_true", help="try the recorded configurations alone")
    parser.add_argument("--keep", type=Path, required=True, help="file of the races; goes on where it was")
    parser.add_argument("--write", action="store_true", help="into the results file and its page")
    options = parser.parse_args()
    measured: list[dict[str, Any]] = []
    for model in options.models:
        given = read_table(CURVES / f"{model}.jsonl")
        problem = (Recorded if options.recorded else Problem)(given, quantile=HARD)
        lines = measure(problem, range(options.seeds), options.keep, say=lambda line: print(line, flush=True))
        told = {"model": model, "recorded": options.recorded, "limit_trials": LIMIT_TRIALS}
        told["n_configurations"] = len(given.rows)
        scores = {"easy": problem.reached_by(1 - EASY), "hard": problem.target}
        limit_s = race_limit_s(problem, N_WORKERS, limit_trials=LIMIT_TRIALS)
        measured.append({**told, **scores, "rows": summarise(lines, limit_s)})
        for row in measured[-1]["rows"]:
            print(json.dumps({"model": model, **row}))
    found = better([told["rows"] for told in measured])
    print(f"Better than {OURS} on {', '.join(options.models)}: {', '.join(found) or 'none'}.")
    if options.write:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        others = [told for told in results.get("pausing", []) if told["recorded"] != options.recorded]
        # Seconds of a clock of its own: they are the same on any machine.
        results["pausing"] = [*others, *measured]
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{performance.write(results, DOCS)} is written.")


if __name__ == "__main__":
    main()
