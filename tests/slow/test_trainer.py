"""Real training: what the Keras trainer promises beyond `TrainerContract`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from placing import placed_here

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Noted, Started
from fmnist_sweep.core.jobs import Scalar, SplitSpec, TrialJob
from fmnist_sweep.data import load_split, open_data, probe_indices
from fmnist_sweep.data.split import aligned

pytestmark = pytest.mark.slow

USERS_MODELS = '''
import keras
import keras_tuner


def net(*, activation="softmax", n_classes=10, dropout=0.0):
    return keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(n_classes, activation=activation),
        ]
    )


class Plain(keras_tuner.HyperModel):
    """Without an Input layer: built by its first call."""

    def build(self, hp):
        model = net(dropout=0.2)
        model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e30)), "sparse_categorical_crossentropy")
        return model


class OwnFit(Plain):
    calls = []

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        batch_size = hp.Choice("batch", [16, 50])
        OwnFit.calls.append((len(x), len(validation_data[0]), batch_size, sorted(kwargs)))
        return model.fit(x, y, batch_size=batch_size, **kwargs)


class Scheduled(Plain):
    def learning_rate(self, hp, epoch):
        return hp.Float("lr", 1e-4, 1e30) / 10**epoch


class HasNumber(Plain):
    learning_rate = 1e-3


class ToldLogits(keras_tuner.HyperModel):
    def build(self, hp):
        model = net(activation=None)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model


class SeenLogits(keras_tuner.HyperModel):
    def build(self, hp):
        model = net(activation=None)
        loss = lambda y, z: keras.losses.sparse_categorical_crossentropy(y, z, from_logits=True)
        model.compile("adam", loss)
        return model


class Seeded(Plain):
    def build(self, hp):
        keras.utils.set_random_seed(42)
        return super().build(hp)


class SeededOddly(Plain):
    def build(self, hp):
        from random import seed
        import numpy
        seed(1), numpy.random.seed(2)
        return super().build(hp)


class LooksUp(Plain):
    def build(self, hp):
        self.rate, self.copy = hp.get("rate"), hp.copy() if "copied" in dict(hp.values) else None
        return super().build(hp)


class Raises(keras_tuner.HyperModel):
    def build(self, hp):
        raise ValueError("no such thing")


class NotCompiled(keras_tuner.HyperModel):
    def build(self, hp):
        return net()


class WrongClasses(keras_tuner.HyperModel):
    def build(self, hp):
        model = net(n_classes=7)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model


class NoModel(keras_tuner.HyperModel):
    def build(self, hp):
        return None
'''


@pytest.fixture(autouse=True)
def users_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A user's module of HyperModels, importable as ``users_models``."""
    import importlib
    import sys

    (tmp_path / "users_models.py").write_text(USERS_MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("users_models")
    del sys.modules["users_models"]


def job(model: str, *, epochs: int = 2, seed: int = 3, **hyperparameters: Scalar) -> TrialJob:
    """Return a job on a few images; the last batch of 32 is not whole."""
    return TrialJob(
        0,
        model if "." in model else f"users_models:{model}",
        hyperparameters,
        epochs=epochs,
        seed=seed,
        data=open_data(),
        split=SplitSpec(n_val=300, train_size=410),
        n_probe=200,
    )


def curve(wanted: TrialJob) -> list[EpochScores]:
    """Train, and return the scores without their seconds."""
    from fmnist_sweep.training.trainer import KerasTrainer

    steps = KerasTrainer().fit(placed_here(wanted))
    return [replace(step, seconds=0.0) for step in steps if isinstance(step, EpochScores)]


@pytest.mark.parametrize("batch_size", [32, 64, 1000])
def test_an_epoch_trains_exactly_as_keras_does(users_models: Any, batch_size: int) -> None:
    """With exact steps the compiled epoch and Keras's ``fit`` leave the same weights to the bit."""
    import keras
    import keras_tuner

    from fmnist_sweep.training import trainer
    from fmnist_sweep.training.runtime import set_up_tensorflow

    wanted = job("Plain")
    split = load_split(placed_here(wanted).data_ref, wanted.split)
    set_up_tensorflow()
    weights = []
    for compiled in (True, False):
        keras.utils.set_random_seed(1)
        model = users_models.Plain().build(keras_tuner.HyperParameters())
        model(split.x_train[:1])
        train = trainer._compiled_epoch(model, split, batch_size, exact_steps=True)
        for epoch in range(2):
            order = np.random.default_rng(epoch).permutation(410).astype(np.int32)
            if compiled:
                train(order)
            else:
                x, y = split.x_train[order], split.y_train[order]
                model.fit(x, y, batch_size=batch_size, epochs=1, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for ours, kerass in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, kerass)


def test_a_tensor_shares_its_array_s_memory() -> None:
    """An aligned array is not copied."""
    from fmnist_sweep.training.runtime import shared_tensor

    array = aligned((64, 3))
    array[:] = 0
    tensor = shared_tensor(array)
    array[5, 1] = 7
    assert float(tensor[5, 1]) == 7


@pytest.mark.parametrize("wrong", ["unaligned", "strided"])
def test_an_array_that_tensorflow_can_t_use_is_copied(wrong: str) -> None:
    """A tensor that began anywhere else would end the process in the first operation."""
    import tensorflow as tf

    from fmnist_sweep.training.runtime import shared_tensor

    whole = aligned((64, 4))
    whole[:] = np.arange(256).reshape(64, 4)
    array = whole.ravel()[1:129].reshape(32, 4) if wrong == "unaligned" else whole[:, ::2]
    taken = tf.gather(shared_tensor(array), [3, 1])
    np.testing.assert_array_equal(taken, array[[3, 1]])


def test_running_accuracy_is_what_keras_logs() -> None:
    """The compiled epoch runs up the very number of ``fit``'s history, and trains as without it."""
    import keras

    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model, load_model
    from fmnist_sweep.training.runtime import set_up_tensorflow

    wanted = job("fmnist_sweep.models:DenseModel", units_1=20, depth=1, dropout=0.2)
    kept = curve(replace(wanted, running_metrics=True))
    assert [replace(scores, running={}) for scores in kept] == curve(wanted)
    split = load_split(placed_here(wanted).data_ref, wanted.split)
    set_up_tensorflow()
    keras.utils.set_random_seed(wanted.seed)
    hypermodel = load_model(wanted.model, input_shape=(28, 28, 1), n_classes=10)
    model = build_model(hypermodel, filled(wanted.hyperparameters))
    logged = []
    for epoch in range(2):
        order = np.random.default_rng((wanted.seed, epoch)).permutation(410)
        x, y = split.x_train[order], split.y_train[order]
        logged += model.fit(x, y, batch_size=32, epochs=1, shuffle=False, verbose=0).history["accuracy"]
    assert [scores.running["accuracy"] for scores in kept] == pytest.approx(logged, abs=1e-6)


def test_running_accuracy_needs_a_model_that_keeps_it() -> None:
    """A model without the metric fails with the way out."""
    with pytest.raises(TrialError, match="metrics="):
        curve(replace(job("Plain"), running_metrics=True))


def test_faster_steps_learn_the_same() -> None:
    """Only rounding tells them apart from Keras's: few of a few images fall to another class."""
    exact, faster = (curve(replace(job("Plain", lr=1e-3), exact_steps=steps)) for steps in (True, False))
    for one, other in zip(exact, faster, strict=True):
        assert other.val["accuracy"] == pytest.approx(one.val["accuracy"], abs=0.01)
        assert other.val["cross_entropy"] == pytest.approx(one.val["cross_entropy"], rel=1e-3)


# Keras's way to NumPy is older than NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_schedule_is_that_of_keras_s_callback(users_models: Any) -> None:
    """Epoch by epoch, a model is trained as one ``fit`` with LearningRateScheduler does, bit for bit."""
    import keras
    import keras_tuner

    from fmnist_sweep.training import runtime, trainer

    wanted = job("Scheduled")
    split = load_split(placed_here(wanted).data_ref, wanted.split)
    runtime.set_up_tensorflow()
    hypermodel = users_models.Scheduled()
    hp = keras_tuner.HyperParameters()
    weights = []
    for ours in (True, False):
        keras.utils.set_random_seed(1)
        model = hypermodel.build(hp)
        model(split.x_train[:1])
        if ours:
            order = np.arange(410, dtype=np.int32)
            train = trainer._compiled_epoch(model, split, 32, exact_steps=True)
            set_learning_rate = trainer._scheduler(hypermodel, hp, model)
            for epoch in range(3):
                set_learning_rate(epoch)
                train(order)
        else:
            schedule = keras.callbacks.LearningRateScheduler(
                lambda epoch, _: hypermodel.learning_rate(hp, epoch)
            )
            options = {"batch_size": 32, "shuffle": False, "callbacks": [schedule], "verbose": 0}
            model.fit(split.x_train, split.y_train, epochs=3, **options)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_hypermodel_s_learning_rate_is_used_if_it_is_a_method() -> None:
    """A method sets the rate of each epoch, here a lower one from the second on; a number is left alone."""
    plain, scheduled = (curve(job(model, lr=1e-3, epochs=3)) for model in ("Plain", "Scheduled"))
    assert scheduled[0] == plain[0]
    assert scheduled[1:] != plain[1:]
    assert curve(job("HasNumber", lr=1e-3)) == plain[:2]


def test_the_hypermodels_own_fit_is_called(users_models: Any) -> None:
    """Once, with the arguments that KerasTuner gives; it keeps what validates, and chooses its batch size."""
    assert len(curve(job("OwnFit", batch=50))) == 2
    assert users_models.OwnFit.calls == [(410, 300, 50, ["callbacks", "epochs"])]


def test_batch_size_is_the_hyperparameter_or_else_the_jobs() -> None:
    """A hyperparameter ``batch_size`` goes before the job's, and either changes the curve."""
    by_job = replace(job("Plain"), batch_size=64)
    assert curve(by_job) == curve(job("Plain", batch_size=64))
    assert curve(by_job) != curve(job("Plain"))


def test_scores_are_those_of_keras(users_models: Any) -> None:
    """Validation scores agree with ``evaluate`` of the trained model, dropout off."""
    models = []
    original = users_models.Plain.build

    def build(self: Any, hp: Any) -> Any:
        models.append(original(self, hp))
        return models[-1]

    users_models.Plain.build = build
    scores = curve(job("Plain"))[-1]
    split = load_split(open_data(), SplitSpec(n_val=300, train_size=410))
    (model,) = models
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    for name, x, y in (
        ("val", split.x_val, split.y_val),
        ("train", *(part[probe_indices(410, 200)] for part in (split.x_train, split.y_train))),
    ):
        loss, accuracy = model.evaluate(x, y, verbose=0)
        assert scores.by_name()[f"{name}_accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert scores.by_name()[f"{name}_cross_entropy"] == pytest.approx(loss, abs=1e-4)


def notes(wanted: TrialJob) -> list[str]:
    """Train, and return what was noted."""
    from fmnist_sweep.training.trainer import KerasTrainer

    steps = KerasTrainer().fit(placed_here(wanted))
    return [step.note for step in steps if isinstance(step, Noted)]


@pytest.mark.parametrize(("model", "n_lines"), [("Seeded", 1), ("SeededOddly", 1), ("Plain", 0)])
def test_a_model_that_seeds_the_generators_is_told_and_passed_over(model: str, n_lines: int) -> None:
    """Its repeats are those of a model that leaves the seeds alone, and the line that tried is named."""
    import random

    assert curve(job(model)) == curve(job("Plain"))
    told = notes(job(model))
    assert len(told) == n_lines
    for note in told:
        assert "seed" in note
        assert "users_models.py:" in note
    random.seed(5)
    assert random.Random(5).random() == random.random()  # noqa: S311


@pytest.mark.parametrize("model", ["Plain", "OwnFit"])
def test_a_hyperparameter_that_is_never_asked_for_fails_the_job(model: str) -> None:
    """No value of it changes anything, and the study would say that one is better than another."""
    with pytest.raises(TrialError, match=r"never asks for dropout, rate, so that no value of"):
        curve(job(model, rate=0.5, dropout=0.2))


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("Scheduled", {"lr": 1e-3}),
        ("OwnFit", {"batch": 50}),
        ("Plain", {"batch_size": 64}),
        ("LooksUp", {"rate": 0.5}),
        ("LooksUp", {"rate": 0.5, "copied": True, "whatever": 3}),
    ],
    ids=["in_learning_rate", "in_fit", "by_the_trainer", "by_name", "all_at_once"],
)
def test_wherever_it_is_asked_for_is_enough(model: str, values: dict[str, Any]) -> None:
    """In build, in fit or for a schedule; whoever takes all values may use each."""
    assert len(curve(job(model, **values))) == 2


