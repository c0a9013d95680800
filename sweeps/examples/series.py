"""A series: the next value from the twelve before it. It is made, a trend with a season and noise."""

import keras
import keras_tuner
import numpy as np

N_BEFORE = 12


def data():
    """Return windows of the series, in their order, and the value that follows each."""
    time = np.arange(600)
    noise = np.random.default_rng(0).normal(0, 0.2, len(time))
    series = (0.002 * time + np.sin(2 * np.pi * time / 12) + noise).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(series, N_BEFORE + 1)
    return windows[:, :-1, None], windows[:, -1]


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return a small recurrent net, or one of convolutions."""
    model = keras.Sequential([keras.Input((N_BEFORE, 1))])
    units = hp.Int("units", 8, 32, step=8)
    if hp.Choice("kind", ["gru", "conv"]) == "gru":
        model.add(keras.layers.GRU(units))
    else:
        model.add(keras.layers.Conv1D(units, hp.Int("kernel_size", 2, 5), activation="relu"))
        model.add(keras.layers.GlobalAveragePooling1D())
    model.add(keras.layers.Dense(1))
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model
