"""The spaces of the two built-in models, their defaults, and the counts of their weights. No Keras here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.space import ChoiceParameter, FloatParameter, IntParameter, Parameter, SearchSpace

ACTIVATIONS: Final = ("relu", "tanh", "elu", "selu", "gelu", "sigmoid", "hard_sigmoid", "leaky_relu")


OPTIMIZERS: Final = ("adam", "adamw", "nadam", "rmsprop", "sgd")


SCHEDULES: Final = ("constant", "cosine", "step")


MAX_DEPTH: Final = 5


MAX_BLOCKS: Final = 3


# --- what both nets share --------------------------------------------------------------------------------

_SHARED: Final[dict[str, Parameter]] = {
    "learning_rate": FloatParameter(low=1e-5, high=1e-2, log=True),
    "l2": FloatParameter(low=1e-6, high=1e-2, log=True),
    "activation": ChoiceParameter(choices=ACTIVATIONS),
    "optimizer": ChoiceParameter(choices=OPTIMIZERS),
    "batch_size": ChoiceParameter(choices=(16, 32, 64, 128, 256)),
    "batch_norm": ChoiceParameter(choices=(False, True)),
    "dropout": FloatParameter(low=0.0, high=0.5),
    "epochs": IntParameter(low=1, high=30),
}


SHARED_OPTIONAL: Final[dict[str, Parameter]] = {
    # Keras multiplies it by the learning rate: below 1e-3 a run of 30 epochs hardly feels it.
    "weight_decay": FloatParameter(low=1e-5, high=1.0, log=True, when={"optimizer": ("adamw",)}),
    "label_smoothing": FloatParameter(low=0.0, high=0.2),
    "schedule": ChoiceParameter(choices=SCHEDULES),
    # A parameter of its own, not the number of epochs: a run still holds every shorter one.
    "schedule_epochs": IntParameter(low=1, high=100, when={"schedule": ("cosine", "step")}),
    "flip": ChoiceParameter(choices=(False, True)),
    "shift": IntParameter(low=0, high=4),
}


ONLY_NAMED: Final[dict[str, Parameter]] = {
    "alternate_flips": ChoiceParameter(choices=(False, True), when={"flip": (True,)}),
    "erase": FloatParameter(low=0.0, high=0.5),
    # The field's values lie near 1, which no range says well.
    "ema": ChoiceParameter(choices=(0.0, 0.99, 0.999)),
}
"""Off by default, and searched only where a sweep file names them: spaces that were there before stay."""


_OPTIONAL_DEFAULTS: Final[dict[str, Scalar]] = {
    "weight_decay": 0.004,
    "label_smoothing": 0.0,
    "schedule": "constant",
    "schedule_epochs": 30,
    "flip": False,
    "shift": 0,
    "alternate_flips": False,
    "erase": 0.0,
    "ema": 0.0,
}


# --- the dense net ---------------------------------------------------------------------------------------

DENSE_SPACE: Final = SearchSpace(
    {
        **_SHARED,
        "depth": IntParameter(low=1, high=MAX_DEPTH),
        **{
            f"units_{i}": IntParameter(
                low=16,
                high=1024,
                log=True,
                when={"depth": tuple(range(i, MAX_DEPTH + 1))} if i > 1 else {},
            )
            for i in range(1, MAX_DEPTH + 1)
        },
        **SHARED_OPTIONAL,
        **ONLY_NAMED,
    }
)


DENSE_DEFAULTS: Final[Mapping[str, Scalar]] = MappingProxyType(
    {
        "learning_rate": 1e-4,
        "l2": 1e-4,
        "activation": "relu",
        "optimizer": "adam",
        "batch_size": 32,
        "batch_norm": False,
        "dropout": 0.0,
        "epochs": 15,
        "depth": 2,
        "units_1": 300,
        "units_2": 200,
        "units_3": 100,
        "units_4": 100,
        "units_5": 100,
        **_OPTIONAL_DEFAULTS,
    }
)


def _n_batch_norm(values: Hyperparameters, width: int) -> int:
    # Scale, offset, moving mean and moving variance for each channel.
    return 4 * width if values["batch_norm"] else 0


def dense_n_parameters(values: Hyperparameters, input_shape: tuple[int, ...], n_classes: int) -> int:
    """Return the number of weights of the dense net.

    Example:
        >>> dense_n_parameters({}, (28, 28, 1), 10)
        297710
    """
    values = DENSE_SPACE.complete(values, DENSE_DEFAULTS)
    total, width = 0, math.prod(input_shape)
    for i in range(1, int(values["depth"]) + 1):
        units = int(values[f"units_{i}"])
        total += (width + 1) * units + _n_batch_norm(values, units)
        width = units
    return total + (width + 1) * n_classes


# --- the convolutional net -------------------------------------------------------------------------------

_FROM_BLOCK_2: Final[dict[str, tuple[Scalar, ...]]] = {"conv_blocks": (2, 3)}


# Two blocks pool; a third convolves what is left. With padding in the first block and pools of 2, 28 pixels
# leave at least 5 for the third block's kernel; everywhere else that block is padded, so each point builds.
_VALID_FITS: Final[dict[str, tuple[Scalar, ...]]] = {
    "conv_blocks": (3,),
    "padding_1": ("same",),
    "pool_size": (2,),
}


CONV_OPTIONAL: Final[dict[str, Parameter]] = {
    "convs_per_block": IntParameter(low=1, high=2),
    "conv_dropout": FloatParameter(low=0.0, high=0.5),
    "global_pooling": ChoiceParameter(choices=(False, True)),
    "pool_padding": ChoiceParameter(choices=("same", "valid")),
}


CONV_SPACE: Final = SearchSpace(
    {
        **_SHARED,
        "conv_blocks": IntParameter(low=1, high=MAX_BLOCKS),
        "filters_1": IntParameter(low=4, high=64, log=True),
        "filters_2": IntParameter(low=8, high=128, log=True, when=_FROM_BLOCK_2),
        "filters_3": IntParameter(low=16, high=256, log=True, when={"conv_blocks": (3,)}),
        "kernel_size_1": IntParameter(low=2, high=5),
        "kernel_size_2": IntParameter(low=2, high=5, when=_FROM_BLOCK_2),
        "kernel_size_3": IntParameter(low=2, high=5, when={"conv_blocks": (3,)}),
        "padding_1": ChoiceParameter(choices=("same", "valid")),
        "padding_2": ChoiceParameter(choices=("same", "valid"), when=_FROM_BLOCK_2),
        "padding_3": ChoiceParameter(choices=("same", "valid"), when=_VALID_FITS),
        "pooling": ChoiceParameter(choices=("average", "max")),
        "pool_size": IntParameter(low=2, high=3),
        "dense_units": IntParameter(low=16, high=512, log=True),
        **SHARED_OPTIONAL,
        **CONV_OPTIONAL,
        **ONLY_NAMED,
    }
)


CONV_DEFAULTS: Final[Mapping[str, Scalar]] = MappingProxyType(
    {
        "learning_rate": 1e-3,
        "l2": 1e-5,
        "activation": "relu",
        "optimizer": "adam",
        "batch_size": 32,
        "batch_norm": False,
        "dropout": 0.0,
        "epochs": 10,
        "conv_blocks": 3,
        "filters_1": 6,
        "filters_2": 16,
        "filters_3": 120,
        "kernel_size_1": 5,
        "kernel_size_2": 5,
        "kernel_size_3": 5,
        "padding_1": "same",
        "padding_2": "valid",
        "padding_3": "valid",
        "pooling": "average",
        "pool_size": 2,
        "dense_units": 84,
        **_OPTIONAL_DEFAULTS,
        "convs_per_block": 1,
        "conv_dropout": 0.0,
        "global_pooling": False,
        "pool_padding": "same",
    }
)


@dataclass(frozen=True, slots=True)
class ConvBlock:
    """Convolutions with the pooling behind them; a pool size of 1 is no pooling.

    Only the first convolution may be unpadded: a second one keeps the size of its map.
    """

    filters: int
    kernel_size: int
    padding: str
    pool_size: int
    n_convs: int = 1
    pool_padding: str = "same"

    def map_size(self, side: int) -> int:
        """Return the side of the map behind this block; below 1 it can't be built."""
        convolved = side - self.kernel_size + 1 if self.padding == "valid" else side
        # A last row that does not fill a pool is pooled where pools are padded, and dropped elsewhere.
        return (math.ceil if self.pool_padding == "same" else math.floor)(convolved / self.pool_size)


