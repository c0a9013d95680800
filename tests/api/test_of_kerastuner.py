"""What KerasTuner's tuners have and a search here has no use for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest

import fmnist_sweep as fs
from fmnist_sweep.models.carrying import hyperparameters_of


def test_defaults_ask_for_nothing() -> None:
    """A program that spells them out is searched unchanged."""
    fs.Tuner("module:build", executions_per_trial=1, hyperparameters=None, max_retries_per_trial=0)


def test_all_that_can_t_be_done_is_told_at_once() -> None:
    """With what to do in its place."""
    with pytest.raises(fs.SweepError) as raised:
        fs.Tuner("module:build", executions_per_trial=3, metrics=["mae"], tune_new_entries=True, factor=True)
    text = str(raised.value)
    assert "3 problems" in text
    assert "executions_per_trial=3 of KerasTuner's tuners is not known here" in text
    assert "tuner.confirm(repeats=...)" in text
    assert "metrics=['mae']" in text
    assert "tune_new_entries" not in text
    assert "factor=True" in text


def test_a_name_that_nobody_knows_is_an_error_of_python_s() -> None:
    """A slip of the pen."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_trails'"):
        fs.Tuner("module:build", max_trails=3)


@pytest.mark.parametrize(
    ("name", "told"), [("oracle", "best(n)"), ("project_dir", "study_name"), ("reload", "fs.load_study")]
)
def test_names_of_a_tuner_of_kerastuner_s_say_what_there_is_here(name: str, told: str) -> None:
    """An AttributeError as well, so that `hasattr` answers."""
    tuner = fs.Tuner("module:build")
    with pytest.raises(fs.SweepError) as raised:
        getattr(tuner, name)
    assert told in str(raised.value)
    assert not hasattr(tuner, name)
    with pytest.raises(AttributeError, match="'Tuner' object has no attribute 'orakle'"):
        _ = tuner.orakle


def test_a_tuner_of_one_s_own_is_refused_where_it_would_be_ignored() -> None:
    """What it overrides would never be called; what it adds is its own affair."""
    with pytest.raises(fs.SweepError, match=r"Folds.run_trial would never be called: put it into the fit"):
        type("Folds", (fs.Tuner,), {"run_trial": print})
    assert type("More", (fs.Tuner,), {"run_all": print})


def test_one_objective_may_stand_in_a_list_and_a_seed_be_none() -> None:
    """As a program may spell out what KerasTuner takes."""
    fs.Tuner("module:build", objective=["val_loss"], seed=None)
    with pytest.raises(fs.SweepError, match="'returned' for what a fit of your own returns"):
        fs.Tuner("module:build", objective=None)


@pytest.mark.parametrize("epochs", [0, "5", 2.5])
def test_a_number_of_epochs_is_looked_at_first(epochs: Any) -> None:
    """Before data are kept or a model is built."""
    with pytest.raises(
        fs.SweepError, match=r"search: 1 problem\n  epochs: must be a whole number of at least 1"
    ):
        fs.Tuner("module:build").search(np.zeros((4, 2)), np.zeros(4), epochs=epochs)


def test_problems_name_arguments_and_no_settings_of_a_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, though one argument makes two settings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("def build(hp): ...\n")
    with pytest.raises(fs.SweepError) as raised:
        fs.Tuner("net:build", "val_gain", max_trials=0, seed=-1, sampler="bayes").search(
            np.zeros((4, 2)), np.zeros(4)
        )
    told = str(raised.value)
    assert "max_trials: must be at least 1, got 0" in told
    assert told.count("seed: must be at least 0, got -1") == 1
    assert "sampler: unknown 'bayes'" in told
    with pytest.raises(fs.SweepError, match=r'objective: .* give fs.Objective\(NAME, "max"\) or "min"'):
        fs.Tuner("net:build", "val_gain").search(np.zeros((4, 2)), np.zeros(4))


def test_the_model_can_be_built_at_what_was_found() -> None:
    """As KerasTuner's guides do it, once the best hyperparameters are known."""

    def build(hp: Any) -> keras.Model:
        made = [keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 9)), keras.layers.Dense(1)]
        return keras.Sequential(made)

    class Given(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
        def build(self, hp: Any) -> keras.Model:
            return build(hp)

    hp = hyperparameters_of({"units": 7})
    for hypermodel in (build, Given, Given()):
        assert fs.Tuner(hypermodel).hypermodel.build(hp).layers[0].units == 7
    with pytest.raises(fs.SweepError, match="a model that is built has nothing to search"):
        fs.Tuner(build(hp), "val_loss").search(np.zeros((4, 2)), np.zeros(4))
