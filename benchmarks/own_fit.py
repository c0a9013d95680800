"""What one call of a ``fit`` costs over Keras's own: ``python -m benchmarks.own_fit [ROUNDS]``.

The same trial, side by side in one process on one core, in turn: Keras's ``fit`` with validation, and the
product's one call of it, which measures training scores after each epoch as well. Processor seconds, build
and compilation included, as medians of the rounds, and their ratio with its range.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

from fmnist_sweep.core.jobs import SplitSpec, TrialJob
from fmnist_sweep.core.places import Places, placed
from fmnist_sweep.data import load_split, open_data
from fmnist_sweep.data.calls import Call, keep_call
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.runtime import set_up_tensorflow
from fmnist_sweep.training.trainer import KerasTrainer

L = keras.layers
N_ROUNDS: Final = 5
BAR: Final = 1.1
"""What the product may take of Keras's own time."""


class Own(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
    """A HyperModel with a fit of its own, as people write them."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train with a callback that changes the learning rate."""
        del hp
        callbacks = [*(kwargs.pop("callbacks", None) or ()), keras.callbacks.ReduceLROnPlateau(patience=2)]
        return model.fit(*args, callbacks=callbacks, **kwargs)


class Table(Own):
    """A dense net on a table."""

    def build(self, hp: Any) -> Any:
        """Build it."""
        del hp
        dense = [L.Dense(256, "relu"), L.Dropout(0.2), L.Dense(256, "relu"), L.Dense(10, "softmax")]
        return compiled([keras.Input((64,)), *dense])


class Pictures(Own):
    """A small convolutional net."""

    def build(self, hp: Any) -> Any:
        """Build it."""
        del hp
        convolutions = [
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(32, 3, activation="relu"),
        ]
        end = [L.MaxPooling2D(), L.Flatten(), L.Dropout(0.3), L.Dense(10, "softmax")]
        return compiled([keras.Input((28, 28, 1)), *convolutions, *end])


def compiled(layers: Sequence[Any]) -> Any:
    """Return a classifier."""
    model = keras.Sequential(list(layers))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@dataclass(frozen=True)
class Work:
    """A trial.

    Attributes:
        model: Its HyperModel.
        call: What ``fit`` is called with.
        epochs: How many it trains.
    """

    model: type[Own]
    call: Call
    epochs: int


def works() -> dict[str, Work]:
    """Return the trials that are timed, by name."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12_000, 64)).astype("float32"), rng.integers(0, 10, 12_000).astype("int32")
    table = Call((x[:10_000], y[:10_000]), {"validation_data": (x[10_000:], y[10_000:]), "batch_size": 32})
    split = load_split(open_data(), SplitSpec(n_val=1000, train_size=4000))
    held = (split.x_val, split.y_val)
    pictures = Call((split.x_train, split.y_train), {"validation_data": held, "batch_size": 32})
    return {"table, dense": Work(Table, table, 5), "images, cnn": Work(Pictures, pictures, 3)}


def keras_alone(work: Work) -> None:
    """Train as KerasTuner does, with nothing of ours."""
    hp = filled({})
    hypermodel = work.model()
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    kwargs = {**work.call.kwargs, "epochs": work.epochs, "verbose": 0, "callbacks": []}
    hypermodel.fit(hp, hypermodel.build(hp), *work.call.args, **kwargs)


def ours(work: Work) -> Callable[[], None]:
    """Return the same trial as a training process runs it."""
    data = keep_call(work.call, name="own fit")
    path = f"benchmarks.own_fit:{work.model.__name__}"
    job = TrialJob(0, path, {}, epochs=work.epochs, seed=1, data=data, metric="accuracy", n_probe=None)

    def train() -> None:
        n = sum(1 for _ in KerasTrainer().fit(placed(job, Places.of(data))))
        if n < work.epochs:
            raise RuntimeError(f"{n} events of {work.epochs} epochs")

    return train


def main(arguments: Sequence[str]) -> None:
    """Time all trials and print a line for each."""
    n_rounds = int(arguments[0]) if arguments else N_ROUNDS
    set_up_tensorflow()
    with tempfile.TemporaryDirectory() as cache:
        found = works()
        # What is kept of the calls goes when the benchmark ends.
        os.environ["XDG_CACHE_HOME"] = cache
        for name, work in found.items():
            trained: dict[str, Callable[[], None]] = {"keras": partial(keras_alone, work), "ours": ours(work)}
            seconds: dict[str, list[float]] = {way: [] for way in trained}
            for _ in range(n_rounds + 1):
                for way, train in trained.items():
                    began = time.process_time()
                    train()
                    seconds[way].append(time.process_time() - began)
            # The first round imports and warms up.
            kept = {way: times[1:] for way, times in seconds.items()}
            ratios = [b / a for a, b in zip(kept["keras"], kept["ours"], strict=True)]
            middle = {way: statistics.median(times) for way, times in kept.items()}
            print(
                f"{name:<14} keras {middle['keras']:.2f} s, ours {middle['ours']:.2f} s: "
                f"{statistics.median(ratios):.3f} x ({min(ratios):.3f} to {max(ratios):.3f}, "
                f"n = {n_rounds}); at most {BAR}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
