"""What came in one turn of the loop is told together, and nothing is removed before it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from typing_extensions import override

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial
from fmnist_sweep.search.turns import Turns
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.training.testing import ScriptedTrainer


class Saving:
    """A scripted trainer that leaves a checkpoint."""

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder

    def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
        """Train from the script."""
        self._folder.file(job.trial).touch()
        return iter(ScriptedTrainer().fit(job))


class Looking(Observer):
    """Notes, when it hears of an end, what another process would find."""

    def __init__(self, storage: optuna.storages.RDBStorage, folder: CheckpointFolder) -> None:
        self._storage, self._folder = storage, folder
        self.seen: list[tuple[int, list[str], bool]] = []

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        (name,) = optuna.get_all_study_names(self._storage)
        trials = optuna.load_study(study_name=name, storage=self._storage).trials
        self.seen.append(
            (trial.number, [t.state.name for t in trials], self._folder.file(trial.number).exists())
        )


def test_the_ends_of_one_turn_are_stored_before_what_follows(
    make_config: Callable[..., SweepConfig],
    sweep: Callable[..., Any],
    workers: Any,
    storage: optuna.storages.RDBStorage,
    tmp_path: Path,
) -> None:
    """Three that end at once: each is told once all are stored, and has its checkpoint until then."""
    (tmp_path / "checkpoints").mkdir()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    engine = workers(Saving(folder), 3)
    events = engine.events

    def until_all_ended(timeout_s: float) -> list[Any]:
        found = []
        while engine.running:
            found += events(timeout_s)
        return found

    engine.events = until_all_ended
    looking = Looking(storage, folder)
    config = make_config(budget={"trials": 3}, pruner={"name": "none"})
    sweep(config, engine=engine, storage=storage, observer=looking, checkpoints=folder)
    assert looking.seen == [(number, ["COMPLETE"] * 3, True) for number in range(3)]
    assert folder.size() == 0
    assert not any(folder.file(number).exists() for number in range(3))


def test_what_follows_waits_for_the_turn_and_not_without_one() -> None:
    turns = Turns(optuna.create_study())
    done: list[str] = []
    turns.then(lambda: done.append("at once"))
    with turns.held(), turns.turn():
        turns.then(lambda: done.append("after"))
        done.append("in it")
    assert done == ["at once", "in it", "after"]


def test_nothing_follows_a_turn_that_was_cut_short() -> None:
    turns = Turns(optuna.create_study())
    done: list[str] = []

    def cut_short() -> None:
        with turns.turn():
            turns.then(lambda: done.append("after"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    turns.then(lambda: done.append("next"))
    assert done == ["next"]
