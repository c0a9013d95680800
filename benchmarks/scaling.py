"""Scaling: one worker against two on real trials, and the parent's own cost with 4 to 1,000 scripted ones.

``python -m benchmarks.scaling [--quick]``. The scripted part runs the real search, in virtual time, on an
SQLite storage and on one in memory: their difference is what the storage costs.

``--parent N`` measures one case of it alone, with so many workers: what of a core the search takes, and how
its memory grows, on SQLite or, with ``--storage postgresql+psycopg://...``, in an empty database of a server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import optuna
import psutil
from typing_extensions import override

from benchmarks.race import DATA
from benchmarks.stats import Bar, Spread, rotated
from benchmarks.throughput import Plan, run_contestant
from benchmarks.virtual import VirtualEngine
from benchmarks.workload import Workload, blocks, draw, fixed_config
from fmnist_sweep.core.curves import METRICS, LearningCurve
from fmnist_sweep.core.jobs import Scalar, TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage

MIN_SPEEDUP: Final = 1.9
MAX_OVERHEAD_S: Final = 0.5
MAX_OVERHEAD_SHARE: Final = 0.02
N_WORKERS: Final = (4, 16, 64, 256, 1000)
EPOCH_S: Final = 2.5
"""What a dense epoch takes on one core: so often a worker sends an event."""


def measure_workers(plan: Plan, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train the same dense trials with one worker and with all cores, block by block.

    The trials differ in their learning rate alone, so that no worker waits for another's longer trial.

    Returns:
        ``speedup`` (by block), ``epoch_slowdown`` (by block: median epoch beside others over one alone),
        ``overhead_s`` (a trial's seconds less its epochs', by trial, all workers busy) and
        ``overhead_share`` (of the trials' seconds).
    """
    speedups, slowdowns, overheads, seconds = [], [], [], 0.0
    for i, points in enumerate(blocks(_equal_trials(plan.n_points["dense"]), plan.n_blocks)):
        train_s, epoch_s = {}, {}
        for kind in rotated(["one", "all"], i):
            n = 1 if kind == "one" else n_cores()
            work = Workload("dense", points, plan.epochs, train_size=plan.train_size, n_workers=n)
            told = run_contestant("ours", work)
            train_s[kind] = told["train_s"]
            epoch_s[kind] = statistics.median(s for epochs in told["epoch_seconds"] for s in epochs[1:])
            if kind == "all":
                pairs = zip(told["trial_seconds"], told["epoch_seconds"], strict=True)
                overheads += [whole - sum(epochs) for whole, epochs in pairs]
                seconds += sum(told["trial_seconds"])
        speedups.append(train_s["one"] / train_s["all"])
        slowdowns.append(epoch_s["all"] / epoch_s["one"])
        say(f"scaling block {i + 1}/{plan.n_blocks}: {n_cores()} workers are {speedups[-1]:.2f} x one")
    return {
        "n_workers": n_cores(),
        "speedup": speedups,
        "epoch_slowdown": slowdowns,
        "overhead_s": overheads,
        "overhead_share": sum(overheads) / seconds,
        "epochs": plan.epochs,
        "train_size": plan.train_size,
    }


def _equal_trials(n: int) -> list[dict[str, Scalar]]:
    base = draw("dense", 1)[0]
    return [{**base, "batch_size": 32, "learning_rate": float(rate)} for rate in np.geomspace(1e-4, 1e-3, n)]


def simulate(
    n_workers: int, *, sqlite: bool, n_trials: int, url: str | None = None, sampler: str = "random"
) -> dict[str, float]:
    """Return what the parent's loop takes for each event and each trial, whatever the workers do meanwhile.

    Nothing is pruned: under a random sampler what remains is the loop and the storage.

    Args:
        n_workers: Trials side by side.
        sqlite: Whether the study is in a file of SQLite, or in memory.
        n_trials: How many.
        url: A storage to take instead.
        sampler: Name of the sampler.
    """
    config = fixed_config(
        "dense",
        space={"epochs": 10},
        sampler={"name": sampler, "enqueue_default": False},
        pruner={"name": "none"},
        budget={"trials": n_trials},
    )
    with tempfile.TemporaryDirectory() as folder:
        if url is None:
            url = f"sqlite:///{folder}/studies.db" if sqlite else None
        storage = optuna.storages.InMemoryStorage() if url is None else open_storage(url, create=True)
        study = open_study(config, DATA, storage)
        engine = VirtualEngine(_scripted, n_workers)
        with ownership(study):
            memory = _Memory(n_trials)
            search = Search.of(config, DATA, study, engine, observer=memory)
            began, used = time.perf_counter(), time.process_time()
            search.run()
            spent, used = time.perf_counter() - began, time.process_time() - used
    return {
        "seconds": spent,
        "processor_seconds": used,
        "virtual_seconds": engine.now,
        "n_events": engine.n_events,
        "n_trials": n_trials,
        **{f"memory_mb_after_{n}": mb for n, mb in memory.found.items()},
    }


