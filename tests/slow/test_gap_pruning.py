"""An Optuna objective of somebody's own that measures the gap, by Optuna's own means."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest
import tensorflow as tf
from programs import python

import fmnist_sweep as fs
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.reports.dashboard import attach_figures

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)).astype("float32")
LABELS = (X[:, 0] + 0.3 * RNG.normal(size=200) > 0).astype("int32")


def net(width: int = 8) -> Any:
    """Return a small classifier with dropout."""
    layers = [keras.Input((6,)), keras.layers.Dense(width, "relu"), keras.layers.Dropout(0.5)]
    made = keras.Sequential([*layers, keras.layers.Dense(2, "softmax")])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def test_it_measures_reports_and_keeps_a_curve() -> None:
    """Train and validation alike, after the epoch; the trial holds what a trial of ours does."""
    study = optuna.create_study(direction="maximize")
    models = []

    def objective(trial: optuna.Trial) -> float:
        model = net(trial.suggest_int("width", 4, 12))
        gap = fs.GapPruning(trial, X, LABELS, penalty=1.0, validation_split=0.25, prune=False)
        history = model.fit(
            X, LABELS, validation_split=0.25, epochs=3, batch_size=32, verbose=0, callbacks=[gap]
        )
        models.append(model)
        assert fs.gap_score(history, penalty=1.0) == pytest.approx(gap.score, abs=1e-6)
        return gap.score

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    curve = trial.user_attrs["curve"]
    measured = models[0].evaluate(X[:150], LABELS[:150], verbose=0, return_dict=True)["accuracy"]
    assert curve["train_accuracy"][-1] == pytest.approx(measured, abs=1e-6)
    measured = models[0].evaluate(X[150:], LABELS[150:], verbose=0, return_dict=True)["accuracy"]
    assert curve["val_accuracy"][-1] == pytest.approx(measured, abs=1e-6)
    assert len(curve["seconds"]) == trial.user_attrs["n_epochs"] == 3
    assert trial.user_attrs["hyperparameters"] == trial.params
    assert trial.user_attrs["n_parameters"] == models[0].count_params()
    best = trial.user_attrs["epoch"]
    assert trial.value == trial.intermediate_values[best] == max(trial.intermediate_values.values())
    assert study.user_attrs["score_rule"] == {
        "metric": "accuracy",
        "penalty": 1.0,
        "tolerance": 0.01,
        "epoch_rule": "best",
        "min_val_accuracy": None,
    }


def test_it_takes_what_fit_logs_of_the_validation_and_other_metrics() -> None:
    """A loss is the data's own; a metric that the model lacks is measured from its outputs."""
    study = optuna.create_study(direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        model = net()
        held = {"validation_data": (X[150:], LABELS[150:])}
        gap = fs.GapPruning(trial, X[:150], LABELS[:150], objective="val_loss")
        model.fit(X[:150], LABELS[:150], **held, epochs=1, verbose=0, callbacks=[gap])
        logged = model.evaluate(X[150:], LABELS[150:], verbose=0)[0]
        assert gap.score == pytest.approx(-logged, abs=1e-5)
        return gap.score

    study.optimize(objective, n_trials=1)
    assert study.trials[0].user_attrs["gap"] == pytest.approx(
        study.trials[0].user_attrs["val_loss"] - study.trials[0].user_attrs["train_loss"], abs=1e-6
    )


def test_a_dataset_is_measured_and_two_calls_of_fit_are_one_curve() -> None:
    """Of a dataset some batches are measured; a warm-up counts its epochs like any others."""
    study = optuna.create_study(direction="maximize")
    whole = tf.data.Dataset.from_tensor_slices((X, LABELS))
    train, val = whole.take(150).batch(25), whole.skip(150).batch(25)

    def objective(trial: optuna.Trial) -> float:
        model = net()
        gap = fs.GapPruning(trial, train, n_probe=50, validation_data=val)
        for epochs in (1, 2):
            model.fit(train, epochs=epochs, shuffle=False, verbose=0, callbacks=[gap])
        probed = model.evaluate(X[:50], LABELS[:50], verbose=0, return_dict=True)["accuracy"]
        assert gap.curve.values("train_accuracy")[-1] == pytest.approx(probed, abs=1e-6)
        return gap.score

    study.optimize(objective, n_trials=1)
    assert sorted(study.trials[0].intermediate_values) == [0, 1, 2]
    assert study.trials[0].user_attrs["n_epochs"] == 3


class AlwaysPrunes(optuna.pruners.BasePruner):
    """Prunes after the second epoch."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Say so after the second."""
        del study
        return trial.last_step == 1


def test_a_pruned_trial_keeps_its_curve() -> None:
    """Up to the epoch after which it was pruned."""
    study = optuna.create_study(direction="maximize", pruner=AlwaysPrunes())

    def objective(trial: optuna.Trial) -> float:
        gap = fs.GapPruning(trial, X, LABELS, validation_split=0.25)
        net().fit(X, LABELS, validation_split=0.25, epochs=4, verbose=0, callbacks=[gap])
        return gap.score

    study.optimize(objective, n_trials=1)
    assert [t.state.name for t in study.trials] == ["PRUNED"]
    assert len(study.trials[0].user_attrs["curve"]["seconds"]) == 2


def test_a_diverged_training_is_pruned_with_its_reason() -> None:
    """An error would end the whole study."""
    study = optuna.create_study(direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        model = net()
        model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
        gap = fs.GapPruning(trial, X, LABELS, objective="val_loss", validation_split=0.25)
        model.fit(X, LABELS, validation_split=0.25, epochs=2, verbose=0, callbacks=[gap])
        return gap.score

    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert "diverged" in study.trials[0].user_attrs["fail_reason"]


def test_what_can_not_be_scored_is_told_before_training() -> None:
    """All problems at once; the text says how to mend each."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ConfigError) as refused:
        fs.GapPruning(study.ask(), (row for row in X), penalty=-1, n_probe=0, validation_data=(X, LABELS))
    told = "\n".join(refused.value.problems)
    for words in ("penalty: -1", 'direction="maximize"', "n_probe: 0", "generator"):
        assert words in told
    both = optuna.create_study(directions=["maximize", "minimize"])
    with pytest.raises(ConfigError, match="2 objectives"):
        fs.GapPruning(both.ask(), X, LABELS)
    with pytest.raises(ConfigError, match="trial: 7 is none"):
        fs.GapPruning(7, X, LABELS)


def test_a_study_has_one_rule() -> None:
    """That of the first trial that was measured; a mistake before it leaves no trace."""
    one = optuna.create_study(direction="maximize")
    gap = fs.GapPruning(one.ask(), X, LABELS, objective="val_gain_accuracy")
    with pytest.raises(ConfigError, match="which the model does not have"):
        net().fit(X, LABELS, validation_split=0.25, verbose=0, callbacks=[gap])
    gap = fs.GapPruning(one.ask(), X, LABELS, penalty=1.0)
    with pytest.raises(ConfigError, match="nothing that validates"):
        net().fit(X, LABELS, verbose=0, callbacks=[gap])
    gap = fs.GapPruning(one.ask(), X, LABELS, penalty=1.0)
    net().fit(X, LABELS, validation_split=0.25, verbose=0, callbacks=[gap])
    with pytest.raises(ConfigError, match=r"another rule \(penalty 1.0, now 2.0\)"):
        fs.GapPruning(one.ask(), X, LABELS, penalty=2.0)


PROGRAM = textwrap.dedent("""
    import sys
    import keras, numpy as np, optuna
    import fmnist_sweep as fs

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")

    def objective(trial):
        layers = [keras.layers.Dense(trial.suggest_int("width", 2, 16), "relu")]
        model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2, "softmax")])
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        gap = fs.GapPruning(trial, x[:150], y[:150], penalty=1.0)
        model.fit(x[:150], y[:150], validation_data=(x[150:], y[150:]), epochs=3, verbose=0, callbacks=[gap])
        return gap.score

    study = optuna.create_study(
        study_name="own", storage="sqlite:///studies.db", load_if_exists=True, direction="maximize"
    )
    study.optimize(objective, n_trials=4)
