"""What a training goes on from: its own checkpoint, or weights that were kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Noted
from fmnist_sweep.core.jobs import DataRef, job_identity
from fmnist_sweep.core.kept import NotKeptError, Weights, kept_weights, write_kept
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.training.checkpoint import CheckpointFile


def checkpoint_file(
    job: PlacedJob, hypermodel: keras_tuner.HyperModel, images: DataRef
) -> CheckpointFile | None:
    """Return the checkpoint of a job, known by all that decides its curve; None where it keeps none."""
    if job.checkpoint_file is None:
        return None
    try:
        source = Path(inspect.getfile(type(hypermodel))).read_text(encoding="utf-8")
    except (OSError, TypeError):
        source = ""
    versions = [library.__version__ for library in (tf, keras, keras_tuner, np)]
    # What an earlier version kept of a model that scales its images itself, it kept of images scaled twice.
    unscaled = [] if images.scale == job.data.scale else ["images as they are"]
    identity = job_identity(job, software=[*versions, source, *unscaled])
    return CheckpointFile(job.checkpoint_file, identity)


def resume(model: keras.Model, file: CheckpointFile) -> list[EpochScores]:
    """Give the model its state after the last epoch that a checkpoint holds, and return the curve so far."""
    model.optimizer.build(model.trainable_variables)
    changing = variables(model)
    checkpoint = file.load([variable.numpy() for variable in changing])
    if checkpoint is None:
        return []
    for variable, value in zip(changing, checkpoint.arrays, strict=True):
        variable.assign(value)
    return list(checkpoint.epochs)


def variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that training changes, the states of dropout's and augmentation's generators too."""
    return [*model.variables, *model.optimizer.variables, global_seed_generator().state]


def keep_weights(
    job: PlacedJob,
    epochs: Sequence[EpochScores],
    weights: Callable[[], Weights],
    *,
    n_epochs: int | None = None,
) -> Iterator[Noted]:
    """Write the weights of the last epoch so far where the job is to keep them.

    Args:
        job: The job.
        epochs: Its curve so far.
        weights: Gives those that the last of them was measured with.
        n_epochs: As for `Keep.wants`.

    Yields:
        A note where they can't be written: that costs the weights, not the trial.
    """
    keep, file = job.keep, job.weights_file
    if keep is None or file is None or not keep.wants(epochs, n_epochs=n_epochs):
        return
    if (problem := write_kept(file, weights(), epochs[-1])) is not None:
        yield Noted(job.trial, f"no weights could be kept: {problem}")


def restored_weights(job: PlacedJob) -> Weights:
    """Return the weights that were kept of a job.

    Raises:
        TrialError: There are none, or they are damaged.
    """
    file = job.weights_file
    if file is None:
        raise ValueError(f"trial {job.trial} names no weights to restore")
    try:
        return kept_weights(file)
    except NotKeptError as error:
        raise TrialError(str(error)) from error
