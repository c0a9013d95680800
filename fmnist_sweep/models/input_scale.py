"""Whether a model makes its input small by itself, as `Rescaling(1/255)` does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import keras
import numpy as np

_Range: TypeAlias = tuple[Any, Any]

_SCALING: Final = (keras.layers.Rescaling, keras.layers.Normalization)
_N_LOOKED_AT: Final = 12
_WHITE: Final = 255.0
_ALREADY: Final = {
    "bytes": "uint8 images were scaled from 0..255 to 0..1 already",
    "floats": "the images lie in 0..1 already",
}
_SMALL: Final = 0.1
"""Of images in 0..1 whatever standardises them leaves more; a division by 255, or 127, leaves far less."""


def scaling_note(model: keras.Model, input_shape: tuple[int, ...], scaled: str) -> str | None:
    """Return what is worth a note of a model that scales its input itself; None of any other.

    Args:
        model: A built model.
        input_shape: Shape of one image.
        scaled: Why images lie in 0..1: they are ``"bytes"``, which are scaled, or ``"floats"``.
    """
    found = shrinks_input(model, input_shape)
    if found is None:
        return None
    told = f"the model scales its input itself, {found}"
    if scaled == "bytes" and takes_bytes(model, input_shape):
        return f"{told}: it gets the images as they are, 0 to 255"
    return (
        f"{told}, and {_ALREADY[scaled]}, so that it sees hardly any difference between black and white; "
        "leave that layer out, or give floats 0..255"
    )


def takes_bytes(model: keras.Model, input_shape: tuple[int, ...]) -> bool:
    """Return whether a model scales its input itself, from 0..255: images in 0..1 would be scaled twice.

    Args:
        model: A built model.
        input_shape: Shape of one image.
    """
    shrinks = shrinks_input(model, input_shape) is not None
    return shrinks and shrinks_input(model, input_shape, white=_WHITE) is None


def shrinks_input(model: keras.Model, input_shape: tuple[int, ...], *, white: float = 1.0) -> str | None:
    """Return what makes images in 0..1 far smaller before any weights see them; None if nothing does.

    An all-black and an all-white image are followed through the first layers, inner models included.

    Args:
        model: A built model.
        input_shape: Shape of one image.
        white: The largest number of an image.

    Returns:
        The layer and what it does, such as ``"its layer 'rescaling' (Rescaling) turns 0..1 into 0..0.0039"``.
    """
    found = None
    try:
        black = keras.ops.zeros((1, *input_shape), "float32")
        for layer, (low, high) in _first_layers(model, (black, black + white)):
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
    # Those that change training images only would draw from their generators otherwise.
    has_mode = "training" in inspect.signature(layer.call).parameters
    low, high = (layer(images, training=False) if has_mode else layer(images) for images in given)
    return low, high
