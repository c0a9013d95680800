"""What the built-in models share: augmentation, hidden layers, output, compilation, schedule and ``fit``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import keras
import keras_tuner as kt
from typing_extensions import override

from fmnist_sweep.core.jobs import Hyperparameters
from fmnist_sweep.core.space import SearchSpace
from fmnist_sweep.models.augmentation import AlternatingFlip, HorizontalFlip, PixelShift, begin_epoch
from fmnist_sweep.models.hyperparameters import ask
from fmnist_sweep.models.schedule import scheduled_learning_rate
from fmnist_sweep.models.smoothing import SmoothedCrossentropy

_OPTIMIZER_SETTINGS: Final[dict[str, dict[str, float]]] = {"sgd": {"momentum": 0.9}}


class BuiltInModel(kt.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
    """A HyperModel that asks for the space it declares, whether a tuner or a sweep runs it.

    Args:
        input_shape: Shape of one image, its channel axis last.
        n_classes: Labels are integers ``0 .. n_classes - 1``.

    Attributes:
        space: What ``build`` and ``fit`` ask for.
        defaults: A default for each parameter of the space.
    """

    space: ClassVar[SearchSpace]
    defaults: ClassVar[Hyperparameters]

    def __init__(self, input_shape: tuple[int, ...] = (28, 28, 1), n_classes: int = 10) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.n_classes = n_classes

    @override
    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Call ``model.fit`` with the searched epochs, batch size and schedule.

        Epochs and batch size that the caller gives go before the searched ones.
        """
        values = ask(hp, self.space, self.defaults)
        given = inspect.signature(model.fit).bind_partial(*args, **kwargs).arguments
        given.setdefault("epochs", values["epochs"])
        # A data set or generator brings its labels along, and its own batches.
        if given.get("y") is not None:
            given.setdefault("batch_size", values["batch_size"])
        # Whoever asks for single epochs sets the learning rate of each, as a sweep does.
        if given["epochs"] > 1:
            given["callbacks"] = [*(given.get("callbacks") or ()), *_of_epochs(model, values)]
        return model.fit(**given)

    def learning_rate(self, hp: kt.HyperParameters, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0, which the trainer sets before it."""
        return scheduled_learning_rate(ask(hp, self.space, self.defaults), epoch)

    def compiled(self, layers: Sequence[keras.layers.Layer], values: Hyperparameters) -> keras.Model:
        """Return the model of these hidden layers between input and softmax output, ready to train.

        The optimizer is any that Keras knows by name; sgd runs with momentum 0.9. Training images are
        flipped, shifted and partly erased first, where that is asked for.
        """
        output = keras.layers.Dense(
            self.n_classes, activation="softmax", kernel_regularizer=keras.regularizers.L2(values["l2"])
        )
        model = keras.Sequential([keras.Input(self.input_shape), *augmentation(values), *layers, output])
        name = str(values["optimizer"])
        settings = {"learning_rate": values["learning_rate"], **_OPTIMIZER_SETTINGS.get(name, {})}
        if "weight_decay" in values:
            settings["weight_decay"] = values["weight_decay"]
        if values["ema"]:
            settings |= {"use_ema": True, "ema_momentum": values["ema"]}
        smoothing = float(values["label_smoothing"])
        model.compile(
            optimizer=keras.optimizers.get({"class_name": name, "config": settings}),
            loss=SmoothedCrossentropy(smoothing) if smoothing else "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            # XLA made this kind of net four times slower on a CPU.
            jit_compile=False,
        )
        return model


def augmentation(values: Hyperparameters) -> list[keras.layers.Layer]:
    """Return the layers that flip, shift and erase of training images, where that is asked for."""
    layers: list[keras.layers.Layer] = []
    if values["flip"]:
        # It knows an image by its numbers, so nothing may have changed them.
        layers.append(AlternatingFlip() if values.get("alternate_flips") else HorizontalFlip())
    if values["shift"]:
        layers.append(PixelShift(int(values["shift"])))
    if rate := float(values["erase"]):
        # Two equal ends: of a single number Keras would take the half in the mean.
        layers.append(keras.layers.RandomErasing((rate, rate), fill_value=0.0, value_range=(0, 1)))
    return layers


def _of_epochs(model: keras.Model, values: Hyperparameters) -> list[keras.callbacks.Callback]:
    """Return the callbacks that set what differs from epoch to epoch, as far as anything does."""
    callbacks: list[keras.callbacks.Callback] = []
    if values["schedule"] != "constant":
        callbacks.append(
            keras.callbacks.LearningRateScheduler(lambda epoch, _: scheduled_learning_rate(values, epoch))
        )
    if values.get("alternate_flips"):
        callbacks.append(
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: begin_epoch(model, epoch))
        )
    return callbacks


def activated(values: Hyperparameters) -> list[keras.layers.Layer]:
    """Return what stands behind a layer's weights: batch normalisation if asked for, then the activation."""
    normalisation = [keras.layers.BatchNormalization()] if values["batch_norm"] else []
    return [*normalisation, keras.layers.Activation(values["activation"])]


def hidden_layers(units: int, values: Hyperparameters) -> list[keras.layers.Layer]:
    """Return a hidden dense layer with all that belongs to it."""
    dense = keras.layers.Dense(units, kernel_regularizer=keras.regularizers.L2(values["l2"]))
    dropout = [keras.layers.Dropout(values["dropout"])] if values["dropout"] else []
    return [dense, *activated(values), *dropout]
