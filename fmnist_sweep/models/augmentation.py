"""Random changes to training images that leave their class as it is, cheap on one core.

Keras's own layers warp every image with interpolation, which can take longer than training a small net on it.
Whole pixels need none. Each class stands alone, on keras and numpy, annotations too: its source can be copied
into a script.
"""

from __future__ import annotations

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="fmnist_sweep")
class HorizontalFlip(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """Mirrors each training image left to right with probability one half; at inference it does nothing.

    Images ``(n, height, width, channels)`` in, the same shape out.

    Args:
        seed: An integer; left out, one is drawn from Keras's global seed.
    """

    def __init__(self, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the images, each flipped or not; unchanged unless ``training``."""
        if not training:
            return images
        n_images = keras.ops.shape(images)[0]
        flipped = keras.random.uniform((n_images, 1, 1, 1), seed=self.seed_generator) < 0.5
        return keras.ops.where(flipped, keras.ops.flip(images, axis=2), images)

    def get_config(self) -> dict[str, object]:
        """Return the arguments that make an equal layer."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="fmnist_sweep")
class AlternatingFlip(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """Mirrors each training image in every second epoch, half of them in even ones; not at inference.

    Two epochs show each image both ways, where two random flips show half of the images one way twice.
    Images ``(n, height, width, channels)`` in, the same shape out. Which epochs an image is mirrored in
    follows from its own numbers and the seed, so that it needs no place in the data. Whoever trains calls
    `begin_epoch` before each epoch.

    Args:
        seed: An integer; left out, one is drawn from Keras's global seed.

    References:
        Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU".
    """

    def __init__(self, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        # Its count is the number of the epoch: a state that no count of weights holds.
        self.seed_generator = keras.random.SeedGenerator(seed)

    def begin_epoch(self, epoch: int) -> None:
        """Say which epoch, from 0, the images to come belong to."""
        state = self.seed_generator.state
        state.assign(keras.ops.stack([state[0], keras.ops.cast(epoch, state.dtype)]))

    def call(self, images: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the images, those mirrored whose turn it is; unchanged unless ``training``."""
        if not training:
            return images
        # Products of whole numbers wrap around: the sign of a sum of them is a coin that fell once.
        odd = 2 * np.random.default_rng(0).integers(2**30, size=images.shape[1:]) + 1
        bits = keras.ops.view(keras.ops.cast(images, "float32"), "int32") * odd.astype("int32")
        seed, epoch = keras.ops.unstack(keras.ops.cast(self.seed_generator.state, "int32"))
        coins = keras.ops.sum(bits, axis=(1, 2, 3), keepdims=True) * (2 * seed + 1) < 0
        mirrored = keras.ops.not_equal(coins, keras.ops.equal(epoch % 2, 1))
        return keras.ops.where(mirrored, keras.ops.flip(images, axis=2), images)

    def get_config(self) -> dict[str, object]:
        """Return the arguments that make an equal layer."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="fmnist_sweep")
class PixelShift(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """Moves each training image by whole pixels along both axes; at inference it does nothing.

    Images ``(n, height, width, channels)`` in, the same shape out. Both distances are uniform over
    ``-max_pixels .. max_pixels``; pixels that come in from outside are 0.

    Args:
        max_pixels: The longest way along an axis, at least 0.
        seed: An integer; left out, one is drawn from Keras's global seed.
    """

    def __init__(self, max_pixels: int, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.max_pixels = max_pixels
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the images, each moved by its own distances; unchanged unless ``training``."""
        if not training:
            return images
        n_images = keras.ops.shape(images)[0]
        n_offsets = 2 * self.max_pixels + 1
        offsets = keras.random.randint((2, n_images), 0, n_offsets, dtype="int32", seed=self.seed_generator)
        for offset in (offsets[0], offsets[1]):
            # Rows, then columns as the rows of the transposed images: whole rows are copied, which is faster
            # than gathering single pixels.
            images = keras.ops.transpose(self._moved(images, offset), (0, 2, 1, 3))
        return images

    def _moved(self, images: keras.KerasTensor, offset: keras.KerasTensor) -> keras.KerasTensor:
        """Return each image's rows from its offset on, of the image with ``max_pixels`` rows of 0 around it.

        Args:
            images: ``(n, height, width, channels)``.
            offset: ``(n,)``, integers from 0 to ``2 * max_pixels``.
        """
        height, width, channels = images.shape[1:]
        border = (self.max_pixels, self.max_pixels)
        padded = keras.ops.pad(images, ((0, 0), border, (0, 0), (0, 0)))
        rows = keras.ops.reshape(padded, (-1, width * channels))
        n_images = keras.ops.shape(images)[0]
        first = keras.ops.arange(n_images, dtype="int32") * (height + 2 * self.max_pixels) + offset
        taken = keras.ops.take(rows, first[:, None] + np.arange(height, dtype="int32"), axis=0)
        return keras.ops.reshape(taken, (-1, height, width, channels))

    def get_config(self) -> dict[str, object]:
        """Return the arguments that make an equal layer."""
        return {**super().get_config(), "max_pixels": self.max_pixels, "seed": self.seed}


def begin_epoch(model: keras.Model, epoch: int) -> None:
    """Tell the layers of a model that alternate which epoch, from 0, is to be trained."""
    for layer in model.layers:
        if isinstance(layer, AlternatingFlip):
            layer.begin_epoch(epoch)
