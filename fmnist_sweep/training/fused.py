"""Single kernels of TensorFlow in place of the many operations that Keras spells a step out in.

Each operation reads and writes all of a layer's weights, or all maps of a batch, again: that, and no
arithmetic, is most of what Adam takes for a dense net, and batch normalisation for a convolutional one. A
kernel takes the same step in one go. What rounding leaves between the two is about the last bit of a float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeAlias

import keras
import tensorflow as tf

from fmnist_sweep.training.runtime import replaced

_Method: TypeAlias = Callable[..., Any]

_ADAMS: Final = (keras.optimizers.Adam, keras.optimizers.AdamW)
_SMALLEST_EPSILON: Final = 1.001e-5
"""Below it the kernel of batch normalisation fails on some GPUs."""


@contextmanager
def fused_kernels(model: keras.Model) -> Iterator[None]:
    """Trace a model's steps with the fused kernels of Adam and of batch normalisation.

    Whatever else it has is left as it is, classes derived from Keras's too: what they do beside is not known.
    Clipping, weight decay, averages, and normalisation at inference are Keras's own.

    Args:
        model: A compiled model with a built optimizer. Only steps that are traced inside the context are
            affected.

    References:
        Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", the variant with "epsilon hat",
        and Ioffe and Szegedy (2015), "Batch Normalization", as both Keras and TensorFlow have them.
    """
    with ExitStack() as stack:
        for owner, name, method in (*_update(model.optimizer), *_normalisations(model)):
            stack.enter_context(replaced(owner, name, method))
        yield


def _update(optimizer: keras.Optimizer) -> Iterator[tuple[Any, str, _Method]]:
    if type(optimizer) not in _ADAMS or optimizer.amsgrad:
        return
    spelled_out = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: tf.Tensor) -> None:
        if isinstance(gradient, tf.IndexedSlices) or variable.dtype != tf.float32:
            spelled_out(gradient, variable, learning_rate)
            return
        index = optimizer._get_variable_index(variable)  # noqa: SLF001 - as Keras's own `update_step`
        step = tf.cast(optimizer.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,  # noqa: SLF001
            v=optimizer._velocities[index].value.handle,  # noqa: SLF001
            beta1_power=tf.pow(tf.cast(optimizer.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.cast(optimizer.beta_2, tf.float32), step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    yield optimizer, "update_step", update_step


def _normalisations(model: keras.Model) -> Iterator[tuple[Any, str, _Method]]:
    for layer in model._flatten_layers():  # noqa: SLF001 - those of inner models too
        plain = type(layer) is keras.layers.BatchNormalization
        if plain and not layer.renorm and not layer.synchronized and layer.epsilon >= _SMALLEST_EPSILON:
            yield layer, "call", _normalisation(layer)


def _normalisation(layer: keras.layers.BatchNormalization) -> _Method:
    spelled_out = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        # For the outputs of a dense layer, which are few, there is nothing to gain.
        maps = inputs.shape.rank == 4 and layer.axis in (-1, 3) and inputs.dtype == tf.float32
        if not (maps and training and layer.trainable and mask is None):
            return spelled_out(inputs, training=training, mask=mask)
        n_channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=layer.gamma.value if layer.scale else tf.ones(n_channels),
            offset=layer.beta.value if layer.center else tf.zeros(n_channels),
            mean=tf.constant([]),
            variance=tf.constant([]),
            epsilon=layer.epsilon,
            is_training=True,
        )
        # The kernel tells the variance of the population behind the batch, Keras keeps that of the batch.
        n = tf.cast(tf.size(inputs) / n_channels, tf.float32)
        variance *= tf.maximum(n - 1, 1) / n
        for kept, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            kept.assign(kept * layer.momentum + now * (1 - layer.momentum))
        return outputs

    return call
