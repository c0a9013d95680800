"""The Python door, with models that no other process could import."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import fmnist_sweep as fs
from fmnist_sweep.api.of_kerastuner import _WHAT_TO_DO
from fmnist_sweep.api.predicting import predict
from fmnist_sweep.core.errors import ConfigError, DataError, NothingTrainedError, StudyMismatchError
from fmnist_sweep.data.calls import Call, keep_call, open_call
from fmnist_sweep.data.hold_out import rows

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(160, 5)).astype("float32")
Y = X[:, :1] * 2


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def tuner(model: Any = None, **options: Any) -> tuple[fs.Tuner, list[str]]:
    """Return a tuner of a model that is defined here, and the lines that it says."""
    width = 4

    def build(hp: Any) -> Any:
        layers = [
            keras.Input((5,)),
            keras.layers.Dense(hp.Int("units", width, 12, step=4)),
            keras.layers.Dense(1),
        ]
        net = keras.Sequential(layers)
        net.compile(
            keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, sampling="log")), "mse", metrics=["mae"]
        )
        return net

    said: list[str] = []
    settings = {"objective": "val_mae", "max_trials": 2, "workers": 1, "study": "line", **options}
    return fs.Tuner(model or build, say=said.append, **settings), said


def test_a_search_is_kept_read_and_gone_on_with() -> None:
    """As KerasTuner's users do it; a second search of another tuner adds what is missing."""
    first, _ = tuner()
    first.search(X, Y, validation_split=0.25, epochs=2, batch_size=16)
    frame = first.trials_dataframe()
    assert list(frame["state"]) == ["COMPLETE"] * 2
    assert {"train_mae", "val_mae", "train_loss", "params_units", "params_rate"} <= set(frame.columns)
    assert np.isfinite(frame["score"]).all()
    assert len(first.curves_dataframe()) == 4

    again, told = tuner(max_trials=3)
    again.search(X, Y, validation_split=0.25, epochs=2, batch_size=16)
    assert len(again.trials_dataframe()) == 3
    (best,) = again.get_best_hyperparameters()
    assert isinstance(best, keras_tuner.HyperParameters)
    row = again.trials_dataframe().sort_values("score").iloc[-1]
    assert best.get("units") == row["params_units"]

    (model,) = again.get_best_models()
    assert re.fullmatch(
        rf"Trial {int(row['number'])} is trained anew, for \d epochs?: its weights were not kept\.", told[-1]
    )
    measured = model.evaluate(X[120:], Y[120:], verbose=0, return_dict=True)["mae"]
    assert measured == pytest.approx(row["val_mae"], abs=1e-5)
    assert again.study.study_name == "line"
    reader = fs.load_study("line")
    assert len(reader.curves_dataframe()) == 6
    assert reader.report("page.html").stat().st_size > 100_000
    assert "<table" in reader._repr_html_()


def test_the_best_is_confirmed_by_the_command_s_own_function(tmp_path: Path) -> None:
    """A budget is shared out among the candidates and the baseline; nothing is trained twice."""
    one, said = tuner()
    one.search(X, Y, validation_split=0.25, epochs=1, batch_size=16)
    came = one.confirm(top=1, budget=4)
    assert came.confirmation is not None
    assert came.confirmation.n_repeats == 2
    assert {repeat.repeat for repeat in came.confirmation.repeats} == {0, 1}
    assert came.sentences
    assert str(came) == "\n".join(came.sentences)
    assert came._repr_html_().count("<tr>") == 1 + len(came.confirmation.standings)
    said.clear()
    assert one.confirm(top=1, repeats=2).end is None
    with pytest.raises(ConfigError, match="top"):
        one.confirm(top=0)
    assert "confirmed" in one.report(tmp_path / "page.html").read_text()


