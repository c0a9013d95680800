"""Train a configuration by the product's own epoch; no model leaves this module."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.evidence.measuring import Measuring
from benchmarks.evidence.problems import Arrays, Problem
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.data import Split
from fmnist_sweep.models import ConvModel, DenseModel
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.runtime import predictor, set_up_tensorflow
from fmnist_sweep.training.trainer import _compiled_epoch


def set_up(n_threads: int) -> None:
    """Set TensorFlow up as the product does, but for the number of threads."""
    set_up_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)


def train(
    problem: Problem, point: dict[str, Scalar], arrays: Arrays, *, seed: int
) -> tuple[int, dict[str, list[float]]]:
    """Train one configuration, as a sweep's trial of this seed would be.

    Returns:
        The number of weights, and what was measured: a list over epochs by name.
    """
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    x, y = arrays.train
    model = {"dense": DenseModel, "cnn": ConvModel}[problem.model](x.shape[1:], int(y.max()) + 1)
    built = model.build(filled(point))
    measuring = Measuring(problem, arrays)
    predict = predictor(built, measuring.inputs)
    train_epoch = _compiled_epoch(built, Split(x, y, *arrays.val), int(point["batch_size"]))
    for epoch in range(problem.epochs):
        train_epoch(np.random.default_rng((seed, epoch)).permutation(len(y)).astype(np.int32))
        measuring.measure(predict)
    return int(built.count_params()), measuring.curve
