"""HyperModels as users write them, each with its own way of saying what exists when."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import keras
import keras_tuner as kt
from typing_extensions import override

print("a greeting on stdout")  # noqa: T201 - the answer of discover must survive it


def _classifier(widths: list[int], activation: str = "relu") -> keras.Model:
    hidden = [keras.layers.Dense(width, activation=activation) for width in widths]
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), *hidden, keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Loop(kt.HyperModel):  # type: ignore[misc]
    """As many widths as there are layers."""

    @override
    def build(self, hp: Any) -> keras.Model:
        print("building")  # noqa: T201
        layers = hp.Int("layers", 1, 4, default=2)
        widths = [hp.Int(f"units_{i}", 8, 30, step=8) for i in range(layers)]
        hp.Float("learning_rate", 1e-5, 1e-2, sampling="log", step=10)
        return _classifier(widths)


class Scopes(kt.HyperModel):  # type: ignore[misc]
    """KerasTuner's own conditions, and names in scopes."""

    @override
    def build(self, hp: Any) -> keras.Model:
        kind = hp.Choice("kind", ["narrow", "wide"])
        with hp.conditional_scope("kind", ["narrow"]):
            narrow = hp.Int("narrow_units", 2, 8)
        with hp.conditional_scope("kind", ["wide"]):
            wide = hp.Int("wide_units", 16, 1024, sampling="log", default=64)
            layers = hp.Int("layers", 1, 3)
            # Python decides inside the scope, and in a branch that the defaults never reach.
            widths = [wide] + [hp.Int(f"units_{i}", 2, 8) for i in range(2, 1 + (layers or 1))]
        with hp.name_scope("head"):
            activation = hp.Choice("activation", ["relu", "tanh"])
        return _classifier([narrow] if kind == "narrow" else widths, activation)


class ManyLayers(kt.HyperModel):  # type: ignore[misc]
    """More layers than a small choice has values."""

    @override
    def build(self, hp: Any) -> keras.Model:
        return _classifier([hp.Int(f"units_{i}", 2, 4) for i in range(hp.Int("layers", 1, 12))])


class Together(kt.HyperModel):  # type: ignore[misc]
    """A parameter that two others bring up only together."""

    @override
    def build(self, hp: Any) -> keras.Model:
        deep, norm = hp.Boolean("deep"), hp.Boolean("norm")
        if deep and norm:
            hp.Float("momentum", 0.5, 0.9)
        return _classifier([8])


class Either(kt.HyperModel):  # type: ignore[misc]
    """A condition that no lists of values can say."""

    @override
    def build(self, hp: Any) -> keras.Model:
        deep, norm = hp.Boolean("deep"), hp.Boolean("norm")
        if deep or norm:
            hp.Float("momentum", 0.5, 0.9)
        return _classifier([8])


class OnAFloat(kt.HyperModel):  # type: ignore[misc]
    """A parameter that hangs on a value without a list."""

    @override
    def build(self, hp: Any) -> keras.Model:
        if hp.Float("dropout", 0.0, 0.5) > 0:
            hp.Boolean("spatial")
        return _classifier([8])


class SeveralScopes(kt.HyperModel):  # type: ignore[misc]
    """The same declaration under two conditions."""

    @override
    def build(self, hp: Any) -> keras.Model:
        hp.Choice("kind", ["a", "b", "c"])
        for kind in ("a", "b"):
            with hp.conditional_scope("kind", [kind]):
                hp.Int("units", 2, 8)
        return _classifier([8])


class Shape(kt.HyperModel):  # type: ignore[misc]
    """Takes what a data set decides, and leaves the input to the first batch."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.input_shape, self.num_classes = input_shape, num_classes

    @override
    def build(self, hp: Any) -> keras.Model:
        hidden, output = keras.layers.Dense(hp.Int("units", 2, 4)), keras.layers.Dense(self.num_classes)
        model = keras.Sequential([keras.layers.Flatten(), hidden, output])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model


class ReverseLog(kt.HyperModel):  # type: ignore[misc]
    """Two declarations without a counterpart."""

    @override
    def build(self, hp: Any) -> keras.Model:
        hp.Float("decay", 0.1, 0.9, sampling="reverse_log")
        hp.Int("units", 2, 8, sampling="reverse_log")
        return _classifier([8])


class TwoWays(kt.HyperModel):  # type: ignore[misc]
    """One name for two ranges."""

    @override
    def build(self, hp: Any) -> keras.Model:
        wide = hp.Boolean("wide")
        return _classifier([hp.Int("units", 100, 200) if wide else hp.Int("units", 2, 8)])


class Raises(kt.HyperModel):  # type: ignore[misc]
    """A slip in the code."""

    @override
    def build(self, hp: Any) -> keras.Model:
        return _classifier([hp.Int("units", 2, 8), int("eight")])


class RaisesAtOneValue(kt.HyperModel):  # type: ignore[misc]
    """One value that can't be built."""

    @override
    def build(self, hp: Any) -> keras.Model:
        if hp.Choice("kind", ["good", "bad"]) == "bad":
            raise ValueError("bad is not built yet")
        return _classifier([hp.Int("units", 2, 8)])


