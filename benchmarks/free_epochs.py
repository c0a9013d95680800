"""Epochs for free: what a grid over 13, 15 and 17 epochs trains, and a configuration that comes again.

``python -m benchmarks.free_epochs [--train-size 2000]``. Real trainings, counted, not timed: few images do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any, Final

import optuna

from benchmarks.stats import Bar
from benchmarks.workload import fixed_config
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import n_cores
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage, side_folder

GRID: Final = (13, 15, 17)
MOST: Final = 1.05


def measure(*, train_size: int = 2000) -> dict[str, Any]:
    """Train the grid and a repetition, and the longest run alone, and return what was counted.

    Returns:
        ``asked`` and ``trained`` epochs of the grid with its longest configuration asked for twice;
        ``saved``; ``equal``: whether the longest run's curve is that of an uninterrupted run.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    grid, saved = _curves((*GRID, GRID[-1]), train_size)
    alone, _ = _curves((GRID[-1],), train_size)
    asked = sum(GRID) + GRID[-1]
    return {
        "grid": list(GRID),
        "train_size": train_size,
        "asked": asked,
        "saved": saved,
        "trained": asked - saved,
        "equal": _scores(grid[GRID.index(max(GRID))]) == _scores(alone[0]),
    }


def _curves(lengths: tuple[int, ...], train_size: int) -> tuple[list[LearningCurve], int]:
    """Return the curve of each trial, and how many epochs were saved."""
    config = fixed_config(
        "dense",
        space={"epochs": {"type": "choice", "choices": sorted(set(lengths))}},
        score={"epoch_rule": "last"},
        training={"train_size": train_size},
        sampler={"name": "random", "enqueue_default": False},
        pruner={"name": "none"},
        budget={"trials": len(lengths)},
    )
    data = open_data()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/studies.db"
        study = open_study(config, data, open_storage(url, create=True))
        point = config.sampled_space.complete({}, {**config.model_space.defaults, "epochs": lengths[0]})
        searched = {name: point[name] for name in config.sampled_space.searched if name in point}
        for n in lengths:
            study.enqueue_trial({**searched, "epochs": n})
        checkpoints = CheckpointFolder(side_folder(url, config.file.study))
        with (
            ownership(study) as owner,
            LocalEngine(n_cores(), places=Places.of(data, checkpoints=checkpoints.path)) as engine,
        ):
            search = Search.of(config, data, study, engine, run=owner.run, checkpoints=checkpoints)
            search.run()
        trials = study.get_trials(deepcopy=False)
        curves = [LearningCurve.from_attribute(trial.user_attrs["curve"]) for trial in trials]
        return curves, search.progress().n_reused_epochs


def _scores(curve: LearningCurve) -> list[tuple[float, ...]]:
    return [_without_seconds(scores) for scores in curve.epochs]


def _without_seconds(scores: EpochScores) -> tuple[float, ...]:
    return tuple(scores.by_name().values())


def bars(told: dict[str, Any]) -> list[Bar]:
    """Return the bar on trained epochs."""
    equal = "an uninterrupted run" if told["equal"] else "ANOTHER run"
    note = f"saved {told['saved']} of {told['asked']} epochs by reuse; the curve is that of {equal}"
    what = (
        f"epochs trained for {', '.join(map(str, told['grid']))} and one repetition, over the longest alone"
    )
    return [Bar("epochs for free", what, told["trained"] / max(told["grid"]), MOST, "<=", note=note)]


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-size", type=int, default=2000)
    print(json.dumps(measure(train_size=parser.parse_args().train_size), indent=2))


if __name__ == "__main__":
    main()
