"""Weights that a search keeps: real ones, loaded again, and handed out without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from placing import placed_here
from programs import python

import fmnist_sweep as fs
from fmnist_sweep.api.predicting import predict
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import SplitSpec, TrialJob
from fmnist_sweep.core.kept import Keep, kept_scores, kept_weights
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.data import open_data

pytestmark = pytest.mark.slow

KEEP = Keep("trial-0.npz", ScoreRule(), allowed=(0, 1, 2))
SMALL: dict[str, Any] = {"n_val": 300, "train_size": 400}


def trained(job: PlacedJob) -> list[EpochScores]:
    """Train, and return the scores of each epoch without its seconds."""
    from fmnist_sweep.training.trainer import KerasTrainer

    steps = list(KerasTrainer().fit(job))
    assert isinstance(steps[0], Started)
    return [replace(step, seconds=0.0) for step in steps if isinstance(step, EpochScores)]


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}])
def test_weights_are_kept_through_a_resume_and_score_what_was_measured(
    more: dict[str, Any], tmp_path: Path
) -> None:
    """The curve is the one without keeping, bit for bit; the model of the best epoch measures the same."""
    values = {"dropout": 0.2, "batch_norm": True, "learning_rate": 0.003, **more}
    data = open_data()
    plain = TrialJob(0, "fmnist_sweep.models:DenseModel", values, 3, 1, data, SplitSpec(**SMALL), 200)
    curve = trained(placed_here(plain))
    placed = placed_here(replace(plain, keep=KEEP, checkpoint="trial-0.checkpoint"))
    places = replace(placed.places, checkpoints=tmp_path, weights=tmp_path / "weights")
    job = replace(placed, places=places)
    # As of a process that ended after two epochs.
    trained(replace(job, epochs=2))
    assert trained(job) == curve
    accuracies = [scores.val["accuracy"] for scores in curve]
    best = curve[int(np.argmax(accuracies))]
    file = tmp_path / "weights" / "trial-0.npz"
    assert kept_scores(file) == replace(best, seconds=0.0)
    (restored,) = trained(replace(job, epochs=best.epoch + 1, restores=True))
    assert restored == best


def test_a_sweep_hands_out_what_it_has_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line: no test set is read, and the model predicts; Python gets the very model."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(
        'study = "tiny"\nmodel = "dense"\ntune_new_entries = false\nkeep_models = 1\n[space]\n'
        "l2 = { low = 1e-5, high = 1e-3 }\nepochs = { low = 1, high = 2 }\n[training]\ntrain_size = 400\n"
        "n_probe = 200\n[score]\nwithin_se = 0\n[budget]\ntrials = 2\n"
    )
    python(tmp_path, "-m", "fmnist_sweep", "run", "tiny.toml")
    done = python(tmp_path, "-m", "fmnist_sweep", "export", "tiny", "--fast")
    assert done.stdout == "exports/tiny-fast\n"
    assert "Nothing was trained or confirmed, and the test set was not read." in done.stderr
    facts = json.loads(Path("exports/tiny-fast/metrics.json").read_text())
    trial = fs.load_study("tiny").best()[0]
    assert facts["model"]["val"]["accuracy"] == pytest.approx(trial.scores["val_accuracy"], abs=1e-6)
    assert facts["n_test_readings"] == 0
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    np.save("images.npy", images)
    assert predict(Path("exports/tiny-fast"), Path("images.npy"), Path("out.csv")).n_rows == 3
    (model,) = fs.load_study("tiny").get_best_models()
    given = keras.models.load_model("exports/tiny-fast/model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), given, atol=1e-5)


def test_what_is_kept_of_an_average_is_the_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one call of fit: what was measured, whatever the training went on from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(160, 5)).astype("float32")
    y = x[:, :1] * 2

    def build(hp: Any) -> Any:
        net = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(hp.Int("units", 2, 8)), keras.layers.Dense(1)]
        )
        net.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.8), "mse", metrics=["mae"])
        return net

    said: list[str] = []
    tuner = fs.Tuner(build, "val_mae", 1, workers=1, study="average", keep_models=1, say=said.append)
    tuner.search(x[:120], y[:120], validation_data=(x[120:], y[120:]), epochs=2, batch_size=16)
    (trial,), (model,) = tuner.best(), tuner.get_best_models()
    assert "has the weights that were kept of it" in said[-1]
    handed = keras.models.load_model(tuner.export(fast=True) / "model.keras")
    for one in (model, handed):
        error = np.abs(one.predict(x[120:], verbose=0) - y[120:]).mean()
        assert error == pytest.approx(trial.scores["val_mae"], abs=1e-5)


def test_an_own_fit_keeps_its_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called once, with data that it prepares itself; what was not kept is trained anew, and says so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(160, 5)).astype("float32")
    y = x[:, :1] * 2

    class Own(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
        def build(self, hp: Any) -> Any:
            net = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 8)), keras.layers.Dense(1)])
            net.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
            return net

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
            history = model.fit(x * hp.Fixed("half", 0.5), y, **kwargs)
            return min(history.history["val_mae"])

    said: list[str] = []
    tuner = fs.Tuner(Own(), "val_mae", 2, workers=1, study="own", keep_models=1, seed=3, say=said.append)
    validating = (x[120:] * 0.5, y[120:])
    tuner.search(x[:120], y[:120], validation_data=validating, epochs=3, batch_size=16)
    trials = tuner.best(2)
    assert [path.name for path in Path("studies.db.weights/own").iterdir()] == [
        f"trial-{trials[0].number}.npz"
    ]
    models = tuner.get_best_models(2)
    assert said[-2] == (
        f"Trial {trials[0].number} has the weights that were kept of it after epoch {trials[0].scored_after}."
    )
    assert said[-1].endswith("its weights were not kept.")
    for trial, model in zip(trials, models, strict=True):
        measured = model.evaluate(*validating, verbose=0, return_dict=True)["mae"]
        assert measured == pytest.approx(trial.scores["val_mae"], abs=1e-5)
    bundle = tuner.export(fast=True)
    kept = kept_weights(Path(f"studies.db.weights/own/trial-{trials[0].number}.npz"))
    loaded = keras.models.load_model(bundle / "model.keras")
    for given, wanted in zip(loaded.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(given, wanted)
    with pytest.raises(SweepError, match="keep_models = 3"):
        tuner.export(fast=True, trial=trials[1].number)
