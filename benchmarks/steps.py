"""Other ways to take a training step, one core each: ``python -m benchmarks.steps [IMAGES]``.

Processor seconds an epoch of the default nets, ways alternating, median of five after one that compiles, and
how many times as long as the step that sweeps take. That step uses one kernel each for Adam's update, for an
L2 penalty, for the cross-entropy and for the normalisation of a batch's maps, adds biases to maps by rows,
copies an average pooling's gradient, and takes a convolution over a map of its own size as a matrix product:
the lines "without" have each of these as Keras spells it out. All change the last bits of the weights. An
exported ``train.py`` calls Keras's ``fit``, so a final training takes exact steps, by Keras's operations. XLA
changes the last bits as well, takes seconds to compile, and is many times slower with dropout: that is why it
is not in.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from fmnist_sweep.core.jobs import Scalar, SplitSpec
from fmnist_sweep.data import Split, load_split, open_data
from fmnist_sweep.models import ConvModel, DenseModel
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training import fused, fused_layers
from fmnist_sweep.training.runtime import set_up_tensorflow
from fmnist_sweep.training.trainer import _compiled_epoch

Epoch = Callable[[Any], object]

N_TIMES: Final = 5
NETS: Final[dict[str, tuple[type[DenseModel | ConvModel], dict[str, Scalar]]]] = {
    "dense, batch 32": (DenseModel, {"batch_size": 32}),
    "dense, batch 128": (DenseModel, {"batch_size": 128}),
    "dense, batch 128, dropout": (DenseModel, {"batch_size": 128, "dropout": 0.2}),
    "cnn, batch 32": (ConvModel, {"batch_size": 32}),
    "cnn, batch 32, max pooling": (ConvModel, {"batch_size": 32, "pooling": "max"}),
    "cnn, batch 128, batch norm": (ConvModel, {"batch_size": 128, "batch_norm": True}),
}


def as_it_is(model: keras.Model, split: Split, batch_size: int) -> Epoch:
    """Return what the trainer runs."""
    return _compiled_epoch(model, split, batch_size)


def without(patch: Callable[[], Any]) -> Callable[[keras.Model, Split, int], Epoch]:
    """Return what the trainer would run without one of its kernels, which the patch takes away."""

    def make(model: keras.Model, split: Split, batch_size: int) -> Epoch:
        epoch = _compiled_epoch(model, split, batch_size)

        def patched(order: Any) -> None:
            # Traced when it first runs.
            with patch():
                epoch(order)

        return patched

    return make


def _without_layer(kind: type[keras.layers.Layer]) -> Callable[[], Any]:
    others = {key: make for key, make in fused_layers._FUSED.items() if key is not kind}  # noqa: SLF001
    return lambda: mock.patch.object(fused_layers, "_FUSED", others)


def exact_steps(model: keras.Model, split: Split, batch_size: int) -> Epoch:
    """Return what the trainer runs for an export: all operations as Keras spells them out."""
    return _compiled_epoch(model, split, batch_size, exact_steps=True)


def keras_fit(model: keras.Model, split: Split, batch_size: int) -> Epoch:
    """Return Keras's own loop."""
    return lambda order: model.fit(split.x_train[order], split.y_train[order], batch_size, verbose=0)


def xla_optimizer(model: keras.Model, split: Split, batch_size: int) -> Epoch:
    """Return a loop whose update is one XLA kernel."""
    update = tf.function(lambda *g: _apply(model, g), jit_compile=True, autograph=False)
    return _loop(model, split, batch_size, lambda x, y: update(*_gradients(model, x, y)))


def xla_step(model: keras.Model, split: Split, batch_size: int) -> Epoch:
    """Return a loop whose whole step is compiled by XLA."""
    step = tf.function(lambda x, y: _apply(model, _gradients(model, x, y)), jit_compile=True, autograph=False)
    return _loop(model, split, batch_size, step)


WAYS: Final[dict[str, Callable[[keras.Model, Split, int], Epoch]]] = {
    "as it is": as_it_is,
    "without Adam's": without(lambda: mock.patch.object(fused, "_update", return_value=())),
    "without the penalty's": without(lambda: mock.patch.object(fused, "_fused_penalty", nullcontext)),
    "without the cross-entropy's": without(
        lambda: mock.patch.object(fused, "_fused_cross_entropy", nullcontext)
    ),
    "without the convolutions'": without(_without_layer(keras.layers.Conv2D)),
    "without the average pooling's": without(_without_layer(keras.layers.AveragePooling2D)),
    "without the normalisation's": without(_without_layer(keras.layers.BatchNormalization)),
    "exact steps": exact_steps,
    "keras fit": keras_fit,
    "XLA optimizer": xla_optimizer,
    "XLA step": xla_step,
}


def _gradients(model: keras.Model, x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=None, y=y, y_pred=model(x, training=True), training=True)
    return list(tape.gradient(loss, model.trainable_weights))


def _apply(model: keras.Model, gradients: Any) -> None:
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))


def _loop(model: keras.Model, split: Split, batch_size: int, step: Callable[..., object]) -> Epoch:
    x, y = tf.constant(split.x_train), tf.constant(split.y_train)
    # Whole batches alone: XLA would compile the smaller last one anew.
    n_steps = len(split.y_train) // batch_size
    model.optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def train(order: tf.Tensor) -> None:
        def body(i: tf.Tensor) -> tuple[tf.Tensor]:
            batch = tf.reshape(order[i * batch_size : (i + 1) * batch_size], [batch_size])
            step(tf.gather(x, batch), tf.gather(y, batch))
            return (i + 1,)

        tf.while_loop(lambda i: i < n_steps, body, (tf.constant(0),), parallel_iterations=1)

    return lambda order: train(tf.constant(order))


def main() -> None:
    """Print a block for each net, with a line for each way."""
    n = int(sys.argv[1]) if len(sys.argv) == 2 else None
    set_up_tensorflow()
    split = load_split(open_data(), SplitSpec(train_size=n))
    order = np.random.default_rng(0).permutation(len(split.y_train)).astype(np.int32)
    for name, (kind, values) in NETS.items():
        epochs = {}
        for way, make in WAYS.items():
            keras.utils.set_random_seed(0)
            model = kind().build(filled(values))
            epoch = make(model, split, int(values["batch_size"]))
            try:
                epoch(order)
            except tf.errors.UnimplementedError:
                # XLA knows no gradient of max pooling that is the same each time.
                continue
            epochs[way] = epoch
        seconds: dict[str, list[float]] = {way: [] for way in epochs}
        for _ in range(N_TIMES):
            for way, epoch in epochs.items():
                began = time.process_time()
                epoch(order)
                seconds[way].append(time.process_time() - began)
        medians = {way: statistics.median(times) for way, times in seconds.items()}
        print(f"{f'{name}: an epoch of {len(order):,} images':<58}{'seconds':>10}{'times':>8}")
        for way in WAYS:
            seen = medians.get(way)
            told = "-" if seen is None else f"{seen:.2f}{seen / medians['as it is']:>8.2f}"
            print(f"  {way:<56}{told:>18}", flush=True)


if __name__ == "__main__":
    main()
