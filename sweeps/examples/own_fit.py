"""A fit of one's own: batch size and patience are asked for in it; callbacks live through the whole run."""

import keras
import keras_tuner
from sklearn.datasets import load_digits


def data():
    """Return 1,797 digits of 8x8 pixels, from 0 to 1."""
    x, y = load_digits(return_X_y=True)
    return x / 16, y


class Digits(keras_tuner.HyperModel):
    """A dense net whose rate falls when its validation loss no longer does."""

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the net."""
        model = keras.Sequential([keras.Input((64,))])
        model.add(keras.layers.Dense(hp.Int("units", 32, 128, step=32), activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
        model.add(keras.layers.Dense(10, activation="softmax"))
        rate = hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args, callbacks=(), **kwargs):
        """Train it; what is asked of hp here is searched as well."""
        falling = keras.callbacks.ReduceLROnPlateau(
            "val_loss", factor=hp.Float("factor", 0.1, 0.7), patience=hp.Int("patience", 1, 3)
        )
        batch_size = hp.Choice("batch_size", [16, 32, 64])
        return model.fit(*args, batch_size=batch_size, callbacks=[*callbacks, falling], **kwargs)
