"""Every comparison in one go: ``make bench``, or ``python -m benchmarks.run [--quick] [--only AREA ...]``.

Prints a table with each bar and whether it is met, and writes ``benchmarks/results.json`` and
``docs/performance.md`` with its plots; the quick form writes both into ``benchmarks/quick``. With ``--only``
the other areas keep what the file says of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna

from benchmarks import breakdown, free_epochs, interactive, performance, scaling, throughput
from benchmarks.contestants import CONTESTANTS
from benchmarks.record import CURVES
from benchmarks.stats import Bar, table
from benchmarks.workload import ROOT
from fmnist_sweep.engines.machine import machine, n_cores

RESULTS: Final = ROOT / "benchmarks" / "results.json"
DOCS: Final = ROOT / "docs"
QUICK_FOLDER: Final = ROOT / "benchmarks" / "quick"
MODELS: Final = ("dense", "cnn")
HARD_QUANTILE: Final = 0.99
_TOO_SLOW: Final = {"kerastuner bayesian": "its proposals take up to a second each: minutes for a race"}
_PACKAGES: Final = ("fmnist-sweep", "tensorflow", "keras", "keras-tuner", "optuna", "ray", "numpy")
_SCRIPTS: Final = {
    "Studies of thousands of trials": ["benchmarks.large_study", "5000", "10000"],
    "Memory over many trials": ["benchmarks.memory", "40"],
    "Memory of a run": ["benchmarks.memory_at_once", "2", "8", "64"],
    "Faster steps that were tried": ["benchmarks.steps", "20000"],
    "The machine's limit": ["benchmarks.limits", "20000"],
    "One call of a fit of one's own": ["benchmarks.own_fit"],
    "What a checkpoint takes": ["benchmarks.checkpoint"],
}


def _say(line: str) -> None:
    print(line, flush=True)


def _is_recorded(model: str) -> bool:
    return (CURVES / f"{model}.jsonl").exists()


def versions() -> dict[str, str]:
    """Return the versions of what was compared, as far as it is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def run_throughput(model: str, results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Compare trials an hour."""
    plan = throughput.QUICK if quick else throughput.FULL
    told = throughput.compare(model, plan, list(CONTESTANTS), say=_say)
    others = [other for other in results.get("throughput", []) if other["model"] != model]
    measured = [*others, {**told, "rows": throughput.summarise(told)}]
    results["throughput"] = sorted(measured, key=lambda one: MODELS.index(one["model"]))
    return throughput.bars(told)


def run_breakdown(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Part a trial's seconds."""
    size = throughput.QUICK.train_size if quick else None
    results["breakdown"] = [breakdown.measure(model, train_size=size) for model in MODELS]
    return []


def run_races(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Race to a score, on the tables that are recorded; in the full form also to a hard one."""
    # It brings scikit-learn along, which the others don't need.
    from benchmarks import score_race
    from benchmarks.problems import load_problem

    found: list[Bar] = []
    results["races"], results["harder_races"] = [], []
    rows = {told["model"]: told["rows"] for told in results.get("throughput", [])}
    for model in MODELS:
        if not _is_recorded(model):
            results["skipped"][f"time to score, {model}"] = (
                f"no table is recorded: python -m benchmarks.record {model}"
            )
            continue
        slowness = score_race.slowness_from(rows[model], n_cores()) if model in rows else {}
        told = score_race.measure(
            load_problem(model), range(10 if quick else 50), slowness=slowness, say=_say
        )
        results["races"].append(told)
        found += score_race.bars(told)
        if not quick:
            hard = load_problem(model, quantile=HARD_QUANTILE)
            results["harder_races"].append(
                score_race.measure(hard, range(20), slowness={}, without=_TOO_SLOW, say=_say)
            )
    return found


def run_alternatives(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Race samplers and pruners in our own loop: what the defaults are chosen by; left out of the quick form.

    To the score that is hard to reach: the easy one is reached before any sampler has learned.
    """
    from benchmarks import methods, score_race
    from benchmarks.problems import load_problem

    results["alternatives"] = []
    for model in MODELS:
        if quick or not _is_recorded(model):
            continue
        problem = load_problem(model, quantile=HARD_QUANTILE)
        entries = {score_race.OURS: methods.ours(score_race.OURS), **methods.alternatives()}
        races = score_race.run_races(problem, entries, range(20), say=_say)
        rows = [score_race.row(name, some, races[score_race.OURS]) for name, some in races.items()]
        told = {"model": model, "target": problem.target, "quantile": problem.quantile}
        results["alternatives"].append({**told, "rows": sorted(rows, key=score_race.rank)})
    return []


def run_whole_sweeps(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Sweep thirty trials under each pruner; left out of the quick form."""
    from benchmarks import whole_sweeps
    from benchmarks.problems import load_problem

    results["whole_sweeps"] = [
        {"model": model, "rows": whole_sweeps.measure(load_problem(model), range(24), say=_say)}
        for model in MODELS
        if not quick and _is_recorded(model)
    ]
    return []


def run_free_epochs(results: dict[str, Any], *, quick: bool) -> list[Bar]:  # noqa: ARG001 - it is quick as it is
    """Count epochs."""
    results["free_epochs"] = free_epochs.measure()
    return free_epochs.bars(results["free_epochs"])


def run_scaling(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Scale, really and simulated."""
    results["parent"] = scaling.measure_parent(trials_a_worker=1 if quick else 2)
    results["workers"] = scaling.measure_workers(scaling.QUICK if quick else scaling.FULL, say=_say)
    return scaling.bars(results["workers"], results["parent"])


def run_interactive(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Wait for the commands."""
    results["interactive"] = interactive.measure(repeat=3 if quick else 7, say=_say)
    return interactive.bars(results["interactive"])


def run_scripts(results: dict[str, Any], *, quick: bool) -> list[Bar]:
    """Run the smaller measurements that print a table of their own."""
    results["scripts"] = {}
    for name, (script, *arguments) in _SCRIPTS.items():
        fewer = [str(int(number) // 4) for number in arguments]
        command = [sys.executable, "-m", script, *(fewer if quick else arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        results["scripts"][name] = done.stdout
    return []


AREAS: Final[dict[str, Callable[..., list[Bar]]]] = {
    "interactive": run_interactive,
    "free_epochs": run_free_epochs,
    "scaling": run_scaling,
    **{f"throughput_{model}": partial(run_throughput, model) for model in MODELS},
    "breakdown": run_breakdown,
    "races": run_races,
    "alternatives": run_alternatives,
    "whole_sweeps": run_whole_sweeps,
    "scripts": run_scripts,
}


def begin(path: Path, *, quick: bool, areas: Sequence[str]) -> dict[str, Any]:
    """Return the results that a run adds to: those of the file, where only some areas are measured anew.

    Raises:
        ValueError: The file is of another kind of machine, of other versions or of the other form. One kind
            has one processor, as many cores, as much memory and one Python; its kernel's build may differ.
    """
    fresh: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "machine": machine(),
        "versions": versions(),
        "skipped": {},
        "seconds": {},
        "bars": [],
    }
    if set(areas) == set(AREAS) or not path.exists():
        return fresh
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    differ = [key for key in ("quick", "versions") if before[key] != fresh[key]]
    if _kind(before["machine"]) != _kind(fresh["machine"]):
        differ.append("machine")
    if differ:
        raise ValueError(
            f"{path} was measured otherwise ({', '.join(differ)} differ): name another file with --output, "
            "or measure all areas"
        )
    return {**before, "date": fresh["date"], "machine": fresh["machine"]}


def _kind(of_machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says of a machine how fast it is; the bytes of its memory differ from boot to boot."""
    kind = {name: fact for name, fact in of_machine.items() if name != "system"}
    return {**kind, "memory_gb": round(kind.get("memory_gb", 0))}


def joined(kept: Sequence[Bar], found: Sequence[Bar]) -> list[Bar]:
    """Return the bars of a results file and those measured anew, which take the place of their area's."""
    order = list(dict.fromkeys(bar.area for bar in (*kept, *found)))
    measured = {bar.area for bar in found}
    bars = [*found, *(bar for bar in kept if bar.area not in measured)]
    return sorted(bars, key=lambda bar: order.index(bar.area))


def main() -> None:
    """Run what was asked for, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten minutes: fewer images, blocks and seeds")
    parser.add_argument("--only", nargs="+", choices=list(AREAS), default=list(AREAS))
    parser.add_argument("--output", type=Path, help="file of the results")
    parser.add_argument("--docs", type=Path, help="folder of the page and its plots")
    options = parser.parse_args()
    # What is published is of the full form.
    options.output = options.output or (QUICK_FOLDER / "results.json" if options.quick else RESULTS)
    options.docs = options.docs or (QUICK_FOLDER if options.quick else DOCS)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        results = begin(options.output, quick=options.quick, areas=options.only)
    except ValueError as error:
        parser.error(str(error))
    found: list[Bar] = []
    kept = performance.bars_of(results)
    for area, run in AREAS.items():
        if area in options.only:
            _say(f"--- {area}")
            began = time.monotonic()
            found += run(results, quick=options.quick)
            results["seconds"][area] = round(time.monotonic() - began, 1)
            results.setdefault("measured", {})[area] = results["date"]
            results["bars"] = [bar.to_dict() for bar in joined(kept, found)]
            # After each area: hours of measuring are not lost to the last one's failure.
            options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _say("\n" + table(found))
    for name, reason in results["skipped"].items():
        _say(f"not measured: {name}: {reason}")
    _say(f"\n{options.output} and {performance.write(results, options.docs)} are written.")


if __name__ == "__main__":
    main()
