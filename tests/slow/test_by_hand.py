"""Epochs in C++ are epochs of the very nets that Keras builds."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from benchmarks.by_hand import BATCH, epoch_of
from benchmarks.steps import NETS
from fmnist_sweep.models.hyperparameters import filled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++"),
]

N_IMAGES = 2 * BATCH


@pytest.mark.parametrize("name", ["dense", "cnn"])
def test_gradients_are_those_of_tensorflow(name: str) -> None:
    """Or there would be no epoch; another loss is found out."""
    kind, values = NETS[f"{name}, batch {BATCH}"]
    model = kind().build(filled(values))
    rng = np.random.default_rng(0)
    images = rng.random((N_IMAGES, 28, 28, 1), dtype=np.float32)
    labels = rng.integers(0, 10, N_IMAGES)
    before = [np.array(weight) for weight in model.get_weights()]
    epoch = epoch_of(name, model, images, labels)
    assert epoch is not None
    epoch(np.arange(N_IMAGES))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.layers[-1].kernel_regularizer.l2 = 1.0
    model.layers[1].kernel_regularizer = None
    with pytest.raises(ArithmeticError, match="away from TensorFlow's"):
        epoch_of(name, model, images, labels)