""")


def test_three_processes_on_one_file_and_everything_opens_it(tmp_path: Path) -> None:
    """Optuna's own `optimize`; our tables, the report, compare and the dashboard's figures read it."""
    (tmp_path / "own.py").write_text(PROGRAM)
    make = "import optuna; optuna.create_study(study_name='own', storage='sqlite:///studies.db', "
    python(tmp_path, "-c", make + "direction='maximize')")
    started = [
        subprocess.Popen([sys.executable, "own.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [process.communicate(timeout=280)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ends
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    reader = fs.load_study("own", url)
    frame = reader.trials_dataframe()
    assert len(frame) == 12
    assert set(frame["state"]) <= {"COMPLETE", "PRUNED"}
    done = frame[frame["state"] == "COMPLETE"]
    assert np.isfinite(done[["score", "val_accuracy", "train_accuracy", "gap"]].to_numpy(float)).all()
    assert reader.best()[0].score == done["score"].max()
    other = optuna.create_study(study_name="two", storage=url, direction="maximize")
    for trial in reader.study.trials[:3]:
        other.add_trial(trial)
    for name, value in reader.study.user_attrs.items():
        other.set_user_attr(name, value)

    shown = python(tmp_path, "-m", "fmnist_sweep", "status").stdout
    assert "own" in shown
    assert "damaged" not in shown
    assert str(reader.best()[0].number) in python(tmp_path, "-m", "fmnist_sweep", "trials", "own").stdout
    compared = python(tmp_path, "-m", "fmnist_sweep", "compare", "own", "two").stdout
    assert "whether its data are those of the others is not known" in compared
    assert "own is unconfirmed" in compared
    assert "fmnist-sweep confirm" not in compared
    python(tmp_path, "-m", "fmnist_sweep", "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "An Optuna objective of your own made it" in page
    attach_figures(reader.study)
    for command in ("confirm", "export"):
        refused = subprocess.run(
            [sys.executable, "-m", "fmnist_sweep", command, "own"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 2
        assert "An Optuna objective of your own made it" in refused.stderr
