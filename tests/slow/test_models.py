"""The built-in HyperModels, built and trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fmnist_sweep.config import limits
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Scalar, SplitSpec
from fmnist_sweep.data import load_split, open_data
from fmnist_sweep.models import catalog, spaces

pytestmark = pytest.mark.slow

FASHION_MNIST = (28, 28, 1)
N_POINTS = 150
both = pytest.mark.parametrize("model", ["dense", "cnn"])


def hypermodel(model: str, **options: Any) -> Any:
    from fmnist_sweep.models import ConvModel, DenseModel

    return {"dense": DenseModel, "cnn": ConvModel}[model](**options)


def built(model: str, values: dict[str, Any], **options: Any) -> Any:
    from fmnist_sweep.models.hyperparameters import filled

    return hypermodel(model, **options).build(filled(values))


@pytest.fixture(scope="module")
def images() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Sixty-four images, their class written into their brightness."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 10
    pixels = 0.1 * rng.random((64, 28, 28, 1)) + labels[:, None, None, None] / 11
    return pixels.astype(np.float32), labels


@both
def test_every_sampled_point_builds_with_the_counted_weights(model: str) -> None:
    """Nothing in the space is impossible, all of it is read, and the catalog counts as Keras does."""
    import keras

    from fmnist_sweep.models.hyperparameters import filled

    info, ours = catalog.MODELS[model], hypermodel(model)
    assert info.n_parameters is not None
    rng = np.random.default_rng(0)
    for i in range(N_POINTS):
        if i % 50 == 0:
            keras.utils.clear_session()
        point = info.space.sample(rng)
        hp = filled(point)
        assert ours.build(hp).count_params() == info.n_parameters(point, FASHION_MNIST, 10), point
        assert {asked.name for asked in hp.space} >= set(point), "a value is never read"
        assert hp.values == point


@both
@pytest.mark.parametrize(("shape", "n_classes"), [((32, 32, 3), 100), ((28, 31, 1), 2)])
def test_other_images_are_counted_too(model: str, shape: tuple[int, ...], n_classes: int) -> None:
    """Shape and number of classes reach input and output."""
    count = catalog.MODELS[model].n_parameters
    net = built(model, {}, input_shape=shape, n_classes=n_classes)

    assert count is not None
    assert net.count_params() == count({}, shape, n_classes)
    assert (net.input_shape, net.output_shape) == ((None, *shape), (None, n_classes))


def test_the_default_nets_are_the_report_s() -> None:
    """Dense 300-200, and LeNet-5 with average pools."""
    dense, cnn = built("dense", {}), built("cnn", {})

    assert [layer.units for layer in dense.layers if hasattr(layer, "units")] == [300, 200, 10]
    shapes = [tuple(layer.output.shape[1:]) for layer in cnn.layers if "activation" not in layer.name]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (120,), (84,), (10,)]
    assert [type(layer).__name__ for layer in cnn.layers].count("AveragePooling2D") == 2


def test_keras_knows_every_name_that_a_sweep_file_may_use() -> None:
    """Also those that the models don't search by themselves; what Keras adds has to be added here."""
    import keras

    for name in (*spaces.ACTIVATIONS, *limits.MORE_ACTIVATIONS):
        assert callable(keras.activations.get(name))
    for name in (*spaces.OPTIMIZERS, *limits.MORE_OPTIMIZERS):
        keras.optimizers.get(name)


@both
@pytest.mark.parametrize("optimizer", spaces.OPTIMIZERS)
def test_the_model_is_compiled_as_configured(model: str, optimizer: str) -> None:
    """Optimizer, learning rate, loss and no XLA."""
    net = built(model, {"optimizer": optimizer, "learning_rate": 3e-3})

    assert type(net.optimizer).__name__.lower() == optimizer
    assert float(net.optimizer.learning_rate.numpy()) == pytest.approx(3e-3)
    assert net.optimizer.get_config().get("momentum", 0.0) == (0.9 if optimizer == "sgd" else 0.0)
    assert net.loss == "sparse_categorical_crossentropy"
    assert not net.jit_compile


def test_weight_decay_is_that_of_adamw() -> None:
    """Where the space has it, the optimizer gets it, whatever Keras's default is."""
    net = built("dense", {"optimizer": "adamw", "weight_decay": 0.03})
    assert net.optimizer.weight_decay == 0.03


