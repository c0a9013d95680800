"""The fused kernels against the operations of Keras, and what they must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

N_STEPS = 12
ADAM, NORMALISATION = "ResourceApplyAdam", "FusedBatchNormV3"
CROSS_ENTROPY = "SparseSoftmaxCrossEntropyWithLogits"


def trained(build: Any, *, fused: bool) -> tuple[list[Any], set[str]]:
    """Return all variables of a model after some steps, and the kinds of operations in a step.

    Args:
        build: Makes a compiled model of images ``(8, 8, 3)`` and 4 classes.
        fused: Whether the steps are traced with the fused kernels.
    """
    import keras
    import tensorflow as tf

    from fmnist_sweep.training.fused import fused_kernels
    from fmnist_sweep.training.runtime import set_up_tensorflow

    set_up_tensorflow()
    keras.utils.set_random_seed(0)
    model, rng = build(), np.random.default_rng(0)
    model.optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        model.train_step((x, y))

    images = tf.constant(rng.normal(size=(N_STEPS, 6, 8, 8, 3)), tf.float32)
    labels = tf.constant(rng.integers(0, 4, (N_STEPS, 6)), tf.int32)
    with fused_kernels(model) if fused else nullcontext():
        graph = step.get_concrete_function(images[0], labels[0]).graph.as_graph_def()
    for x, y in zip(images, labels, strict=True):
        step(x, y)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)], {node.op for node in nodes}


def net(*layers: Any, optimizer: Any = "adam", loss: Any = "sparse_categorical_crossentropy") -> Any:
    """Return a compiled model that begins with a convolution and the given layers."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, activation="relu", use_bias=False),
            *layers,
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss)
    return model


def spelled_out(labels: Any, outputs: Any) -> Any:
    """Return a cross-entropy that has no kernel."""
    import keras

    return keras.losses.categorical_crossentropy(keras.ops.one_hot(labels, 4), outputs)


def require_equal_learning(build: Any, kernel: str) -> None:
    """Fail unless the kernel is used and all variables agree to rounding."""
    (ours, kinds), (kerass, others) = (trained(build, fused=fused) for fused in (True, False))
    assert kernel in kinds
    assert kernel not in others
    for one, other in zip(ours, kerass, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def require_left_alone(build: Any, kernel: str) -> None:
    """Fail unless the kernel is not used and all variables are the same, bit for bit."""
    (ours, kinds), (kerass, _) = (trained(build, fused=fused) for fused in (True, False))
    assert kernel not in kinds
    for one, other in zip(ours, kerass, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"weight_decay": 0.1},
        {"clipnorm": 0.5},
        {"use_ema": True},
        {"gradient_accumulation_steps": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam_takes_the_steps_of_keras(name: str, options: dict[str, Any]) -> None:
    """Weights, moments and all else agree, whatever the optimizer does around its update."""
    import keras

    kind = getattr(keras.optimizers, name)
    require_equal_learning(lambda: net(optimizer=kind(**options)), ADAM)


def slopes(model: Any, *, fused: bool) -> tuple[list[Any], Any, list[str]]:
    """Return the gradients of a model's loss on images ``(8, 8, 3)``, the loss, and the operations."""
    import tensorflow as tf

    from fmnist_sweep.training.fused import fused_kernels

    rng = np.random.default_rng(1)
    images = tf.constant(rng.normal(size=(6, 8, 8, 3)), tf.float32)
    labels = tf.constant(rng.integers(0, 4, 6), tf.int32)
    model(images)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(y=labels, y_pred=model(images, training=True), training=True)
        return tape.gradient(loss, model.trainable_weights), loss

    with fused_kernels(model) if fused else nullcontext():
        graph = step.get_concrete_function().graph
    gradients, loss = step()
    return [g.numpy() for g in gradients], loss.numpy(), [o.type for o in graph.get_operations()]


def require_equal_slopes(make: Callable[[], list[Any]], before: dict[str, int]) -> None:
    """Fail unless gradients agree to a few units in the last place, and these operations are fewer.

    Args:
        make: Makes the layers behind the first convolution.
        before: How many operations of a kind Keras has more.
    """
    import keras

    keras.utils.set_random_seed(0)
    model = net(*make(), loss=spelled_out)
    (ours, loss, operations), (kerass, keras_loss, others) = (
        slopes(model, fused=fused) for fused in (True, False)
    )
    assert {kind: others.count(kind) - operations.count(kind) for kind in before} == before
    np.testing.assert_allclose(loss, keras_loss, rtol=1e-6)
    for one, other in zip(ours, kerass, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=4e-7 * np.abs(other).max())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "activation": "tanh"},
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 5, "filters": 10},
    ],
    ids=str,
)
def test_biases_of_convolutions_learn_as_in_keras(options: dict[str, Any]) -> None:
    """Whatever the convolution is, the bias is added to what it gives."""
    import keras

    settings = {"filters": 4, "kernel_size": 3, **options}
    require_equal_slopes(lambda: [keras.layers.Conv2D(**settings)], {"BiasAddGrad": 1, "Tile": -1})


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"strides": 2}], ids=str)
def test_a_convolution_over_its_whole_map_learns_as_in_keras(options: dict[str, Any]) -> None:
    """It is a product of matrices."""
    import keras

    settings = {"filters": 7, "kernel_size": 6, **options}
    require_equal_slopes(
        lambda: [keras.layers.Conv2D(**settings)], {"Conv2D": 1, "Conv2DBackpropFilter": 1, "Tile": 0}
    )


