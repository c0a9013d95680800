"""Train the configurations of one draw, and measure train, validation and test after every epoch.

The test examples are read here, by this benchmark alone: it asks how far a choice by validation holds on
them. No study sees them, and no model leaves this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from typing_extensions import override

from benchmarks.evidence.problems import Arrays, Problem
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.data import Split, probe_indices
from fmnist_sweep.models import ConvModel, DenseModel
from fmnist_sweep.models.building import BuiltInModel
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.measure import class_scores
from fmnist_sweep.training.runtime import predictor, set_up_tensorflow
from fmnist_sweep.training.trainer import _compiled_epoch

N_BINS: Final = 15


class Regression(DenseModel):
    """The dense net with one linear output, fitted by least squares."""

    @override
    def compiled(self, layers: Sequence[keras.layers.Layer], values: Any) -> keras.Model:
        """Return the model of these hidden layers."""
        output = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(values["l2"]))
        model = keras.Sequential([keras.Input(self.input_shape), *layers, output])
        model.compile(keras.optimizers.Adam(values["learning_rate"]), "mse", jit_compile=False)
        return model


def set_up(n_threads: int) -> None:
    """Set TensorFlow up as the product does, but for the number of threads."""
    set_up_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)


def train(
    problem: Problem, point: dict[str, Scalar], arrays: Arrays, *, seed: int
) -> tuple[int, dict[str, list[float]]]:
    """Train one configuration with the product's own epoch.

    Returns:
        The number of weights, and what was measured: a list over epochs by name.
    """
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    model = _hypermodel(problem, arrays).build(filled(point))
    x, y = arrays.train
    probe = probe_indices(len(y), problem.n_probe)
    parts = {"train": (x[probe], y[probe]), "val": arrays.val, "test": arrays.test}
    predict = predictor(model, np.concatenate([inputs for inputs, _ in parts.values()]))
    train_epoch = _compiled_epoch(model, Split(x, y, *arrays.val), int(point["batch_size"]))
    ends = np.cumsum([len(targets) for _, targets in parts.values()])
    curve: dict[str, list[float]] = {}
    for epoch in range(problem.epochs):
        train_epoch(np.random.default_rng((seed, epoch)).permutation(len(y)).astype(np.int32))
        # A net that ran away predicts nothing, and is scored so.
        outputs = np.split(np.nan_to_num(predict()), ends[:-1])
        for (part, (_, targets)), predicted in zip(parts.items(), outputs, strict=True):
            for name, value in measured(
                predicted, targets, problem.metric, calibration=part == "test"
            ).items():
                curve.setdefault(f"{part}_{name}", []).append(round(value, 4))
    return int(model.count_params()), curve


def measured(
    outputs: npt.NDArray[Any], targets: npt.NDArray[Any], metric: str, *, calibration: bool
) -> dict[str, float]:
    """Return the scores of one part by name."""
    if metric == "mae":
        errors = outputs[:, 0].astype(np.float64) - targets
        return {"mae": float(np.abs(errors).mean()), "mse": float((errors**2).mean())}
    scores = class_scores(outputs, targets, from_logits=False)
    return {**scores, **({"ece": calibration_error(outputs, targets)} if calibration else {})}


def calibration_error(probabilities: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Return the expected calibration error: mean distance of confidence and accuracy over equal bins.

    References:
        Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    off = np.bincount(bins, weights=hits - confidence, minlength=N_BINS)
    return float(np.abs(off).sum() / len(labels))


def _hypermodel(problem: Problem, arrays: Arrays) -> BuiltInModel:
    x, y = arrays.train
    if problem.metric == "mae":
        return Regression(x.shape[1:], 1)
    model = {"dense": DenseModel, "cnn": ConvModel}[problem.model]
    return model(x.shape[1:], int(y.max()) + 1)