@both
def test_nothing_is_smoothed_or_changed_unless_asked_for(model: str) -> None:
    """Values of 0 and false leave out the layers and the loss, not only their effect."""
    off = {"label_smoothing": 0.0, "flip": False, "shift": 0, "conv_dropout": 0.0, "convs_per_block": 1}
    off |= {"alternate_flips": False, "erase": 0.0, "ema": 0.0}
    on = {"label_smoothing": 0.1, "flip": True, "shift": 2, "conv_dropout": 0.1, "convs_per_block": 2}
    plain, rich = built(model, off), built(model, on)
    layers = [type(layer).__name__ for layer in rich.layers]

    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in built(model, {}).layers]
    assert layers[:2] == ["HorizontalFlip", "PixelShift"]
    assert rich.layers[1].max_pixels == 2
    assert rich.loss.label_smoothing == 0.1
    if model == "cnn":
        assert layers[2:8] == ["Conv2D", "Activation"] * 2 + ["AveragePooling2D", "Dropout"]
        assert built(model, {"global_pooling": True}).layers[-4].name.startswith("global_average_pooling")
    assert not plain.optimizer.use_ema
    newer = built(model, {"flip": True, "alternate_flips": True, "shift": 1, "erase": 0.25, "ema": 0.9})
    kinds = [type(layer).__name__ for layer in newer.layers]
    assert kinds[:3] == ["AlternatingFlip", "PixelShift", "RandomErasing"]
    assert (newer.layers[2].factor, newer.optimizer.ema_momentum) == ((0.25, 0.25), 0.9)


@both
def test_the_defaults_train_as_the_report_s_nets_in_plain_keras(model: str, images: Any) -> None:
    """Same seed, same weights bit for bit, before and after training: what was added draws no number."""
    import keras

    from fmnist_sweep.models.hyperparameters import filled

    keras.utils.set_random_seed(7)
    ours = built(model, {})
    keras.utils.set_random_seed(7)
    l2 = keras.regularizers.L2(1e-4 if model == "dense" else 1e-5)
    dense = keras.layers.Dense

    def conv(filters: int, padding: str) -> list[Any]:
        return [keras.layers.Conv2D(filters, 5, padding=padding), keras.layers.Activation("relu")]

    def pool() -> Any:
        return keras.layers.AveragePooling2D(2, padding="same")

    if model == "dense":
        hidden = [keras.layers.Flatten()]
        for units in (300, 200):
            hidden += [dense(units, kernel_regularizer=l2), keras.layers.Activation("relu")]
    else:
        hidden = [*conv(6, "same"), pool(), *conv(16, "valid"), pool(), *conv(120, "valid")]
        hidden += [keras.layers.Flatten(), dense(84, kernel_regularizer=l2), keras.layers.Activation("relu")]
    last = dense(10, activation="softmax", kernel_regularizer=l2)
    plain = keras.Sequential([keras.Input(FASHION_MNIST), *hidden, last])
    plain.compile(
        keras.optimizers.Adam(1e-4 if model == "dense" else 1e-3), "sparse_categorical_crossentropy"
    )

    for trained in (False, True):
        if trained:
            x, y = images
            hypermodel(model).fit(filled({}), ours, x, y, epochs=2, batch_size=32, shuffle=False, verbose=0)
            plain.fit(x, y, epochs=2, batch_size=32, shuffle=False, verbose=0)
        for one, other in zip(ours.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@both
# Keras's way to NumPy is older than NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_fit_follows_the_schedule(model: str, images: Any) -> None:
    """Under KerasTuner alone each epoch has its learning rate; callbacks that are given are kept."""
    import keras

    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.schedule import scheduled_learning_rate

    values: dict[str, Scalar] = {"schedule": "step", "schedule_epochs": 4, "learning_rate": 0.01, "epochs": 5}
    ours, net, seen = hypermodel(model), built(model, values), []
    watching = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: seen.append(float(net.optimizer.learning_rate.numpy())),
        on_epoch_end=lambda *_: seen.append(float(net.optimizer.learning_rate.numpy())),
    )
    ours.fit(filled(values), net, *images, callbacks=[watching], verbose=0)
    wanted = [scheduled_learning_rate(values, epoch) for epoch in range(5)]

    assert seen[1::2] == pytest.approx(wanted)
    # One epoch at a time, its learning rate is the caller's.
    net.optimizer.learning_rate = 0.5
    ours.fit(filled(values), net, *images, epochs=1, verbose=0)
    assert float(net.optimizer.learning_rate.numpy()) == 0.5


@both
def test_regularisation_is_where_it_is_said_to_be(model: str) -> None:
    """L2 on dense kernels alone; dropout behind hidden dense layers; normalisation before activations."""
    net = built(model, {"l2": 0.02, "dropout": 0.25, "batch_norm": True})
    kinds = [type(layer).__name__ for layer in net.layers]

    for layer in net.layers:
        if type(layer).__name__ == "Dense":
            assert float(layer.kernel_regularizer.l2) == pytest.approx(0.02)
        assert getattr(layer, "bias_regularizer", None) is None
        if type(layer).__name__ == "Conv2D":
            assert layer.kernel_regularizer is None
        if type(layer).__name__ == "Dropout":
            assert layer.rate == 0.25
    hidden = ["Dense", "BatchNormalization", "Activation", "Dropout"]
    if model == "dense":
        assert kinds == ["Flatten", *hidden, *hidden, "Dense"]
    else:
        block = ["Conv2D", "BatchNormalization", "Activation"]
        pooled = [*block, "AveragePooling2D"]
        assert kinds == [*pooled, *pooled, *block, "Flatten", *hidden, "Dense"]