@pytest.mark.parametrize("options", [{"pool_size": 2}, {"pool_size": (3, 2), "padding": "same"}], ids=str)
def test_average_poolings_learn_as_in_keras(options: dict[str, Any]) -> None:
    """Their windows cover the maps."""
    import keras

    require_equal_slopes(lambda: [keras.layers.AveragePooling2D(**options)], {"AvgPool": 0, "AvgPoolGrad": 1})


def entropies(labels: Any, outputs: Any, *, fused: bool, **options: Any) -> tuple[Any, Any, set[str]]:
    """Return the cross-entropies of outputs, the gradient of their sum, and the kinds of operations.

    Args:
        labels: Class numbers.
        outputs: A score for each class, of each of them; ``from_logits=False`` takes their softmax.
        fused: Whether they are traced with the fused kernels.
        options: For Keras's function.
    """
    import keras
    import tensorflow as tf

    from fmnist_sweep.training.fused import fused_kernels
    from fmnist_sweep.training.runtime import set_up_tensorflow

    set_up_tensorflow()
    outputs, labels = tf.constant(outputs), tf.constant(labels)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def given() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            told = outputs if options.get("from_logits") else tf.nn.softmax(outputs)
            losses = keras.losses.sparse_categorical_crossentropy(labels, told, **options)
        return losses, tape.gradient(losses, outputs)

    with fused_kernels(net()) if fused else nullcontext():
        graph = given.get_concrete_function().graph
    losses, gradient = given()
    return losses.numpy(), gradient.numpy(), {o.type for o in graph.get_operations()}


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("kind", ["random", "ties", "far"])
def test_cross_entropies_are_those_of_keras(kind: str, from_logits: bool) -> None:
    """Ties and scores that a float can't tell from certainty among them; so are their gradients."""
    rng = np.random.default_rng(0)
    outputs = {
        "random": rng.normal(size=(32, 10)),
        "ties": np.ones((32, 10)),
        "far": rng.normal(scale=100, size=(32, 10)),
    }[kind].astype(np.float32)
    labels = rng.integers(0, 10, 32).astype(np.int32)
    (losses, gradient, kinds), (kerass, slope, others) = (
        entropies(labels, outputs, fused=fused, from_logits=from_logits) for fused in (True, False)
    )
    assert CROSS_ENTROPY in kinds - others
    np.testing.assert_allclose(losses, kerass, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=4e-7)