def test_the_winner_is_exported_without_a_test_part(tmp_path: Path) -> None:
    """What was handed to `search` has none: the bundle tells of training and validation alone."""
    one, said = tuner(max_trials=1)
    one.search(X, Y, validation_split=0.25, epochs=1, batch_size=16)
    bundle = one.export(tmp_path / "out", repeats=2)
    assert bundle == tmp_path / "out" / "line"
    card = (bundle / "README.md").read_text()
    assert "The gap to validation is" in card
    assert "the gap to test" not in card
    given = keras.models.load_model(bundle / "model.keras").predict(X[:2], verbose=0)
    assert given.shape == (2, 1)
    np.save(tmp_path / "two.npy", X[:2])
    made = predict(bundle, tmp_path / "two.npy", tmp_path / "predictions.csv")
    assert (made.n_rows, made.columns) == (2, ("value",))
    written = np.loadtxt(tmp_path / "predictions.csv", skiprows=1)
    np.testing.assert_allclose(written, given[:, 0], rtol=1e-5)
    assert one.export(tmp_path / "out", repeats=2) == bundle
    assert "nothing was trained" in said[-1]


def test_results_and_space_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """In a few lines each."""
    one, _ = tuner(max_trials=1)
    one.search(X, Y, validation_split=0.25)
    one.results_summary()
    one.search_space_summary()
    printed = capsys.readouterr().out
    assert "Trial 0: score" in printed
    assert "units: " in printed
    assert "Search space: 2 parameters" in printed


def test_where_nothing_validates_a_fifth_of_the_rows_does() -> None:
    """And the user is told."""
    one, said = tuner(max_trials=1)
    one.search(X, Y)
    assert any("a fifth of the rows" in line for line in said)
    assert np.isfinite(one.trials_dataframe()["val_mae"]).all()


def test_a_table_of_several_types_is_searched_and_predicted() -> None:
    """Numbers, whole ones and truths in one table, for a model that is built by its first batch."""

    def build(hp: Any) -> Any:
        net = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 8)), keras.layers.Dense(1)])
        net.compile("adam", "mse", metrics=["mae"])
        return net

    table = pd.DataFrame({"a": X[:, 0].astype(float), "b": range(len(X)), "c": X[:, 1] > 0})
    search, _ = tuner(build)
    search.search(table, pd.Series(Y[:, 0]), validation_split=0.2, epochs=1)
    (best,) = search.get_best_models()
    assert best.predict(table, verbose=0).shape == (len(table), 1)


