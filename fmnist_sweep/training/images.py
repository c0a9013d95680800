"""The images that a model is given: scaled once, by this program or by the model itself."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.split import images_are_bytes
from fmnist_sweep.models.input_scale import takes_bytes
from fmnist_sweep.training.delivery import module_of
from fmnist_sweep.training.runtime import failing_as


def images_for(model: keras.Model, job: PlacedJob) -> DataRef:
    """Return a job's images as its model is to get them: bytes unscaled where it scales them itself.

    Args:
        model: The job's model; built here where that is left to the first call.
        job: A job on images.
    """
    data, shape = job.data_ref, job.data.input_shape
    if data.scale != "auto" or module_of(job) is None or not images_are_bytes(data):
        return data
    with failing_as("the model's first prediction"):
        if not model.built:
            model(np.zeros((1, *shape), np.float32), training=False)
    return replace(data, scale="none") if takes_bytes(model, shape) else data
