"""Read the test images, once, for all models of an export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import keras
import numpy as np

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.test_set import load_test
from fmnist_sweep.training.delivery import MODEL, load_delivered
from fmnist_sweep.training.runtime import failing_as, predictor, set_up_tensorflow

TEST_PREDICTIONS: Final = "test.npz"
N_WORST: Final = 24
"""Wrongly classified images that are kept, so that nobody has to open the test set to show them."""


class TestReader:
    """A trainer that trains nothing: it lets every model that was delivered predict the test images.

    Each model's folder gets ``test.npz``: its probabilities, the labels, and the images that it got wrong
    with the most confidence. Whoever submits the job has recorded that the test images are read.
    """

    __test__ = False  # pytest would take the name for that of a test class

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Predict; `Started` is all that is told, and no epoch follows."""
        set_up_tensorflow()
        deliveries = job.places.deliveries
        folders = [] if deliveries is None else sorted(path.parent for path in deliveries.glob(f"*/{MODEL}"))
        with failing_as("loading the models"):
            models = [load_delivered(folder, job) for folder in folders]
        with failing_as("reading the test images"):
            test = load_test(job.data_ref)
            for folder, model in zip(folders, models, strict=True):
                _write(folder, predictor(model, test.x)(), test.x, test.y)
        yield Started(job.trial, n_parameters=_size(models))


def _write(folder: Path, probabilities: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    confidence = probabilities[np.arange(len(labels)), predicted]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:N_WORST]
    # Whole or not at all: the file says that this model has met the test set.
    with new_file(folder / TEST_PREDICTIONS) as file:
        np.savez(file, test=probabilities, y_test=labels, worst=worst, x_worst=images[worst])


def _size(models: list[keras.Model]) -> int:
    return sum(int(model.count_params()) for model in models)
