"""Read the test images, once, for all models of an export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.metrics import measured_metric
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.calls import open_call
from fmnist_sweep.data.test_set import load_test, load_test_call
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.call_delivery import flat, predict, rebuilt, rows_of, weights_in
from fmnist_sweep.training.delivery import MODEL, load_delivered, scale_of
from fmnist_sweep.training.epoch_measures import part_scores
from fmnist_sweep.training.measured_parts import Part
from fmnist_sweep.training.runtime import failing_as, load_hypermodel, n_weights, predictor, set_up_tensorflow

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
        if job.data.form == "call":
            yield Started(job.trial, n_parameters=_read_call(folders, job))
            return
        with failing_as("loading the models"):
            models = [load_delivered(folder, job) for folder in folders]
        with failing_as("reading the test images"):
            scales = [scale_of(folder, job) for folder in folders]
            tests = {scale: load_test(replace(job.data_ref, scale=scale)) for scale in set(scales)}
            for folder, model, scale in zip(folders, models, scales, strict=True):
                test = tests[scale]
                _write(folder, predictor(model, test.x)(), test.x, test.y)
        yield Started(job.trial, n_parameters=_size(models))


def _read_call(folders: Sequence[Path], job: PlacedJob) -> int:
    """Measure every model on the test part of data that are handed to ``fit`` as they are."""
    with failing_as("loading the models"):
        hypermodel = load_hypermodel(job)
        hp = filled(job.hyperparameters)
        hp.values["epochs"] = job.epochs
        call = open_call(Path(job.data_ref.directory), tf.data.Dataset.load)
        models = [rebuilt(hypermodel, hp, weights_in(folder), call) for folder in folders]
    with failing_as("reading the test part"):
        x, y = load_test_call(job.data_ref, tf.data.Dataset.load)
        # A shuffled data set is read once: it is the same for all.
        part = Part(x.cache() if isinstance(x, tf.data.Dataset) else x, y)
        for folder, model in zip(folders, models, strict=True):
            scores = part_scores(model, part, measured_metric(job.metric), folders=job.places.code)
            x_kept, y_kept = rows_of(part)
            predicted = flat("test/outputs", predict(model, x_kept)) | flat("test/y", y_kept)
            told = {name: value for name, value in scores.items() if np.isfinite(value)}
            with new_file(folder / TEST_PREDICTIONS) as file:
                np.savez(file, allow_pickle=False, scores=np.array(json.dumps(told)), **predicted)
    return _size(models)


def _write(folder: Path, probabilities: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    confidence = probabilities[np.arange(len(labels)), predicted]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:N_WORST]
    # Whole or not at all: the file says that this model has met the test set.
    with new_file(folder / TEST_PREDICTIONS) as file:
        np.savez(file, test=probabilities, y_test=labels, worst=worst, x_worst=images[worst])


def _size(models: list[keras.Model]) -> int:
    return sum(n_weights(model) for model in models)
