"""What is left of a trained model when it is only asked."""

from __future__ import annotations

from typing import Final

import keras
from keras.src.models.functional import Functional

from fmnist_sweep.core.user_code import is_ours

_GRAPHS: Final = (Functional.call, keras.Sequential.call)
"""What calls a model that is a graph of layers and no more."""


def inference_model(
    model: keras.Model, input_shape: tuple[int, ...], *, from_logits: bool, flip_average: bool = False
) -> keras.Model:
    """Return a model with the same weights that gives probabilities, and that plain Keras can load.

    It is not compiled, so that no loss or optimizer of ours has to be known where it is loaded, and of a
    Sequential model the layers that only act in training on the images themselves are left out.

    Args:
        model: A trained model. It shares its layers with the returned one.
        input_shape: Shape of one image.
        from_logits: Whether ``model`` gives logits: a softmax is put behind them.
        flip_average: Whether it gives the mean of what ``model``, a Sequential one, gives for an image and
            for its mirror image.
    """
    if not isinstance(model, keras.Sequential) or type(model).call is not keras.Sequential.call:
        return _uncompiled(model, from_logits=from_logits)
    kept = [layer for layer in model.layers if not only_augments(layer)]
    ending = [keras.layers.Softmax(name="probabilities")] if from_logits else []
    plain = keras.Sequential([keras.Input(input_shape), *kept, *ending])
    if not flip_average:
        return plain
    images = keras.Input(input_shape)
    mirrored = keras.ops.flip(images, axis=2)
    return keras.Model(images, keras.layers.Average()([plain(images), plain(mirrored)]))


def only_augments(layer: keras.layers.Layer) -> bool:
    """Return whether a layer only changes training images at random, and passes others on as they are."""
    kind = type(layer)
    random = kind.__name__.startswith("Random") and kind.__module__.startswith("keras.")
    return (is_ours(kind.__module__) or random) and not layer.trainable_weights


def _uncompiled(model: keras.Model, *, from_logits: bool) -> keras.Model:
    if not getattr(model, "inputs", None) or type(model).call not in _GRAPHS:
        # A user's own subclass of Model has no graph to take, or does more than it: it is saved as it is.
        return model
    (entry,), (output,) = model.inputs, model.outputs
    return keras.Model(entry, keras.layers.Softmax(name="probabilities")(output) if from_logits else output)
