"""Trials that pause at a rung and go on: by the real loop, with curves from a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from resuming import EPOCHS, NO_DEFAULT, SPACE, Resuming, n_epochs, words

from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.paused import as_pruned
from fmnist_sweep.storage.stored import StoredStudy

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]


@pytest.fixture
def promoting(make_config: MakeConfig) -> MakeConfig:
    """A sweep whose trials pause after two epochs, and after six."""

    def make(trials: int, **sections: Any) -> SweepConfig:
        given = {"space": SPACE, "sampler": NO_DEFAULT, "pruner": {"name": "promotion"}, **sections}
        return make_config(budget={"trials": trials}, **given)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_the_best_go_on_to_the_end_and_no_epoch_is_trained_twice(
    *,
    promoting: MakeConfig,
    sweep: Sweep,
    workers: Any,
    folder: CheckpointFolder,
    storage: optuna.storages.RDBStorage,
    slots: int,
) -> None:
    """The others wait with what they have come to, and their checkpoints stay."""
    trainer = Resuming()
    engine = workers(trainer, slots, places=Places(checkpoints=folder.path))
    stop, study = sweep(promoting(12), engine=engine, checkpoints=folder, storage=storage)
    assert stop is Stop.TRIALS
    assert len(study.trials) == 12
    assert len(set(trainer.trained)) == len(trainer.trained)
    at = n_epochs(study)
    assert set(at) == {2, 6, EPOCHS}
    stored = StoredStudy.of(study)
    for trial, n, word in zip(stored.trials, at, words(study), strict=True):
        assert word == ("COMPLETE" if n == EPOCHS else "PAUSED")
        assert (trial.score is None) == (n < EPOCHS)
        assert len(trial.curve or ()) == n
        assert folder.file(trial.number).exists() == (n < EPOCHS)
        assert trial.state == ("COMPLETE" if n == EPOCHS else "WAITING")
    best = max(stored.trials, key=lambda trial: trial.params["learning_rate"])
    assert at[best.number] == EPOCHS
    assert at.count(2) >= 6
    assert len(engine.submitted) > 12


def test_a_promoted_trial_has_the_curve_of_an_unbroken_one(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder, make_config: MakeConfig
) -> None:
    """And all else of it, its reports among them."""
    _, study = sweep(promoting(9), Resuming(), checkpoints=folder)
    whole = make_config(study="whole", space=SPACE, sampler=NO_DEFAULT, budget={"trials": 9})
    _, other = sweep(whole, Resuming())
    timed = {"seconds", "run", "paused"}
    complete = [trial for trial in study.trials if trial.state.is_finished()]
    assert complete
    for trial in complete:
        unbroken = other.trials[trial.number]
        assert (trial.value, trial.params) == (unbroken.value, unbroken.params)
        assert trial.intermediate_values == unbroken.intermediate_values
        kept = [{k: v for k, v in t.user_attrs.items() if k not in timed} for t in (trial, unbroken)]
        assert kept[0] == kept[1]


def test_a_grown_budget_goes_on_with_what_waits(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """The same budget trains nothing more; of a larger one all that belong to the best go on, old and new."""
    trainer, pruner = Resuming(), {"name": "promotion", "reduction_factor": 2}
    sweep(promoting(4, pruner=pruner), trainer, checkpoints=folder)
    before = len(trainer.starts)
    stop, study = sweep(promoting(4, pruner=pruner), trainer, checkpoints=folder)
    assert stop is Stop.TRIALS
    assert len(trainer.starts) == before
    assert words(study).count("PAUSED") == 3
    _, study = sweep(promoting(16, pruner=pruner), trainer, checkpoints=folder)
    assert len(study.trials) == 16
    assert len(set(trainer.trained)) == len(trainer.trained)
    best = sorted(study.trials, key=lambda trial: -trial.params["learning_rate"])[:8]
    at = n_epochs(study)
    assert all(at[trial.number] > 2 for trial in best)
    went_on = {trial for trial, n in trainer.starts[before:] if n}
    assert went_on & set(range(4))


def test_few_trials_have_a_winner_too(promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder) -> None:
    """A third of two is nobody: the best one goes on all the same, once nothing new is to come."""
    _, study = sweep(promoting(2), Resuming(), checkpoints=folder)
    assert sorted(words(study)) == ["COMPLETE", "PAUSED"]
    complete, paused = sorted(study.trials, key=lambda trial: trial.state.name)
    assert complete.params["learning_rate"] > paused.params["learning_rate"]


def test_the_default_configuration_never_waits(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """It is what the others are compared with: the worst of all, and trained to its end."""
    sampler = {"name": "random"}
    _, study = sweep(promoting(6, sampler=sampler), Resuming(), checkpoints=folder)
    assert study.user_attrs["default_trial"] == 0
    assert study.trials[0].params["learning_rate"] == min(t.params["learning_rate"] for t in study.trials)
    assert words(study)[0] == "COMPLETE"


@pytest.mark.parametrize("n_events", range(4, 40, 9))
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    *,
    promoting: MakeConfig,
    sweep: Sweep,
    tmp_path: Path,
    storage: optuna.storages.RDBStorage,
    n_events: int,
) -> None:
    """Wherever it ends: the same trials pause and the same come to their end."""
    _, whole = sweep(promoting(9), Resuming(), checkpoints=CheckpointFolder(tmp_path / "whole"))
    folder = CheckpointFolder(tmp_path / "broken")
    trainer, interrupted, seen = Resuming(), threading.Event(), list[Progress]()

    def count(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == n_events:
            interrupted.set()

    config = promoting(9)
    common = {"checkpoints": folder, "storage": storage}
    stop, study = sweep(config, trainer, interrupted=interrupted, observer=count, **common)
    assert stop is Stop.INTERRUPTED
    assert "RUNNING" not in words(study)
    _, study = sweep(config, trainer, **common)
    assert words(study) == words(whole)
    assert n_epochs(study) == n_epochs(whole)
    assert len(set(trainer.trained)) == len(trainer.trained)


def test_another_pruner_trains_what_waits_to_its_end(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder, storage: optuna.storages.RDBStorage
) -> None:
    """Paused trials go on first, as all that wait do, and none is paused any more."""
    trainer = Resuming()
    sweep(promoting(6), trainer, checkpoints=folder, storage=storage)
    _, study = sweep(promoting(6, pruner={"name": "none"}), trainer, checkpoints=folder, storage=storage)
    assert words(study) == ["COMPLETE"] * 6
    assert len(set(trainer.trained)) == len(trainer.trained)
    assert folder.size() == 0


def test_without_checkpoints_a_promoted_trial_begins_again(promoting: MakeConfig, sweep: Sweep) -> None:
    """To the same curve; nothing pauses it where it paused before."""
    trainer = Resuming()
    _, study = sweep(promoting(9), trainer)
    assert {n for _, n in trainer.starts} == {0}
    assert words(study).count("COMPLETE") >= 1
    assert set(n_epochs(study)) <= {2, 6, EPOCHS}


def test_a_paused_trial_that_fails_keeps_what_it_had(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """And the best of the others goes on in its place."""
    _, whole = sweep(promoting(3), Resuming())
    best = words(whole).index("COMPLETE")
    config = promoting(3, study="again")
    _, study = sweep(config, Resuming(fails=best), checkpoints=folder)
    assert words(study).count("FAIL") == 1
    assert words(study).count("COMPLETE") == 1
    failed = StoredStudy.of(study).trials[best]
    assert (failed.fail_reason, len(failed.curve or ())) == ("no more", 2)
    assert not StoredStudy.of(study).damaged


def test_an_equal_configuration_waits_for_no_paused_one(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """It is answered from the curve so far, and is PRUNED: the paused one stands for both."""
    space = {"activation": {"choices": ["relu", "tanh"]}, "epochs": EPOCHS}

    class Flat(Resuming):
        def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
            object.__setattr__(
                job,
                "hyperparameters",
                {"learning_rate": 0.01 if job.hyperparameters["activation"] == "relu" else 0.001},
            )
            return super().fit(job)

    trainer = Flat()
    points = [{"activation": name} for name in ("tanh", "relu")]
    sampler = {"name": "points", "points": points}
    stop, study = sweep(promoting(5, space=space, sampler=sampler), trainer, checkpoints=folder)
    assert stop in (Stop.SPACE, Stop.TRIALS)
    assert sorted(words(study)) == ["COMPLETE", "PAUSED"]
    study.enqueue_trial({"activation": "tanh"})
    sweep(promoting(5, space=space, sampler=sampler), trainer, checkpoints=folder)
    assert sorted(words(study)) == ["COMPLETE", "PAUSED", "PRUNED"]
    assert len(set(trainer.trained)) == len(trainer.trained)


def test_epochs_of_paused_trials_count_towards_their_budget(
    make_config: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """Once each, also of those that go on; nothing goes on once they are used up."""
    config = make_config(
        space=SPACE,
        sampler=NO_DEFAULT,
        pruner={"name": "promotion"},
        budget={"trials": 50, "epochs": 20},
    )
    trainer = Resuming()
    stop, study = sweep(config, trainer, checkpoints=folder)
    assert stop is Stop.EPOCHS
    assert 20 <= len(trainer.trained) == sum(n_epochs(study)) <= 20 + EPOCHS
    n = len(trainer.trained)
    assert sweep(config, trainer, checkpoints=folder)[0] is Stop.EPOCHS
    assert len(trainer.trained) == n


def test_the_last_epoch_is_compared_where_it_is_scored(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """Under the rule "last" trials of fewer epochs than a rung never reach it."""
    space = {**SPACE, "epochs": {"low": 1, "high": EPOCHS}}
    _, study = sweep(promoting(15, space=space, score={"epoch_rule": "last"}), Resuming(), checkpoints=folder)
    for trial in StoredStudy.of(study).trials:
        asked = trial.params["epochs"]
        assert trial.told_state in ("COMPLETE" if trial.n_epochs == asked else "PAUSED", "PRUNED")
        assert trial.n_epochs in (2, 6, asked)


def test_progress_tells_who_waits(promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder) -> None:
    """Each pause once, and how many there are at last."""
    seen: list[Progress] = []
    sweep(promoting(6), Resuming(), checkpoints=folder, observer=seen.append)
    told = {(p.paused.number, p.paused.epoch) for p in seen if p.paused is not None}
    assert {epoch for _, epoch in told} <= {1, 5}
    assert {trial for trial, _ in told} == set(range(6)) - {i for i in range(6) if (i, 1) not in told}
    last = seen[-1]
    assert last.n_paused + last.n_complete == last.n_begun == 6
    assert last.states == f"{last.n_complete} complete, 0 pruned, 0 failed, {last.n_paused} paused"


def test_a_sampler_sees_a_paused_trial_as_a_pruned_one(
    promoting: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """With its last report; and a finished one as it is."""
    sampler = {"name": "tpe", "enqueue_default": False, "n_startup_trials": 3}
    _, study = sweep(promoting(9, sampler=sampler), Resuming(), checkpoints=folder)
    for trial in study.trials:
        seen = as_pruned(trial)
        if trial.state.is_finished():
            assert seen is trial
        else:
            assert seen.state is optuna.trial.TrialState.PRUNED
            assert seen.value == trial.intermediate_values[max(trial.intermediate_values)]


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        (
            {"min_resource": 8},
            "8 epochs to the first rung, and no trial trains more than 8",
        ),
        ({"min_resource": 0}, "pruner.min_resource"),
        ({"reduction_factor": 1}, "pruner.reduction_factor"),
        ({"reduction_factor": 2.5}, "pruner.reduction_factor"),
        ({"factor": 3}, "pruner.factor"),
    ],
)
def test_what_can_pause_nothing_is_refused(
    settings: Callable[..., dict[str, Any]], pruner: dict[str, Any], told: str
) -> None:
    """Before anything loads."""
    given = settings(space=SPACE, pruner={"name": "promotion", **pruner})
    with pytest.raises(ConfigError, match=told):
        parse_config(given, where="tiny.toml")
