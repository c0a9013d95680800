"""Forward passes of Keras's layers whose operations, or their gradients, are slow on small maps.

Measured on one core, whole training steps of a LeNet: adding a bias of six numbers to every pixel, and above
all summing its gradient over three axes, takes as long as a convolution; so does the gradient of an average
pooling. A convolution over a map of its own size is a matrix product. `benchmarks.steps` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import keras
import tensorflow as tf

Call: TypeAlias = Callable[..., tf.Tensor]

_SMALLEST_EPSILON: Final = 1.001e-5
"""Below it the kernel of batch normalisation fails on some GPUs."""


def fused_call(layer: keras.layers.Layer) -> Call | None:
    """Return what serves as a layer's ``call``, with the same result but for rounding.

    Args:
        layer: Any layer. Only those of exactly Keras's classes `Conv2D`, `AveragePooling2D` and
            `BatchNormalization` are known, and only on maps in float32 with their channels last; what
            else they are given goes to their own ``call``.

    Returns:
        None where the layer is to be left as it is.
    """
    make = _FUSED.get(type(layer))
    return None if make is None else make(layer)


def _convolution(layer: keras.layers.Conv2D) -> Call | None:
    if layer.data_format != "channels_last" or not layer.use_bias:
        return None
    spelled_out = layer.call

    def call(inputs: tf.Tensor) -> tf.Tensor:
        # A kernel may be made of two, as LoRA does: what `layer.kernel` gives is what convolves.
        if not _are_maps(inputs):
            return spelled_out(inputs)
        kernel, bias = tf.convert_to_tensor(layer.kernel), tf.convert_to_tensor(layer.bias)
        if layer.padding == "valid" and layer.groups == 1 and kernel.shape[:3] == inputs.shape[1:]:
            n_filters = kernel.shape[-1]
            products = tf.matmul(
                tf.reshape(inputs, [-1, inputs.shape[1:].num_elements()]),
                tf.reshape(kernel, [-1, n_filters]),
            )
            outputs = tf.reshape(tf.nn.bias_add(products, bias), [-1, 1, 1, n_filters])
        else:
            outputs = _biased(layer.convolution_op(inputs, layer.kernel), bias)
        return outputs if layer.activation is None else layer.activation(outputs)

    return call


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _biased(maps: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Add a bias to maps row by row; its gradient sums the rows first, then within what is left."""
    _, height, width, n_channels = maps.shape
    rows = tf.reshape(maps, [-1, width * n_channels])
    outputs = tf.reshape(rows + tf.tile(bias, [width]), [-1, height, width, n_channels])

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        row = tf.reduce_sum(tf.reshape(upstream, [-1, width * n_channels]), axis=0)
        return upstream, tf.reduce_sum(tf.reshape(row, [width, n_channels]), axis=0)

    return outputs, gradient


def _average_pooling(layer: keras.layers.AveragePooling2D) -> Call | None:
    pool_size = tuple(layer.pool_size)
    if layer.data_format != "channels_last" or tuple(layer.strides) != pool_size:
        return None
    spelled_out = layer.call

    def call(inputs: tf.Tensor) -> tf.Tensor:
        # Where a window hangs over the edge, its mean is over what is inside.
        if not _are_maps(inputs) or inputs.shape[1] % pool_size[0] or inputs.shape[2] % pool_size[1]:
            return spelled_out(inputs)
        return _mean_of_windows(inputs, *pool_size)

    return call


def _mean_of_windows(maps: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Average windows that cover the maps; the gradient is each mean's, copied over its window."""
    _, rows, columns, n_channels = maps.shape

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def means(maps: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            share = upstream / (height * width)
            row = tf.reshape(tf.stack([share] * width, axis=3), [-1, rows // height, columns * n_channels])
            return tf.reshape(tf.stack([row] * height, axis=2), [-1, rows, columns, n_channels])

        return tf.nn.avg_pool2d(maps, (height, width), (height, width), "VALID"), gradient

    return means(maps)


def _normalisation(layer: keras.layers.BatchNormalization) -> Call | None:
    if layer.renorm or layer.synchronized or layer.epsilon < _SMALLEST_EPSILON:
        return None
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


def _are_maps(inputs: tf.Tensor) -> bool:
    """Return whether these are images, or maps of them, of a size that is known before they are."""
    return bool(inputs.shape.rank == 4 and inputs.dtype == tf.float32 and inputs.shape[1:].is_fully_defined())


_FUSED: Final[dict[type, Callable[[Any], Call | None]]] = {
    keras.layers.Conv2D: _convolution,
    keras.layers.AveragePooling2D: _average_pooling,
    keras.layers.BatchNormalization: _normalisation,
}