def test_a_fit_that_asks_for_its_epochs_decides_them() -> None:
    """As programs that search them do; what was found best is among the hyperparameters."""

    class Asking(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
        def build(self, hp: Any) -> Any:
            net = keras.Sequential([keras.Input((5,)), keras.layers.Dense(hp.Int("units", 2, 8))])
            net.compile("adam", "mse", metrics=["mae"])
            return net

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(*args, **{**kwargs, "epochs": hp.Int("epochs", 2, 4)})

    search, _ = tuner(Asking())
    search.search(X, Y, validation_split=0.2)
    frame = search.trials_dataframe()
    assert set(frame["n_epochs"]) == {4}
    assert frame["params_epochs"].between(2, 4).all()
    best = search.get_best_hyperparameters()[0]
    assert best.get("epochs") == frame.sort_values("score")["params_epochs"].iloc[-1]
    again, said = tuner(Asking(), max_trials=3)
    again.search(X, Y, validation_split=0.2, epochs=9)
    told = "Note: epochs=9 of search is not used: the model asks for its epochs itself, 2 to 4."
    assert told in said
    assert set(again.trials_dataframe()["n_epochs"]) == {4}


class Halves(keras.Model):  # type: ignore[misc]  # Keras carries no types
    """An autoencoder whose own steps call its halves: nobody ever builds the whole."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.encoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(code)])
        self.decoder = keras.Sequential([keras.Input((code,)), keras.layers.Dense(5)])
        self.mean = keras.metrics.Mean(name="reconstruction")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What `fit` and `evaluate` log."""
        return [self.mean]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Put both halves together."""
        return self.decoder(self.encoder(x))

    def _error(self, data: Any) -> tf.Tensor:
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        return tf.reduce_mean((self.decoder(self.encoder(x)) - x) ** 2)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Learn from a batch."""
        with tf.GradientTape() as tape:
            error = self._error(data)
        gradients = tape.gradient(error, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.mean.update_state(error)
        return {"reconstruction": self.mean.result()}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure a batch."""
        self.mean.update_state(self._error(data))
        return {"reconstruction": self.mean.result()}


def test_a_model_that_is_only_ever_called_in_parts_is_searched() -> None:
    """As variational autoencoders are written: own steps, no loss, no labels, and no build of the whole."""

    def build(hp: Any) -> Any:
        model = Halves(hp.Int("code", 2, 4))
        model.compile(keras.optimizers.Adam(0.01))
        return model

    search, _ = tuner(build, objective=keras_tuner.Objective("val_reconstruction", "min"))
    search.search(X[:120], validation_data=(X[120:],), epochs=2)
    frame = search.trials_dataframe()
    assert list(frame["state"]) == ["COMPLETE"] * 2
    assert np.isfinite(frame[["train_reconstruction", "val_reconstruction", "gap"]]).all(axis=None)
    codes = frame["params_code"].to_numpy()
    assert list(frame["n_parameters"]) == list(6 * codes + 5 * codes + 5)


def test_other_data_are_not_taken_for_the_study_s() -> None:
    """Nor an edited model."""
    one, _ = tuner(max_trials=1)
    one.search(X, Y, validation_split=0.25)
    with pytest.raises(StudyMismatchError, match="data"):
        tuner(max_trials=2)[0].search(X + 1, Y, validation_split=0.25)
    again, _ = tuner(max_trials=1, overwrite=True)
    again.search(X + 1, Y, validation_split=0.25)
    assert again.study_name == "line-2"


def broken(hp: Any) -> Any:
    """Build a model that takes another number of columns."""
    net = keras.Sequential([keras.Input((7,)), keras.layers.Dense(hp.Int("units", 1, 2))])
    net.compile("adam", "mse", metrics=["mae"])
    return net


@pytest.mark.parametrize(
    ("options", "search", "error", "told"),
    [
        ({"objective": ["val_mae", "val_loss"]}, {}, ConfigError, "several objectives"),
        ({"objective": 7}, {}, ConfigError, "7 is no objective"),
        ({"objective": "val_gain"}, {}, ConfigError, "whether more or less of 'gain' is better is not known"),
        ({"sampler": "tpee"}, {}, ConfigError, "sampler"),
        ({"storage": "sqlite:///a.db", "directory": "b"}, {}, ConfigError, "give one"),
        ({"model": 3}, {}, ConfigError, "int is no keras_tuner.HyperModel"),
        ({}, {"x": iter([1])}, DataError, "x is a generator"),
        ({"model": broken}, {}, fs.SweepError, "5"),
    ],
)
def test_mistakes_are_told_by_an_error_of_the_package(
    options: dict[str, Any], search: dict[str, Any], error: type[Exception], told: str
) -> None:
    """Never by a process that ends."""
    with pytest.raises(error, match=told):
        tuner(**options)[0].search(search.get("x", X), Y, validation_split=0.25)


def test_trials_that_all_fail_are_an_error() -> None:
    """With the reason of the first."""

    class Stubborn(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
        def build(self, hp: Any) -> Any:
            return broken_later(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            del hp
            if kwargs["epochs"] > 1:
                raise RuntimeError("no more than one epoch")
            return model.fit(*args, **kwargs)

    def broken_later(hp: Any) -> Any:
        net = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(hp.Int("units", 1, 2)), keras.layers.Dense(1)]
        )
        net.compile("adam", "mse", metrics=["mae"])
        return net

    with pytest.raises(NothingTrainedError, match="no more than one epoch"):
        tuner(Stubborn())[0].search(X, Y, validation_split=0.25, epochs=2)


def test_some_rows_of_text_are_still_a_tensor() -> None:
    """A model that takes text is built and tried on a few rows: Keras takes no array of Python objects."""
    text = tf.constant([["good film"], ["bad film"], ["good"]])
    some = rows({"text": text, "age": tf.constant([1, 2, 3])}, np.array([2, 0]))
    assert some["text"].dtype == "string"
    assert [value[0].decode() for value in some["text"].numpy()] == ["good", "good film"]
    assert some["age"].tolist() == [3, 1]


@pytest.mark.parametrize(
    "theirs",
    [
        keras_tuner.RandomSearch,
        keras_tuner.BayesianOptimization,
        keras_tuner.Hyperband,
        keras_tuner.GridSearch,
        keras_tuner.Tuner,
    ],
    ids=lambda theirs: theirs.__name__,
)
def test_every_argument_of_kerastuner_s_tuners_is_taken_or_answered(theirs: type) -> None:
    """With the defaults that the installed version has."""
    ours = inspect.signature(fs.Tuner).parameters
    for name, parameter in list(inspect.signature(theirs).parameters.items()):
        if name in ours or name in {"oracle", "kwargs"}:
            continue
        default, advice = _WHAT_TO_DO[name]
        assert default == parameter.default
        assert advice


def test_data_sets_that_never_end_are_kept_for_all_epochs() -> None:
    """A generator that never stops and a shuffled one that repeats; both searches go on."""

    def rows_without_end() -> Any:
        n = 0
        while True:
            yield X[n % len(X)], Y[n % len(X)]
            n += 1

    form = (tf.TensorSpec((5,), tf.float32), tf.TensorSpec((1,), tf.float32))
    generated = tf.data.Dataset.from_generator(rows_without_end, output_signature=form).batch(8)
    repeated = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(160).batch(8).repeat()
    for name, data in (("generated", generated), ("repeated", repeated)):
        for max_trials in (1, 2):
            search, _ = tuner(study=name, max_trials=max_trials)
            settings = {"validation_data": data, "validation_steps": 3, "steps_per_epoch": 4, "epochs": 2}
            search.search(data, **settings)
        assert list(search.trials_dataframe()["state"]) == ["COMPLETE"] * 2


def test_images_of_an_older_generator_are_carried() -> None:
    """What `ImageDataGenerator.flow` gives is an iterator too, with a lock that no process can hand on."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    made = ImageDataGenerator(rescale=0.5).flow(
        np.ones((6, 4, 4, 1)), np.arange(6), batch_size=4, shuffle=False
    )
    data = keep_call(Call((made,), {"validation_data": made}), name="images")
    opened = open_call(Path(data.directory), tf.data.Dataset.load)
    assert len(opened.x) == 2
    images, labels = opened.x[1]
    assert images.max() == 0.5
    assert list(labels) == [4, 5]
    assert next(opened.x)[0].shape == (4, 4, 4, 1)


def test_batches_of_all_epochs_are_kept() -> None:
    """In their order: an epoch goes on where the one before it ended."""
    numbers = tf.data.Dataset.range(100, output_type=tf.float32).map(lambda n: (n[None], n[None]))
    data = keep_call(Call((numbers.batch(2).repeat(),), {"steps_per_epoch": 3}), name="mine", epochs=4)
    kept = open_call(Path(data.directory), tf.data.Dataset.load).x
    firsts = [float(x[0, 0]) for x, _ in kept.take(14)]
    assert firsts == [*range(0, 24, 2), 0.0, 2.0]


def test_a_data_set_of_unknown_length_may_end() -> None:
    """It ends where it ended, also before all steps are taken."""
    numbers = tf.data.Dataset.range(9).filter(lambda n: n % 2 == 0).map(lambda n: (n[None], n[None])).batch(1)
    data = keep_call(Call((numbers,), {"steps_per_epoch": 3}), name="mine", epochs=4)
    kept = open_call(Path(data.directory), tf.data.Dataset.load).x
    assert [int(x[0, 0]) for x, _ in kept] == [0, 2, 4, 6, 8]
