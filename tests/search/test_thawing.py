"""Freeze-thaw by its rule alone, and by the real loop with curves from a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from resuming import EPOCHS, NO_DEFAULT, SPACE, Resuming, n_epochs, words

from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.search.forecast import MIN_CURVES
from fmnist_sweep.search.thawing import FreezeThaw, Thaw
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.stored import StoredStudy

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]
PRUNER: dict[str, Any] = {"name": "freeze_thaw", "mean_epochs": 3}


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


@pytest.fixture
def thawing(make_config: MakeConfig) -> MakeConfig:
    def make(trials: int, **sections: Any) -> SweepConfig:
        given = {"space": SPACE, "sampler": NO_DEFAULT, "pruner": PRUNER, **sections}
        return make_config(budget={"trials": trials}, **given)

    return make


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_epochs_go_where_they_promise_most_and_none_is_trained_twice(
    thawing: MakeConfig, sweep: Sweep, workers: Any, folder: CheckpointFolder, slots: int
) -> None:
    """Three a trial in the mean, then the best forecast is trained to its end; the others wait."""
    trainer, n_trials = Resuming(), 12
    engine = workers(trainer, slots, places=Places(checkpoints=folder.path))
    stop, study = sweep(thawing(n_trials), engine=engine, checkpoints=folder)
    assert stop is Stop.TRIALS
    assert len(study.trials) == n_trials
    assert len(set(trainer.trained)) == len(trainer.trained)
    at = n_epochs(study)
    assert 3 * n_trials <= sum(at) <= 3 * n_trials + EPOCHS + slots
    stored = StoredStudy.of(study)
    assert all(
        word == ("COMPLETE" if n == EPOCHS else "PAUSED") for n, word in zip(at, words(study), strict=True)
    )
    ranked = sorted(stored.trials, key=lambda trial: -trial.params["learning_rate"])
    assert at[ranked[0].number] == EPOCHS
    assert at[ranked[0].number] > at[ranked[-1].number]
    for trial, n in zip(stored.trials, at, strict=True):
        assert folder.file(trial.number).exists() == (n < EPOCHS)


def test_a_grown_budget_goes_on_with_what_waits(
    thawing: MakeConfig, sweep: Sweep, folder: CheckpointFolder
) -> None:
    """The same budget trains nothing more."""
    trainer = Resuming()
    sweep(thawing(8), trainer, checkpoints=folder)
    n = len(trainer.trained)
    _, study = sweep(thawing(8), trainer, checkpoints=folder)
    assert len(trainer.trained) == n
    old = {trial for trial, word in enumerate(words(study)) if word == "PAUSED"}
    sweep(thawing(16), trainer, checkpoints=folder)
    again = {trial for trial, _ in trainer.starts[-20:]} & old
    assert again
    assert len(set(trainer.trained)) == len(trainer.trained)


def test_the_baseline_never_waits(make_config: MakeConfig, sweep: Sweep, folder: CheckpointFolder) -> None:
    """The others are compared with it, whatever is forecast of it."""
    config = make_config(space=SPACE, pruner=PRUNER, budget={"trials": 7})
    trainer = Resuming()
    _, study = sweep(config, trainer, checkpoints=folder)
    assert words(study)[0] == "COMPLETE"
    assert [trial for trial, _ in trainer.starts].count(0) == 1


def test_a_trial_that_fails_is_forgotten(thawing: MakeConfig, sweep: Sweep, folder: CheckpointFolder) -> None:
    """Where the most promising one fails as it goes on, the next has its turn, and one comes to its end."""
    _, study = sweep(thawing(10), Resuming(fails=0), checkpoints=folder)
    assert words(study)[0] in ("FAIL", "PAUSED")
    assert "COMPLETE" in words(study)


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=EPOCHS - 1), min_size=1, max_size=12))
@hypothesis_settings(deadline=None, max_examples=10)
def test_whoever_goes_on_waits_and_one_comes_to_its_end(curves: list[list[int]]) -> None:
    """Whatever the curves; and where no new trial is to come, none is left undecided."""
    thaw, waiting = Thaw(FreezeThaw(4.0, 1.0), EPOCHS), dict[int, int]()
    for trial, scores in enumerate(curves):
        thaw.reach(trial, [score / 1000 for score in scores], EPOCHS)
        waiting[trial] = len(scores)
    chosen = thaw.next_of(waiting)
    is_new_due = sum(map(len, curves)) >= 4 * len(curves) or len(curves) < MIN_CURVES
    assert (chosen is None) == is_new_due
    assert chosen is None or chosen in waiting
    assert thaw.next_of({}, at_least=1) is None
    n = 0
    while (last := thaw.next_of(waiting, at_least=1)) is not None:
        assert thaw.goes_on(last, waiting, closing=True)
        n += 1
        thaw.reach(last, [n + 2.0] * EPOCHS, EPOCHS)
        thaw.complete(last)
        del waiting[last]
    assert n >= 1


def test_a_start_costs_epochs() -> None:
    """The dearer it is, the longer a running trial keeps its turn."""
    cheap, dear = (Thaw(FreezeThaw(4.0, start), EPOCHS) for start in (0.0, 1e6))
    curves = [[0.80, 0.84], [0.80, 0.85], [0.70, 0.72], [0.75, 0.80], [0.79, 0.83], [0.74, 0.78]]
    for thaw in (cheap, dear):
        for trial, scores in enumerate(curves):
            thaw.reach(trial, scores, EPOCHS)
    paused = dict.fromkeys(range(6), 2)
    assert not cheap.goes_on(0, paused, closing=False)
    assert cheap.next_of(paused) == 1
    assert dear.goes_on(0, paused, closing=False)


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        ({"mean_epochs": 8}, "8 epochs a trial in the mean, and no trial trains more than 8"),
        ({"mean_epochs": 0.5}, "pruner.mean_epochs"),
        ({"mean_epochs": "many"}, "pruner.mean_epochs"),
        ({"start_epochs": -1}, "pruner.start_epochs"),
        ({"min_resource": 2}, "pruner.min_resource"),
    ],
)
def test_what_can_pause_nothing_is_refused(
    settings: Callable[..., dict[str, Any]], pruner: dict[str, Any], told: str
) -> None:
    """Before anything loads."""
    with pytest.raises(ConfigError, match=told):
        parse_config(settings(space=SPACE, pruner={**PRUNER, **pruner}), where="tiny.toml")