class _Memory(Observer):
    """Notes the memory of this process after 100 trials and at the end."""

    def __init__(self, n_trials: int) -> None:
        self.found: dict[int, float] = {}
        self._at = {min(100, n_trials), n_trials}
        self._n = 0

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        self._n += 1
        if self._n in self._at:
            self.found[self._n] = round(psutil.Process().memory_info().rss / 2**20, 1)


def _scripted(job: TrialJob) -> LearningCurve:
    rng = np.random.default_rng(job.trial)
    val = rng.uniform(0.8, 0.9, job.epochs).round(4).tolist()
    stored = dict.fromkeys(METRICS, val)
    seconds = (EPOCH_S * rng.uniform(0.8, 1.2, job.epochs)).tolist()
    return LearningCurve.from_attribute({**stored, "seconds": seconds})


def measure_parent(
    n_workers: Sequence[int] = N_WORKERS, *, trials_a_worker: int = 2
) -> list[dict[str, float]]:
    """Return a row for each number of workers: milliseconds of an event in the parent and in the storage.

    ``saturates_at`` is the number of workers whose dense epochs keep the parent busy all the time;
    ``processor_ms_an_event`` leaves out what else a shared machine did meanwhile.
    """
    rows = []
    for n in n_workers:
        n_trials = max(32, trials_a_worker * n)
        runs = {
            kind: simulate(n, sqlite=kind == "sqlite", n_trials=n_trials) for kind in ("sqlite", "memory")
        }
        ms = {kind: 1000 * run["seconds"] / run["n_events"] for kind, run in runs.items()}
        rows.append(
            {
                "n_workers": n,
                "n_trials": n_trials,
                "ms_an_event": ms["sqlite"],
                "ms_in_storage": ms["sqlite"] - ms["memory"],
                "processor_ms_an_event": 1000
                * runs["sqlite"]["processor_seconds"]
                / runs["sqlite"]["n_events"],
                "saturates_at": EPOCH_S * 1000 / ms["sqlite"],
            }
        )
    return rows


def bars(workers: dict[str, Any], parent: Sequence[dict[str, float]]) -> list[Bar]:
    """Return the bars on speedup and overhead."""
    speedup, overhead = Spread.of(workers["speedup"]), Spread.of(workers["overhead_s"])
    slowdown = statistics.median(workers["epoch_slowdown"])
    few = "" if workers["train_size"] is None else f"; {workers['train_size']} images"
    worst = max(parent, key=lambda row: row["ms_an_event"])
    note = (
        f"at {worst['n_workers']} workers an event costs {worst['ms_an_event']:.1f} ms, "
        f"{worst['ms_in_storage']:.1f} of it storage"
    )
    return [
        Bar(
            "scaling",
            f"{workers['n_workers']} workers over one",
            speedup.median,
            MIN_SPEEDUP,
            ">=",
            spread=_range(speedup),
            note=f"an epoch beside others takes {slowdown:.2f} x one alone{few}",
        ),
        Bar(
            "scaling",
            "overhead of a dense trial outside its epochs",
            overhead.median,
            MAX_OVERHEAD_S,
            "<=",
            unit="s",
            spread=_range(overhead),
            note=few.removeprefix("; "),
        ),
        Bar(
            "scaling",
            f"that overhead as a share of trials of {workers['epochs']} epochs",
            workers["overhead_share"],
            MAX_OVERHEAD_SHARE,
            "<=",
            unit="",
            note=few.removeprefix("; "),
        ),
        Bar(
            "scaling",
            f"simulated workers that keep the parent busy, epochs of {EPOCH_S:g} s",
            min(row["saturates_at"] for row in parent),
            max(N_WORKERS),
            ">=",
            unit="",
            note=note,
        ),
    ]


def _range(spread: Spread) -> str:
    return f"{spread.low:.2f} to {spread.high:.2f}, n = {spread.n}"


FULL: Final = Plan({"dense": 8}, n_blocks=2, epochs=20)
QUICK: Final = Plan({"dense": 4}, n_blocks=1, epochs=2, train_size=20_000)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--simulated-only", action="store_true")
    parser.add_argument("--parent", type=int, metavar="N")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--storage", metavar="URL")
    parser.add_argument("--sampler", default="random")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.parent is not None:
        case = simulate(
            options.parent,
            sqlite=True,
            n_trials=options.trials,
            url=options.storage,
            sampler=options.sampler,
        )
        case["processor_ms_an_event"] = 1000 * case["processor_seconds"] / case["n_events"]
        case["share_of_a_core"] = case["processor_seconds"] / case["virtual_seconds"]
        print(json.dumps(case, indent=2))
        return
    parent = measure_parent()
    print(json.dumps(parent, indent=2), flush=True)
    if not options.simulated_only:
        told = measure_workers(QUICK if options.quick else FULL)
        print(json.dumps({**told, "overhead_median_s": statistics.median(told["overhead_s"])}, indent=2))


if __name__ == "__main__":
    main()
