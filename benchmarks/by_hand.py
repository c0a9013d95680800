"""An epoch of each default net in C++ by hand: what the machine gives where no framework stands between.

``benchmarks/epochs.cpp`` has the same arithmetic as Keras's nets; its gradients are checked here against
TensorFlow's. It needs ``g++``.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

SOURCE: Final = Path(__file__).with_name("epochs.cpp")
COMPILE: Final = ("g++", "-O3", "-march=native", "-ffast-math", "-Wall", "-Wextra", "-shared", "-fPIC")
BATCH: Final = 32
CLOSE: Final = 1e-4
"""How far a gradient may be from TensorFlow's, as a share of the largest of its variable."""


def built(folder: Path) -> ctypes.CDLL | None:
    """Return the compiled epochs; None where there is no ``g++``."""
    if shutil.which(COMPILE[0]) is None:
        return None
    library = folder / "epochs.so"
    subprocess.run([*COMPILE, SOURCE, "-o", library], check=True)
    return ctypes.CDLL(str(library))


def epoch_of(name: str, model: keras.Model, images: Any, labels: Any) -> Callable[[Any], None] | None:
    """Return an epoch of a default net over images in a given order, on weights of its own.

    Args:
        name: ``"dense"`` or ``"cnn"``.
        model: The net as Keras builds it: its weights are where the epoch begins.
        images: As the net takes them, float32.
        labels: Their classes.

    Returns:
        Takes the images' numbers in order, of whole batches; None where there is no ``g++``.

    Raises:
        ArithmeticError: The gradients are not TensorFlow's.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = built(Path(folder))
    if library is None:
        return None
    rows = np.ascontiguousarray(images, np.float32)
    classes = np.ascontiguousarray(labels, np.int32)
    train = partial(_train, getattr(library, name), rows, classes, model)
    first = np.arange(BATCH, dtype=np.int32)
    _require_close(model, train(first), _gradients(model, rows[:BATCH], classes[:BATCH]))

    def epoch(order: Any) -> None:
        train(np.ascontiguousarray(order, np.int32))

    return epoch


def _train(function: Any, rows: Any, classes: Any, model: keras.Model, order: Any) -> list[Any]:
    """Train copies of a model's weights, and return the last step's gradients."""
    weights = [np.ascontiguousarray(w.numpy()) for w in model.trainable_variables]
    gradients = [np.zeros_like(w) for w in weights]
    rate = ctypes.c_float(float(model.optimizer.learning_rate))
    function(
        _pointer(rows, ctypes.c_float),
        _pointer(classes, ctypes.c_int32),
        _pointer(order, ctypes.c_int32),
        len(order) // BATCH,
        rate,
        ctypes.c_float(_l2(model)),
        _pointers(weights),
        _pointers(gradients),
    )
    return gradients


def _pointer(array: Any, kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _pointers(arrays: Sequence[Any]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _l2(model: keras.Model) -> float:
    return float(model.layers[-1].kernel_regularizer.l2)


def _gradients(model: keras.Model, x: Any, y: Any) -> list[Any]:
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=y, y_pred=model(x, training=True))
    return [np.asarray(one) for one in tape.gradient(loss, model.trainable_variables)]


def _require_close(model: keras.Model, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    for variable, one, other in zip(model.trainable_variables, ours, theirs, strict=True):
        off = np.abs(one - other).max() / np.abs(other).max()
        if not off <= CLOSE:
            told = f"{off:.1e} of the largest gradient away from TensorFlow's"
            raise ArithmeticError(f"{variable.path}: {told}")