def conv_blocks(values: Hyperparameters) -> list[ConvBlock]:
    """Return the blocks of a configuration, from the input up. The third block does not pool.

    Example:
        >>> conv_blocks({"conv_blocks": 1})
        [ConvBlock(filters=6, kernel_size=5, padding='same', pool_size=2, n_convs=1, pool_padding='same')]
    """
    values = CONV_SPACE.complete(values, CONV_DEFAULTS)
    return [
        ConvBlock(
            filters=int(values[f"filters_{i}"]),
            kernel_size=int(values[f"kernel_size_{i}"]),
            # Where the space has no padding_3, the third block is padded.
            padding=str(values.get(f"padding_{i}", "same")),
            pool_size=int(values["pool_size"]) if i < MAX_BLOCKS else 1,
            n_convs=int(values["convs_per_block"]),
            pool_padding=str(values["pool_padding"]),
        )
        for i in range(1, int(values["conv_blocks"]) + 1)
    ]


def conv_problems(values: Hyperparameters, input_shape: tuple[int, ...]) -> list[str]:
    """Return why a point can't be built for images of this shape, a line each.

    Example:
        >>> conv_problems({"padding_1": "valid", "padding_2": "valid", "padding_3": "valid"}, (28, 28, 1))
        ['kernel_size_3=5 with padding valid does not fit a 4x4 map; lower it, or set padding_3 to "same"']
    """
    height, width = input_shape[0], input_shape[1]
    for i, block in enumerate(conv_blocks(values), start=1):
        if min(block.map_size(height), block.map_size(width)) < 1:
            size = f"kernel_size_{i}={block.kernel_size} with padding valid"
            return [f'{size} does not fit a {height}x{width} map; lower it, or set padding_{i} to "same"']
        height, width = block.map_size(height), block.map_size(width)
    return []


def conv_n_parameters(values: Hyperparameters, input_shape: tuple[int, ...], n_classes: int) -> int:
    """Return the number of weights of the convolutional net.

    Example:
        >>> conv_n_parameters({}, (28, 28, 1), 10)
        61706
    """
    values = CONV_SPACE.complete(values, CONV_DEFAULTS)
    total, (height, width, channels) = 0, input_shape
    for block in conv_blocks(values):
        for _ in range(block.n_convs):
            total += (block.kernel_size**2 * channels + 1) * block.filters
            total += _n_batch_norm(values, block.filters)
            channels = block.filters
        height, width = block.map_size(height), block.map_size(width)
    if values["global_pooling"]:
        height, width = 1, 1
    units = int(values["dense_units"])
    total += (height * width * channels + 1) * units + _n_batch_norm(values, units)
    return total + (units + 1) * n_classes
