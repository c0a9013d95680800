"""Start and ask on a study of many stored trials: ``python -m benchmarks.large_study [N_TRIALS]``.

Makes a study of random dense configurations with 15-epoch curves in a temporary SQLite file, then measures,
in a process of its own, what a run does before its first trial (open, read the history) and each ask.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

from benchmarks.made_storage import make_storage
from benchmarks.race import DATA
from benchmarks.workload import fixed_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.training.testing import ScriptedTrainer

ROOT = Path(__file__).parent.parent
N_EPOCHS = 15
N_ASKS = 20


def config(n_trials: int) -> SweepConfig:
    """Return the dense sweep with room for more trials than are stored."""
    return fixed_config("dense", budget={"trials": n_trials + N_ASKS})


def measure(url: str, n_trials: int) -> None:
    """Print, as JSON, the seconds until a search could start, and those of each ask."""
    began = time.perf_counter()
    sweep = config(n_trials)
    study = open_study(sweep, DATA, open_storage(url, create=False))
    search = Search.of(sweep, DATA, study, InlineEngine(ScriptedTrainer()))
    started = time.perf_counter() - began
    asks = []
    for _ in range(N_ASKS):
        began = time.perf_counter()
        search._asker.ask()  # noqa: SLF001 - the step that is measured
        asks.append(time.perf_counter() - began)
    print(json.dumps({"start_s": started, "asks_s": asks}))


def main() -> None:
    """Make the study, measure it, and print a table."""
    if len(sys.argv) == 4:
        measure(sys.argv[2], int(sys.argv[3]))
        return
    sizes = [int(sys.argv[1])] if len(sys.argv) == 2 else [100, 1000, 10_000]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("stored trials   start (s)   ask, median (ms)   ask, worst (ms)")
    for n_trials in sizes:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/studies.db"
            make_storage(url, n_trials, n_epochs=N_EPOCHS)
            command = [sys.executable, "-m", "benchmarks.large_study", "measure", url, str(n_trials)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
            told = json.loads(done.stdout)
        ms = [1000 * s for s in told["asks_s"]]
        row = f"{n_trials:>13}{told['start_s']:>12.2f}{statistics.median(ms):>19.0f}{max(ms):>18.0f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
