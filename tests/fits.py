"""Models of every kind of task, and fits of every kind, as people write them; imported by trial processes."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

L = keras.layers


def table(n: int = 240) -> tuple[Any, Any]:
    """Return a table and what follows from it: the sum of two columns."""
    x = np.random.default_rng(1).normal(size=(n, 6)).astype("float32")
    return x, x[:, 0] + x[:, 1]


def binary() -> tuple[Any, Any]:
    """Return a table with two classes."""
    x, y = table()
    return x, (y > 0).astype("int32")


def series() -> tuple[Any, Any]:
    """Return a trend: its end is unlike its beginning."""
    x = np.linspace(0, 1, 100)[:, None].astype("float32")
    return x, x[:, 0]


def two_inputs() -> Any:
    """Return inputs by name, with weights of the classes."""
    x, y = binary()
    return {
        "x": {"left": x[:, :3], "right": x[:, 3:]},
        "y": y,
        "class_weight": {0: 1.0, 1: 2.0},
    }


def pipeline() -> Any:
    """Return data sets that train and that validate."""
    x, y = table()

    def part(a: int, b: int) -> Any:
        return tf.data.Dataset.from_tensor_slices((x[a:b], y[a:b])).batch(16)

    return part(0, 192), part(192, 240)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras carries no types
    """A generator of batches."""

    def __init__(self, x: Any, y: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // 16

    def __getitem__(self, i: int) -> Any:
        rows = slice(16 * i, 16 * (i + 1))
        return self.x[rows], self.y[rows]


def generators() -> Any:
    """Return generators that train and that validate."""
    x, y = table()
    return Batches(x[:192], y[:192]), Batches(x[192:], y[192:])


def regression(hp: Any) -> Any:
    """Build a regression; its weights are penalised."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(hp.Int("units", 4, 8, step=4), kernel_regularizer=keras.regularizers.L2(0.1)),
            L.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return model


def largest_error(y_true: Any, y_pred: Any) -> float:
    """Return how far the worst prediction is off."""
    return float(np.abs(np.ravel(y_true) - np.ravel(y_pred)).max())


def each_error(y_true: Any, y_pred: Any) -> Any:
    """Return an error for each row, which is no score."""
    return np.abs(np.ravel(y_true) - np.ravel(y_pred))


def pictures(hp: Any) -> Any:
    """Build a model of small images of three classes."""
    units = hp.Int("units", 4, 8, step=4)
    model = keras.Sequential([L.Flatten(), L.Dense(units, "relu"), L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trend(hp: Any) -> Any:
    """Build a straight line."""
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, name=hp.Choice("name", ["a", "b"]))])
    model.compile("sgd", "mse")
    return model


def sigmoid(hp: Any) -> Any:
    """Build a model of two classes with one output; it has no input layer."""
    model = keras.Sequential(
        [L.Dense(hp.Int("units", 4, 8, step=4), activation="relu"), L.Dense(1, "sigmoid")]
    )
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy", "AUC"])
    return model


def joined(hp: Any) -> Any:
    """Build a model of two inputs by name."""
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    hidden = L.Dense(hp.Int("units", 4, 8, step=4), "relu")(L.Concatenate()([left, right]))
    model = keras.Model({"left": left, "right": right}, L.Dense(1, "sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


class Stubborn(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """A layer whose argument nobody could know where it is loaded."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        """Return the inputs times a factor."""
        return self.factor * x


def stubborn(hp: Any) -> Any:
    """Build a regression with a layer that can't be saved."""
    model = keras.Sequential([keras.Input((6,)), Stubborn(hp.Float("factor", 1.0, 2.0)), L.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


class OwnFit(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
    """Prepares its data, asks for a batch size, brings a callback, returns a number."""

    def build(self, hp: Any) -> Any:
        """Build a regression."""
        return regression(hp)

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train on twice the numbers."""
        x, y = args
        x_val, y_val = kwargs.pop("validation_data")
        kwargs["callbacks"].append(keras.callbacks.ReduceLROnPlateau(patience=1))
        history = model.fit(
            2 * x, y, validation_data=(2 * x_val, y_val), batch_size=hp.Choice("rows", [8, 32]), **kwargs
        )
        return min(history.history["val_loss"])


class WarmUp(OwnFit):
    """Trains twice: two epochs that it chooses itself, then what it is asked for."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train, compile anew, and train on."""
        validation = kwargs["validation_data"]
        model.fit(*args, validation_data=validation, epochs=2)
        model.compile(keras.optimizers.Adam(hp.Float("late_rate", 1e-3, 1e-2)), "mse", metrics=["mae"])
        return model.fit(*args, **kwargs)


class OwnEpochs(OwnFit):
    """Asks for its number of epochs."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train for as long as it is told."""
        return model.fit(*args, epochs=hp.Int("epochs", 2, 5), **kwargs)


class TooManyEpochs(OwnFit):
    """Trains longer than it is asked to."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train for 7 epochs, whoever asks for how many."""
        del hp
        return model.fit(*args, **{**kwargs, "epochs": 7})


class NoFit(OwnFit):
    """Trains in a loop of its own."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a number."""
        del hp, model, args, kwargs
        return 0.5


class Averaging(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
    """Leaves the average of its weights in the model."""

    def build(self, hp: Any) -> Any:
        """Build a regression whose steps are far too large."""
        model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
        average = hp.Boolean("average")
        model.compile(keras.optimizers.SGD(0.2, use_ema=average, ema_momentum=0.9), "mse", metrics=["mae"])
        return model


class Folds(OwnFit):
    """Trains a model of its own for each of two folds."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the mean over the folds."""
        del model
        x, y = args
        halves = (slice(0, 96), slice(96, 192)), (slice(96, 192), slice(0, 96))
        losses = []
        for train, val in halves:
            fold = self.build(hp)
            history = fold.fit(x[train], y[train], validation_data=(x[val], y[val]), epochs=kwargs["epochs"])
            losses.append(history.history["val_loss"][-1])
        return float(np.mean(losses))


class Generated(OwnFit):
    """Feeds its model from a Python generator."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train on batches that are drawn for ever."""
        del hp
        x, y = args

        def batches() -> Any:
            while True:
                for i in range(0, len(x), 16):
                    yield x[i : i + 16], y[i : i + 16]

        return model.fit(batches(), steps_per_epoch=8, **kwargs)


class Autoencoder(keras.Model):  # type: ignore[misc]  # Keras carries no types
    """Trains on inputs alone, by a step of its own."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.narrow, self.wide = L.Dense(units), L.Dense(6)

    def call(self, x: Any) -> Any:
        """Return what is made of few numbers."""
        return self.wide(self.narrow(x))

    def train_step(self, data: Any) -> Any:
        """Train towards the inputs."""
        (x,) = data if isinstance(data, tuple) else (data,)
        return super().train_step((x, x))

    def test_step(self, data: Any) -> Any:
        """Measure how near the inputs are."""
        (x,) = data if isinstance(data, tuple) else (data,)
        return super().test_step((x, x))


def autoencoder(hp: Any) -> Any:
    """Build a model that gives back what it gets."""
    model = Autoencoder(hp.Int("units", 4, 8, step=4))
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return model
