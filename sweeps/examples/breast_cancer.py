"""A table with two classes: is a tumour benign? 30 measurements of 569 tumours (scikit-learn's)."""

import keras
import keras_tuner
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


def data():
    """Return tumours to train and validate with, and a fifth that only an export reads."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return (x_train, y_train), (x_test, y_test)


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return a net with one sigmoid; batch normalisation brings the measurements to one scale."""
    model = keras.Sequential([keras.Input((30,)), keras.layers.BatchNormalization()])
    l2 = keras.regularizers.L2(hp.Float("l2", 1e-5, 1e-1, sampling="log"))
    model.add(keras.layers.Dense(hp.Int("units", 4, 64, sampling="log"), "relu", kernel_regularizer=l2))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model
