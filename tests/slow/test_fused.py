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


def net(*layers: Any, optimizer: Any = "adam") -> Any:
    """Return a compiled model that begins with a convolution and the given layers."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, activation="relu"),
            *layers,
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


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
    require_left_alone(lambda: net(optimizer=make()), ADAM)


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
    require_left_alone(lambda: net(*make[other](), optimizer="sgd"), NORMALISATION)


def test_a_model_is_itself_again_afterwards() -> None:
    """Also where tracing fails."""
    import keras

    from fmnist_sweep.training.fused import fused_kernels

    layer = keras.layers.BatchNormalization()
    model = net(layer)

    def trace() -> None:
        with fused_kernels(model):
            assert "update_step" in vars(model.optimizer)
            assert "call" in vars(layer)
            raise ValueError("traced")

    with pytest.raises(ValueError, match="traced"):
        trace()
    assert "update_step" not in vars(model.optimizer)
    assert "call" not in vars(layer)