def test_seed_changes_the_curve() -> None:
    """Another seed gives other weights and another order."""
    assert curve(job("Plain", seed=1)) != curve(job("Plain", seed=2))


def test_parameters_are_counted_whole() -> None:
    """Trainable weights and those that are not, such as batch normalisation's means."""
    from fmnist_sweep.training.trainer import KerasTrainer

    first = next(
        iter(KerasTrainer().fit(placed_here(job("fmnist_sweep.models:DenseModel", batch_norm=True))))
    )
    assert first == Started(0, n_parameters=297_710 + 4 * (300 + 200))


@pytest.mark.parametrize("model", ["ToldLogits", "SeenLogits"])
def test_logits_are_scored_as_their_softmax(model: str) -> None:
    """Whether the loss says so or only the outputs show it, logits give sensible cross-entropies."""
    scores = curve(job(model, epochs=5))[-1]
    assert scores.val["accuracy"] > 0.4
    assert 0.5 < scores.val["cross_entropy"] < 2.3


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("Raises", "build of the model failed: ValueError: no such thing"),
        ("NotCompiled", "build must return a compiled model"),
        ("WrongClasses", "must give one value for each of 10 classes; it gives"),
        ("NoModel", "build of the model failed: it returned NoneType"),
        ("Absent", "import of the model failed: no 'Absent' in module users_models"),
    ],
)
def test_a_model_that_cannot_train_says_why(model: str, reason: str) -> None:
    """Each mistake of a user's HyperModel is told in one line."""
    with pytest.raises(TrialError) as caught:
        curve(job(model))
    assert reason in caught.value.reason
    assert "\n" not in caught.value.reason


def test_the_users_traceback_is_kept() -> None:
    """The detail of a build that raises shows where in the user's file it did."""
    with pytest.raises(TrialError) as caught:
        curve(job("Raises"))
    assert "users_models.py" in caught.value.detail


def test_divergence_fails_the_trial() -> None:
    """Weights that run off to NaN end the trial with a typed error, not with a score."""
    with pytest.raises(TrialError, match="the training diverged"):
        curve(job("Plain", lr=1e30, epochs=5))


def test_a_batch_needs_an_image() -> None:
    """A batch size of 0 is refused by name."""
    with pytest.raises(TrialError, match="batch_size must be at least 1; got 0"):
        curve(job("Plain", batch_size=0))
