"""A regression: how far diabetes went in a year, from ten measurements of 442 patients (scikit-learn's)."""

import keras
import keras_tuner
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split


def data():
    """Return patients to train and validate with, and a fifth that only an export reads."""
    x, y = load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
    return (x_train, y_train), (x_test, y_test)


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return a small net on normalised measurements."""
    model = keras.Sequential([keras.Input((10,)), keras.layers.Rescaling(20.0)])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{i}", 8, 64, step=8), activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
    model.add(keras.layers.Dense(1))
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model
