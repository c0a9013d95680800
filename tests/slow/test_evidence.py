"""The plain loop of the evidence study takes Keras's steps, and a draw of it can be recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from benchmarks.evidence.plain import ACTIVATIONS, PlainNet
from benchmarks.evidence.record import record

pytestmark = pytest.mark.slow

POINT: dict[str, Any] = {
    "learning_rate": 3e-3,
    "l2": 1e-3,
    "depth": 3,
    "units_1": 20,
    "units_2": 30,
    "units_3": 16,
}


@pytest.mark.parametrize("is_regression", [False, True])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_the_plain_loop_takes_keras_steps(activation: str, is_regression: bool) -> None:
    """From equal weights, on equal batches, both end with equal predictions."""
    import keras

    from fmnist_sweep.data import Split
    from fmnist_sweep.models import DenseModel
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.training.runtime import predictor
    from fmnist_sweep.training.trainer import _compiled_epoch

    class Regression(DenseModel):
        @override
        def compiled(self, layers: Sequence[keras.layers.Layer], values: Any) -> keras.Model:
            output = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(values["l2"]))
            model = keras.Sequential([keras.Input(self.input_shape), *layers, output])
            model.compile(keras.optimizers.Adam(values["learning_rate"]), "mse", jit_compile=False)
            return model

    rng, n_outputs = np.random.default_rng(0), 1 if is_regression else 3
    x = rng.normal(size=(200, 10)).astype(np.float32)
    y: Any = x[:, 0] if is_regression else rng.integers(0, 3, 200).astype(np.int32)
    point = {**POINT, "activation": activation}
    net = PlainNet((10, 20, 30, 16, n_outputs), point, seed=0, is_regression=is_regression)
    model = (Regression if is_regression else DenseModel)((10,), n_outputs).build(filled(point))
    assert net.n_weights == model.count_params()
    model.set_weights(net.weights)
    before = net.predict(x)
    train = _compiled_epoch(model, Split(x, y, x, y), 32)
    for _ in range(3):
        order = rng.permutation(200).astype(np.int32)
        train(order)
        for start in range(0, 200, 32):
            batch = order[start : start + 32]
            net.step(x[batch], y[batch])
    assert np.abs(net.predict(x) - before).max() > 0.05
    assert net.predict(x) == pytest.approx(predictor(model, x)(), abs=1e-5)


def test_a_draw_is_recorded_whole(tmp_path: Path) -> None:
    """A header, the default and sixty configurations with their curves; recorded anew it is equal."""
    record("cancer", 3, tmp_path / "a", 1)
    record("cancer", 3, tmp_path / "b", 1)
    text = (tmp_path / "a" / "cancer" / "003.jsonl").read_text(encoding="utf-8")
    header, *rows = map(json.loads, text.splitlines())
    assert (header["n_train"], header["n_val"], header["n_test"], len(rows)) == (200, 70, 299, 61)
    assert {len(values) for row in rows for values in row["curve"].values()} == {30}
    assert text == (tmp_path / "b" / "cancer" / "003.jsonl").read_text(encoding="utf-8")
