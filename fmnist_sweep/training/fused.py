"""Single kernels of TensorFlow in place of the many operations that Keras spells a step out in.

Each operation reads and writes all of a layer's weights, or all maps of a batch, again: that, and no
arithmetic, is most of what Adam and an L2 penalty take for a dense net, and much of what a convolutional one
takes. A kernel takes the same step in one go. What rounding leaves between the two is about the last bit of a
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeAlias

import keras
import tensorflow as tf

from fmnist_sweep.training.fused_layers import fused_call
from fmnist_sweep.training.runtime import replaced

_Method: TypeAlias = Callable[..., Any]

_ADAMS: Final = (keras.optimizers.Adam, keras.optimizers.AdamW)


@contextmanager
def fused_kernels(model: keras.Model) -> Iterator[None]:
    """Trace a model's steps with the fused kernels of Adam, L2 penalties, cross-entropies and its layers.

    The layers are those of `fmnist_sweep.training.fused_layers`. Whatever else it has is left as it is,
    classes derived from Keras's too: what they do beside is not known. Clipping, weight decay, averages, and
    normalisation at inference are Keras's own.

    Args:
        model: A compiled model with a built optimizer. Only steps that are traced inside the context are
            affected.

    References:
        Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", the variant with "epsilon hat",
        and Ioffe and Szegedy (2015), "Batch Normalization", as both Keras and TensorFlow have them.
    """
    with ExitStack() as stack:
        stack.enter_context(_fused_cross_entropy())
        for owner, name, method in (*_update(model.optimizer), *_layers(model)):
            stack.enter_context(replaced(owner, name, method))
        for variable in model.trainable_variables:
            stack.enter_context(_fused_penalty(variable))
        yield


def _update(optimizer: keras.Optimizer) -> Iterator[tuple[Any, str, _Method]]:
    if type(optimizer) not in _ADAMS or optimizer.amsgrad:
        return
    spelled_out = optimizer.update_step
    powers: dict[tf.Graph | None, list[tf.Tensor]] = {}

    def update_step(gradient: Any, variable: Any, learning_rate: tf.Tensor) -> None:
        if isinstance(gradient, tf.IndexedSlices) or variable.dtype != tf.float32:
            spelled_out(gradient, variable, learning_rate)
            return
        index = optimizer._get_variable_index(variable)  # noqa: SLF001 - as Keras's own `update_step`
        # In a graph they are the same for all variables.
        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        if graph is None or graph not in powers:
            step = tf.cast(optimizer.iterations + 1, tf.float32)
            betas = (optimizer.beta_1, optimizer.beta_2)
            powers[graph] = [tf.pow(tf.cast(beta, tf.float32), step) for beta in betas]
        beta1_power, beta2_power = powers[graph]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,  # noqa: SLF001
            v=optimizer._velocities[index].value.handle,  # noqa: SLF001
            beta1_power=beta1_power,
            beta2_power=beta2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    yield optimizer, "update_step", update_step


def _layers(model: keras.Model) -> Iterator[tuple[Any, str, _Method]]:
    for layer in model._flatten_layers():  # noqa: SLF001 - those of inner models too
        if (call := fused_call(layer)) is not None:
            yield layer, "call", call


@contextmanager
def _fused_cross_entropy() -> Iterator[None]:
    """Let one kernel give the cross-entropy of a batch and its gradient.

    Where operations have to be deterministic TensorFlow spells it out in some hundred, since its kernel for
    GPUs adds in any order. That for CPUs gives the same each time.
    """
    if tf.config.list_physical_devices("GPU"):
        yield
        return
    spelled_out = tf.nn.sparse_softmax_cross_entropy_with_logits

    def cross_entropy(labels: Any, logits: Any, name: str | None = None) -> tf.Tensor:
        labels, logits = tf.convert_to_tensor(labels), tf.convert_to_tensor(logits)
        if logits.dtype != tf.float32 or logits.shape.rank != 2 or labels.shape.rank != 1:
            return spelled_out(labels, logits, name)
        return tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=labels).loss

    tf.nn.sparse_softmax_cross_entropy_with_logits = cross_entropy
    try:
        yield
    finally:
        tf.nn.sparse_softmax_cross_entropy_with_logits = spelled_out


@contextmanager
def _fused_penalty(variable: keras.Variable) -> Iterator[None]:
    """Let one kernel sum the squares, whose gradient is the weights times a number."""
    regularizer = variable.regularizer
    if type(regularizer) is not keras.regularizers.L2 or variable.dtype != "float32":
        yield
        return
    variable.regularizer = lambda weights: 2 * regularizer.l2 * tf.nn.l2_loss(weights.value)
    try:
        yield
    finally:
        variable.regularizer = regularizer
