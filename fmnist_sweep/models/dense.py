"""The dense net."""

from __future__ import annotations

from typing import ClassVar

import keras
import keras_tuner as kt
from typing_extensions import override

from fmnist_sweep.core.jobs import Hyperparameters
from fmnist_sweep.core.space import SearchSpace
from fmnist_sweep.models.building import BuiltInModel, hidden_layers
from fmnist_sweep.models.hyperparameters import ask
from fmnist_sweep.models.spaces import DENSE_DEFAULTS, DENSE_SPACE


class DenseModel(BuiltInModel):
    """A stack of dense layers, 300-200 by default: 297,710 weights for Fashion-MNIST.

    Each hidden layer is Dense with an L2 penalty on its kernel, batch normalisation where ``batch_norm``,
    the activation, and dropout where ``dropout`` is above 0. The output is a softmax with the same penalty.
    ``flip`` and ``shift`` take their images to be ``(height, width, channels)``. The space is
    `fmnist_sweep.models.spaces.DENSE_SPACE`.

    Args:
        input_shape: Shape of one image, its channel axis last. Images of one channel may come without it.
        n_classes: Labels are integers ``0 .. n_classes - 1``.

    Example:
        With KerasTuner alone, which needs tensorboard installed::

            tuner = keras_tuner.RandomSearch(DenseModel(), objective="val_accuracy", max_trials=2)
            tuner.search(x_train, y_train, validation_data=(x_val, y_val))
    """

    space: ClassVar[SearchSpace] = DENSE_SPACE
    defaults: ClassVar[Hyperparameters] = DENSE_DEFAULTS

    @override
    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Return the compiled model of one configuration."""
        values = ask(hp, self.space, self.defaults)
        layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
        for i in range(1, int(values["depth"]) + 1):
            layers += hidden_layers(int(values[f"units_{i}"]), values)
        return self.compiled(layers, values)