def test_a_point_that_does_not_fit_is_refused_not_altered() -> None:
    """A fixed value that can't be built gives the catalog's words, even where the space has no such value."""
    impossible: list[dict[str, Scalar]] = [
        {"kernel_size_2": 20},
        {"padding_1": "valid", "padding_2": "valid", "padding_3": "valid", "kernel_size_3": 5},
    ]
    for values in impossible:
        with pytest.raises(ConfigError) as caught:
            built("cnn", values)
        assert list(caught.value.problems) == spaces.conv_problems(values, FASHION_MNIST)

    fitting: dict[str, Scalar] = {"padding_1": "valid", "padding_3": "valid", "kernel_size_3": 2}
    assert built("cnn", fitting).count_params() == spaces.conv_n_parameters(fitting, FASHION_MNIST, 10)


def test_an_unknown_pooling_is_refused() -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match=r"unknown pooling 'sum' \(allowed: average, max\)"):
        built("cnn", {"pooling": "sum"})


@both
def test_fit_uses_the_searched_batch_and_epochs_unless_given(model: str, images: Any) -> None:
    """KerasTuner tunes both; who passes their own gets them, by name or by position."""
    from fmnist_sweep.models.hyperparameters import filled

    x, y = images
    ours, hp = hypermodel(model), filled({"batch_size": 16, "epochs": 2})
    net = ours.build(hp)

    def trained(*args: Any, **options: Any) -> tuple[int, int]:
        before = int(net.optimizer.iterations.numpy())
        n_epochs = len(ours.fit(hp, net, *args, verbose=0, **options).epoch)
        return n_epochs, (int(net.optimizer.iterations.numpy()) - before) // n_epochs

    assert trained(x, y) == (2, 4)
    assert trained(x, y, 32) == (2, 2)
    assert trained(x, y, epochs=1, batch_size=64) == (1, 1)


@both
def test_images_of_one_channel_may_come_without_its_axis(model: str, images: Any) -> None:
    """``(n, 28, 28)``, as Keras's data sets come, is taken like ``(n, 28, 28, 1)``."""
    from fmnist_sweep.models.hyperparameters import filled

    x, y = images
    weights = built(model, {}).get_weights()
    outputs = []
    for taken in (x, x[..., 0]):
        ours, hp = hypermodel(model), filled({"epochs": 1, "batch_size": 60})
        net = ours.build(hp)
        net.set_weights(weights)
        ours.fit(hp, net, taken, y, shuffle=False, verbose=0)
        outputs.append(net.predict(taken, verbose=0))

    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)


def test_fit_leaves_the_batches_of_a_data_set_alone(images: Any) -> None:
    """A tf.data.Dataset has its own batches."""
    import tensorflow as tf

    from fmnist_sweep.models.hyperparameters import filled

    ours, hp = hypermodel("dense"), filled({"epochs": 1})
    net = ours.build(hp)
    ours.fit(hp, net, tf.data.Dataset.from_tensor_slices(images).batch(8), shuffle=False, verbose=0)

    assert int(net.optimizer.iterations.numpy()) == 8


@both
# KerasTuner calls threading.currentThread, and keeps weights under an old file name.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_plain_kerastuner_searches_the_declared_space(model: str, tmp_path: Path) -> None:
    """`RandomSearch(DenseModel(), objective="val_accuracy", max_trials=2)` works on real images."""
    pytest.importorskip("tensorboard", reason="KerasTuner's tuners import it")
    import keras_tuner

    split = load_split(open_data(), SplitSpec(n_val=500, train_size=2000))
    tuner = keras_tuner.RandomSearch(
        hypermodel(model), objective="val_accuracy", max_trials=2, directory=tmp_path, seed=0
    )
    declared = {asked.name for asked in tuner.oracle.get_space().space}
    tuner.search(
        split.x_train, split.y_train, epochs=1, validation_data=(split.x_val, split.y_val), verbose=0
    )
    trials = list(tuner.oracle.trials.values())

    assert declared == set(catalog.MODELS[model].space)
    assert [trial.status for trial in trials] == ["COMPLETED", "COMPLETED"]
    assert all(trial.score is not None for trial in trials)
    for trial in trials:
        assert catalog.MODELS[model].space.contains(trial.hyperparameters.values)
    assert tuner.get_best_models(1)[0].predict(split.x_val[:2], verbose=0).shape == (2, 10)
