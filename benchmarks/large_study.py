"""Start and ask on a study of many stored trials: ``python benchmarks/large_study.py [N_TRIALS]``.

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

import numpy as np
import optuna

from fmnist_sweep import sampling
from fmnist_sweep.config import SweepConfig, load_config
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.records import DataRef, TrialJob
from fmnist_sweep.search import Search
from fmnist_sweep.study import open_storage, open_study
from fmnist_sweep.testing import ScriptedTrainer, scripted_curve

ROOT = Path(__file__).parent.parent
DATA = DataRef("fashion-mnist", "/nowhere", "0" * 64, (28, 28, 1), tuple("abcdefghij"), 60_000)
N_EPOCHS = 15
N_ASKS = 20


def config(n_trials: int) -> SweepConfig:
    """Return the dense sweep with room for more trials than are stored."""
    return load_config(ROOT / "sweeps" / "dense.toml", [f"budget.trials={n_trials + N_ASKS}"])


def make(url: str, n_trials: int) -> None:
    """Store finished trials of random configurations."""
    sweep = config(n_trials)
    study = open_study(sweep, DATA, open_storage(url, create=True))
    rng = np.random.default_rng(0)
    trials = []
    for number in range(n_trials):
        point = sweep.sampled_space.sample(rng)
        params = {name: point[name] for name in sweep.sampled_space.searched if name in point}
        job = TrialJob(number, "dense", {"accuracy_peak": rng.uniform(0.8, 0.9)}, N_EPOCHS, number, DATA)
        curve = scripted_curve(job)
        epoch = sweep.score_rule.scored_epoch(curve)
        scored = curve.epochs[epoch]
        trials.append(
            optuna.create_trial(
                value=sweep.score_rule.score(scored),
                params=params,
                distributions={name: sampling.distribution(sweep.space[name]) for name in params},
                user_attrs={
                    "hyperparameters": point,
                    "curve": curve.to_attribute(),
                    "epoch": epoch,
                    "n_epochs": N_EPOCHS,
                    "n_parameters": 1000,
                    "val_accuracy": scored.val_accuracy,
                    "train_accuracy": scored.train_accuracy,
                    "gap": scored.train_accuracy - scored.val_accuracy,
                    "seconds": 1.0,
                },
                intermediate_values=dict(enumerate(sweep.score_rule.scores(curve).tolist())),
            )
        )
    study.add_trials(trials)


def measure(url: str, n_trials: int) -> None:
    """Print, as JSON, the seconds until a search could start, and those of each ask."""
    began = time.perf_counter()
    sweep = config(n_trials)
    study = open_study(sweep, DATA, open_storage(url, create=False))
    search = Search(sweep, DATA, study, InlineEngine(ScriptedTrainer()))
    started = time.perf_counter() - began
    asks = []
    for _ in range(N_ASKS):
        began = time.perf_counter()
        search._ask()  # noqa: SLF001 - the step that is measured
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
            make(url, n_trials)
            command = [sys.executable, __file__, "measure", url, str(n_trials)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            told = json.loads(done.stdout)
        ms = [1000 * s for s in told["asks_s"]]
        row = f"{n_trials:>13}{told['start_s']:>12.2f}{statistics.median(ms):>19.0f}{max(ms):>18.0f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