class ReturnsNothing(kt.HyperModel):  # type: ignore[misc]
    """A forgotten return."""

    @override
    def build(self, hp: Any) -> None:
        _classifier([hp.Int("units", 2, 8)])


class OldStyle(kt.HyperModel):  # type: ignore[misc]
    """Declares apart from building."""

    @override
    def declare_hyperparameters(self, hp: Any) -> None:
        hp.Int("units", 2, 8)

    @override
    def build(self, hp: Any) -> keras.Model:
        return _classifier([hp.get("units")])


class NeedsMore(kt.HyperModel):  # type: ignore[misc]
    """Can't be made without a value that nobody has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class NoHyperModel:
    """Something else."""


def build_function(hp: Any) -> keras.Model:
    return _classifier([hp.Int("units", 2, 8)])


loop = Loop()
number = 3


class TooSmall(kt.HyperModel):  # type: ignore[misc]
    """A kernel and a pool that leave nothing together, each fine alone; 3 is the pool's default."""

    @override
    def build(self, hp: Any) -> keras.Model:
        kernel, pool = hp.Choice("kernel", [3, 5, 7]), hp.Choice("pool", [2, 3], default=3)
        units = hp.Int("units", 2, 4)
        if (kernel, pool) == (7, 3):
            raise ValueError("too small")
        return _classifier([units])


def scaling_model(kind: str) -> keras.Model:
    """Return a model of 8 by 8 images that scales them in some way, or not."""
    layers = keras.layers
    entry = keras.Input((8, 8, 1))
    down = layers.Rescaling(1 / 255)
    output = [layers.Flatten(), layers.Dense(3, "softmax")]
    if kind in ("functional", "operation"):
        x = down(entry) if kind == "functional" else entry / 255.0
        for layer in output:
            x = layer(x)
        return keras.Model(entry, x)
    first = {
        "plain": [],
        "standardised": [layers.Normalization(mean=0.3, variance=0.1)],
        "back and forth": [layers.Rescaling(255.0), down],
        "divided": [down],
        "adapted to bytes": [layers.Normalization(mean=0.0, variance=6000.0)],
        "inner model": [keras.Sequential([keras.Input((8, 8, 1)), down, layers.Conv2D(2, 3)])],
        "after flattening": [layers.Flatten(), down],
        "behind weights": [layers.Conv2D(2, 3), down],
    }
    return keras.Sequential([entry, *first[kind], *output])


class Scaled(kt.HyperModel):  # type: ignore[misc]
    """Divides by 255, as Keras's tutorials do."""

    @override
    def build(self, hp: Any) -> keras.Model:
        hp.Int("units", 2, 4)
        return scaling_model("divided")


class Leaves(kt.HyperModel):  # type: ignore[misc]
    """Leaves as a script does that has nothing to do."""

    @override
    def build(self, hp: Any) -> keras.Model:
        sys.exit(0)


class _GaveUpError(BaseException):
    """What no handler of errors catches."""


class GivesUp(kt.HyperModel):  # type: ignore[misc]
    """Raises what no program expects."""

    @override
    def build(self, hp: Any) -> keras.Model:
        raise _GaveUpError("out of ideas")


class LeavesHard(kt.HyperModel):  # type: ignore[misc]
    """Leaves without a word."""

    @override
    def build(self, hp: Any) -> keras.Model:
        os._exit(0)


class Hangs(kt.HyperModel):  # type: ignore[misc]
    """Waits for something that does not come."""

    @override
    def build(self, hp: Any) -> keras.Model:
        time.sleep(600)


class Copies(kt.HyperModel):  # type: ignore[misc]
    """Makes a copy of its process, and lets both go on."""

    @override
    def build(self, hp: Any) -> keras.Model:
        os.fork()
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", 1, 3))])
        model.compile()
        return model
