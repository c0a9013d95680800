"""Whether a model makes its input small by itself, as `Rescaling(1/255)` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import keras
import numpy as np

_Range: TypeAlias = tuple[Any, Any]

_SCALING: Final = (keras.layers.Rescaling, keras.layers.Normalization)
_N_LOOKED_AT: Final = 12
_SMALL: Final = 0.1
"""Of images in 0..1 whatever standardises them leaves more; a division by 255, or 127, leaves far less."""


def shrinks_input(model: keras.Model, input_shape: tuple[int, ...]) -> str | None:
    """Return what makes images in 0..1 far smaller before any weights see them; None if nothing does.

    An all-black and an all-white image are followed through the first layers, inner models included.

    Args:
        model: A built model.
        input_shape: Shape of one image.

    Returns:
        The layer and what it does, such as ``"its layer 'rescaling' (Rescaling) turns 0..1 into 0..0.0039"``.
    """
    found = None
    try:
        black = keras.ops.zeros((1, *input_shape), "float32")
        for layer, (low, high) in _first_layers(model, (black, black + 1)):
            wide = float(np.max(np.abs(np.asarray(high, np.float64) - np.asarray(low, np.float64))))
            if wide >= _SMALL:
                # Made large again, or only moved.
                found = None
            elif found is None:
                ends = f"{float(np.min(low)):.2g}..{float(np.max(high)):.2g}"
                found = f"its layer {layer.name!r} ({type(layer).__name__}) turns 0..1 into {ends}"
    except Exception:  # noqa: BLE001 - a note is not worth a model that can't be followed
        return None
    return found


def _first_layers(model: keras.Model, given: _Range) -> Iterator[tuple[Any, _Range]]:
    """Yield the layers in front of the first one with weights, each with what both images become."""
    if isinstance(model, keras.Sequential):
        yield from _of_sequence(model.layers, given)
    elif isinstance(model, keras.src.models.Functional):
        yield from _of_graph(model, given)
    else:
        # What a model of someone's own does in between is not known; such layers stand in front.
        yield from _of_sequence([layer for layer in model.layers if isinstance(layer, _SCALING)], given)


def _of_sequence(layers: list[Any], given: _Range) -> Iterator[tuple[Any, _Range]]:
    for layer in layers:
        if isinstance(layer, keras.Model):
            yield from _first_layers(layer, given)
            return
        if _has_weights(layer):
            return
        given = _through(layer, given)
        yield layer, given


def _of_graph(model: Any, given: _Range) -> Iterator[tuple[Any, _Range]]:
    # Layers and plain operations, such as a division by 255, in the order in which they run.
    inner = [
        operation for operation in model.operations if not isinstance(operation, keras.layers.InputLayer)
    ]
    for operation in inner[:_N_LOOKED_AT]:
        if isinstance(operation, keras.Model):
            yield from _first_layers(operation, _through(keras.Model(model.inputs, operation.input), given))
            return
        if _has_weights(operation):
            return
        yield operation, _through(keras.Model(model.inputs, operation.output), given)


def _has_weights(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, _SCALING)


def _through(layer: Any, given: _Range) -> _Range:
    low, high = (layer(images) for images in given)
    return low, high
