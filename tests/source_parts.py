"""A layer and a loss that are not Keras's: what a written model has to bring along."""

from __future__ import annotations

from typing import Any

import keras


class Base(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """What the layer is made of."""


class Noisy(Base):
    """Passes on what it gets."""

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate

    def call(self, x: Any) -> Any:
        """Return the input."""
        return x

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "rate": self.rate}


def smoothed(y: Any, p: Any) -> Any:
    """Return some loss."""
    return keras.ops.mean(keras.ops.square(p - keras.ops.cast(y, p.dtype)))