@pytest.mark.parametrize("other", ["maps", "double", "gpu"])
def test_other_cross_entropies_are_left_alone(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of each pixel, of other numbers, and on a device whose kernel adds in any order."""
    import tensorflow as tf

    shape = (3, 5, 10) if other == "maps" else (6, 10)
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=shape).astype(np.float64 if other == "double" else np.float32)
    labels = rng.integers(0, 10, shape[:-1]).astype(np.int32)
    if other == "gpu":
        devices = tf.config.list_physical_devices
        seen = {"GPU": ["GPU:0"]}
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: seen.get(kind, devices(kind))
        )
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)
    (losses, gradient, kinds), (kerass, slope, _) = (
        entropies(labels, outputs, fused=fused, from_logits=True) for fused in (True, False)
    )
    assert CROSS_ENTROPY not in kinds
    np.testing.assert_array_equal(losses, kerass)
    np.testing.assert_array_equal(gradient, slope)


@pytest.mark.parametrize("strength", [1e-3, 0.0], ids=str)
def test_penalties_of_weights_learn_as_in_keras(strength: float) -> None:
    """Their value is part of the loss as well."""
    import keras

    penalty = keras.regularizers.L2(strength)
    require_equal_slopes(
        lambda: [keras.layers.Conv2D(4, 3, kernel_regularizer=penalty, bias_regularizer="l2")], {"L2Loss": -2}
    )


@pytest.mark.parametrize("other", ["windows", "strides", "channels", "derived", "l1", "bias"])
def test_other_layers_and_penalties_are_left_alone(other: str) -> None:
    """Windows over the edge or over each other, derived classes, other penalties."""
    import keras

    class Derived(keras.layers.AveragePooling2D):  # type: ignore[misc]
        pass

    pooling, both = keras.layers.AveragePooling2D, keras.regularizers.L1L2()
    make: dict[str, Callable[[], list[Any]]] = {
        "windows": lambda: [pooling(4, padding="same")],
        "strides": lambda: [pooling(2, strides=1)],
        "channels": lambda: [pooling(2, data_format="channels_first", padding="same")],
        "derived": lambda: [Derived(2)],
        "l1": lambda: [keras.layers.Conv2D(4, 3, use_bias=False, kernel_regularizer=both)],
        "bias": lambda: [keras.layers.Conv2D(4, 3, use_bias=False)],
    }
    require_equal_slopes(make[other], {"AvgPoolGrad": 0, "L2Loss": 0, "Tile": 0})


@pytest.mark.parametrize("other", ["amsgrad", "derived", "sgd"])
def test_other_optimizers_are_left_alone(other: str) -> None:
    """What a derived class does in its update is not known."""
    import keras

    class Derived(keras.optimizers.Adam):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate / 2)

    make = {
        "amsgrad": lambda: keras.optimizers.Adam(amsgrad=True),
        "derived": Derived,
        "sgd": keras.optimizers.SGD,
    }[other]
    require_left_alone(lambda: net(optimizer=make(), loss=spelled_out), ADAM)


def test_the_rows_of_an_embedding_are_updated_as_keras_does() -> None:
    """Their gradients name the rows that they are of, which the kernel would not know."""
    import keras
    import tensorflow as tf

    from fmnist_sweep.training.fused import fused_kernels

    tables = []
    for fused in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Embedding(6, 3)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        rows = tf.constant([[1, 4, 4]])
        model(rows)
        model.optimizer.build(model.trainable_variables)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(rows) ** 2)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        with fused_kernels(model) if fused else nullcontext():
            model.optimizer.apply(gradients, model.trainable_variables)
        tables.append(model.get_weights()[0])
    assert np.any(tables[0])
    np.testing.assert_array_equal(*tables)


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.5, "epsilon": 1e-2}, {"scale": False}, {"center": False}, {"axis": 3}],
    ids=str,
)
def test_maps_are_normalised_as_keras_does(options: dict[str, Any]) -> None:
    """In training; what is kept for inference agrees as well."""
    import keras

    require_equal_learning(lambda: net(keras.layers.BatchNormalization(**options)), NORMALISATION)


def test_a_layer_within_a_model_within_the_model_is_normalised_too() -> None:
    """It is found wherever it stands."""
    import keras

    require_equal_learning(lambda: net(keras.Sequential([keras.layers.BatchNormalization()])), NORMALISATION)


@pytest.mark.parametrize("other", ["axis", "frozen", "renorm", "epsilon", "derived", "dense"])
def test_other_normalisations_are_left_alone(other: str) -> None:
    """Another axis, a frozen layer, a derived class and a dense layer's outputs among them."""
    import keras

    class Derived(keras.layers.BatchNormalization):  # type: ignore[misc]
        pass

    def frozen() -> Any:
        layer = keras.layers.BatchNormalization()
        layer.trainable = False
        return layer

    normalisation = keras.layers.BatchNormalization
    make: dict[str, Callable[[], list[Any]]] = {
        "axis": lambda: [normalisation(axis=1)],
        "frozen": lambda: [frozen()],
        "renorm": lambda: [normalisation(renorm=True)],
        "epsilon": lambda: [normalisation(epsilon=1e-6)],
        "derived": lambda: [Derived()],
        "dense": lambda: [keras.layers.Flatten(), normalisation()],
    }
    require_left_alone(lambda: net(*make[other](), optimizer="sgd", loss=spelled_out), NORMALISATION)


def test_a_model_is_itself_again_afterwards() -> None:
    """Also where tracing fails."""
    import keras
    import tensorflow as tf

    from fmnist_sweep.training.fused import fused_kernels

    layer = keras.layers.BatchNormalization()
    penalty = keras.regularizers.L2(0.1)
    model = net(layer, keras.layers.Conv2D(2, 1, kernel_regularizer=penalty))
    kernel = model.layers[2].kernel
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    def trace() -> None:
        with fused_kernels(model):
            assert "update_step" in vars(model.optimizer)
            assert "call" in vars(layer)
            assert kernel.regularizer is not penalty
            assert tf.nn.sparse_softmax_cross_entropy_with_logits is not cross_entropy
            raise ValueError("traced")

    with pytest.raises(ValueError, match="traced"):
        trace()
    assert "update_step" not in vars(model.optimizer)
    assert "call" not in vars(layer)
    assert kernel.regularizer is penalty
    assert tf.nn.sparse_softmax_cross_entropy_with_logits is cross_entropy
