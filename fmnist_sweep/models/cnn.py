"""The convolutional net."""

from __future__ import annotations

from typing import ClassVar, Final

import keras
import keras_tuner as kt
from typing_extensions import override

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Hyperparameters
from fmnist_sweep.core.space import SearchSpace
from fmnist_sweep.models.building import BuiltInModel, activated, hidden_layers
from fmnist_sweep.models.hyperparameters import ask
from fmnist_sweep.models.spaces import CONV_DEFAULTS, CONV_SPACE, ConvBlock, conv_blocks, conv_problems

_POOLING: Final = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}


class ConvModel(BuiltInModel):
    """One to three convolutions with pooling, then a dense layer; LeNet-5 by default: 61,706 weights.

    Each block is ``convs_per_block`` convolutions, with batch normalisation where ``batch_norm`` and the
    activation behind each, a pooling behind the first two blocks, padded unless ``pool_padding`` is
    ``"valid"``, and dropout where ``conv_dropout`` is above 0. Two convolutions to a block and
    ``global_pooling`` in place of Flatten make a small VGG. The L2 penalty and ``dropout`` are on the dense
    layers alone. The space is `fmnist_sweep.models.spaces.CONV_SPACE`.

    Args:
        input_shape: Height, width and channels of one image. Images of one channel may come without that
            axis.
        n_classes: Labels are integers ``0 .. n_classes - 1``.
    """

    space: ClassVar[SearchSpace] = CONV_SPACE
    defaults: ClassVar[Hyperparameters] = CONV_DEFAULTS

    @override
    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Return the compiled model of one configuration.

        Raises:
            ConfigError: The blocks don't fit the image, or the pooling is unknown.
        """
        values = ask(hp, self.space, self.defaults)
        problems = conv_problems(values, self.input_shape)
        if values["pooling"] not in _POOLING:
            problems.append(f"unknown pooling {values['pooling']!r} (allowed: {', '.join(_POOLING)})")
        if problems:
            raise ConfigError("cnn", problems)
        layers = [layer for block in conv_blocks(values) for layer in _block_layers(block, values)]
        flat = keras.layers.GlobalAveragePooling2D() if values["global_pooling"] else keras.layers.Flatten()
        return self.compiled([*layers, flat, *hidden_layers(int(values["dense_units"]), values)], values)


def _block_layers(block: ConvBlock, values: Hyperparameters) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for i in range(block.n_convs):
        padding = block.padding if i == 0 else "same"
        layers += [keras.layers.Conv2D(block.filters, block.kernel_size, padding=padding), *activated(values)]
    if block.pool_size > 1:
        layers.append(_POOLING[str(values["pooling"])](block.pool_size, padding=block.pool_padding))
    if values["conv_dropout"]:
        layers.append(keras.layers.Dropout(values["conv_dropout"]))
    return layers
