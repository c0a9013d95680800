"""How TensorFlow runs in a training process, and what its failures are called."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import keras_tuner
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.split import ALIGNMENT
from fmnist_sweep.models.load import describe, load_model

_LOG = logging.getLogger(__name__)

N_AT_ONCE: Final = 1000
"""Images that are measured in one go: large enough to keep a core busy, small enough for its caches."""


def set_up_tensorflow() -> None:
    """One core, the same result every time, and no more of an accelerator's memory than is needed."""
    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError:
        _LOG.warning("TensorFlow was in use before: its threads and devices stay as they were set then")


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Turn whatever the user's model or the memory's end raises into a `TrialError` that says where."""
    try:
        yield
    except TrialError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        # What was to be stored tells which layer or batch is too large; Python's own error says nothing.
        wanted = "" if isinstance(error, MemoryError) else f": {one_line(error)}"
        raise TrialError(f"out of memory{wanted}", traceback.format_exc()) from error
    except (Exception, SystemExit) as error:
        raise TrialError(f"{what} failed: {describe(error)}", traceback.format_exc()) from error


def load_hypermodel(job: PlacedJob) -> keras_tuner.HyperModel:
    """Import the HyperModel that a job names, from where it is on this machine."""
    shape, n_classes = job.data.input_shape, job.data.n_classes
    return load_model(job.model, input_shape=shape, n_classes=n_classes, folders=job.places.code)


@contextmanager
def replaced(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Give one object another method while something is traced; its class is left as it is."""
    setattr(owner, name, method)
    try:
        yield
    finally:
        delattr(owner, name)


def n_weights(model: keras.Model) -> int:
    """Return how many numbers a model's weights hold, those that no step trains among them.

    Keras's own ``count_params`` refuses a model that nobody has built, as one stays whose ``train_step``
    calls its parts alone.
    """
    return sum(math.prod(variable.shape) for variable in model.weights)


def shared_tensor(array: npt.NDArray[Any]) -> tf.Tensor:
    """Return a tensor of an array's values that lies in the array's memory where it can.

    ``tf.constant`` copies twice, which can take half a second for the images of Fashion-MNIST, and their
    memory once more. The array must not be changed afterwards; see `fmnist_sweep.data.split.aligned`.
    """
    usable = array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0
    if not usable or tf.config.list_physical_devices("GPU"):
        # Over DLPack it would stay in the computer's memory, where each step had to fetch its images from;
        # and TensorFlow's kernels end the process over a tensor that begins anywhere else.
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def predictor(model: keras.Model, images: npt.NDArray[np.float32]) -> Callable[[], npt.NDArray[Any]]:
    """Return a function that gives the model's outputs for the images, with dropout off.

    The images must not be changed afterwards; see `shared_tensor`.
    """
    whole = shared_tensor(images)
    batches = [whole[i : i + N_AT_ONCE] for i in range(0, len(images), N_AT_ONCE)]

    @tf.function(input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)], autograph=False)  # type: ignore[untyped-decorator]
    def predict(batch: tf.Tensor) -> tf.Tensor:
        return model(batch, training=False)

    return lambda: np.concatenate([predict(batch).numpy() for batch in batches])
