"""A model with two inputs, the means and the worst values of the same tumours, each with its own branch."""

import keras
import keras_tuner
from sklearn.datasets import load_breast_cancer


def data():
    """Return inputs by the names that the model gives them, and a weight for each tumour."""
    x, y = load_breast_cancer(return_X_y=True)
    # Benign tumours are more: each class weighs the same in all.
    weight = (1 - y) / (1 - y).mean() / 2 + y / y.mean() / 2
    return {"x": {"means": x[:, :10], "worst": x[:, 20:]}, "y": y, "sample_weight": weight}


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return two branches that are joined before the last layer."""
    inputs = {name: keras.Input((10,), name=name) for name in ("means", "worst")}
    units = hp.Int("units", 4, 32, step=4)
    branches = [
        keras.layers.Dense(units, "relu")(keras.layers.BatchNormalization()(one)) for one in inputs.values()
    ]
    joined = keras.layers.Concatenate()(branches)
    joined = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5))(joined)
    output = keras.layers.Dense(1, activation="sigmoid")(joined)
    model = keras.Model(inputs, output)
    rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model
