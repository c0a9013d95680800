"""Models with parts of a user's own that can be saved, and such that can't; tests name them."""

# Written as users write: without types and docstrings.
# mypy: ignore-errors
# ruff: noqa: D101, D102, D106

import functools

import keras
import own_parts
import tensorflow as tf
from keras import layers


def ended(*middle, loss="sparse_categorical_crossentropy", lazy=False):
    start = [] if lazy else [keras.Input((8, 8, 1))]
    model = keras.Sequential([*start, *middle, layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("adam", loss)
    return model


class Stretch(layers.Layer):
    def __init__(self, by=2.0, **settings):
        super().__init__(**settings)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


class Attention(Stretch):
    pass


class Forgets(Stretch):
    def get_config(self):
        return layers.Layer.get_config(self)


class NoKeywords(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, x):
        return self.inner(x)


class TakesThings(layers.Layer):
    def __init__(self, thing, **settings):
        super().__init__(**settings)
        self.thing = thing

    def call(self, x):
        return x


class Late(layers.Layer):
    def __init__(self, units=4, **settings):
        super().__init__(**settings)
        self.units = units

    def build(self, shape):
        self.first, self.second = layers.Dense(self.units, activation="relu"), Inner(2)
        self.first.build(shape)
        self.second.build((*shape[:-1], self.units))

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Inner(layers.Layer):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x):
        return x @ self.kernel

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Shrunk(Inner):
    def get_config(self):
        return {**super().get_config(), "units": 3}


class Penalty(keras.regularizers.Regularizer):
    def __init__(self, strength):
        self.strength = strength

    def __call__(self, weights):
        return self.strength * keras.ops.sum(keras.ops.square(weights))


class SavedPenalty(Penalty):
    def get_config(self):
        return {"strength": self.strength}


class Outer:
    class Nested(Stretch):
        pass


@keras.saving.register_keras_serializable(package="theirs", name="odd")
class Registered(Stretch):
    pass


@keras.saving.register_keras_serializable(package="theirs", name="other")
def registered(x):
    return keras.ops.tanh(x)


def bent(x):
    return keras.ops.tanh(x) * 0.7


def relu(x):
    return keras.ops.maximum(x, -0.1)


def tiny(shape, dtype=None):
    return keras.ops.ones(shape, dtype) * 0.01


class Net(keras.Model):
    def __init__(self, units=5, **settings):
        super().__init__(**settings)
        self.units = units
        self.parts = [layers.Flatten(), layers.Dense(units, activation=bent), Stretch(), layers.Dense(3)]

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return keras.ops.softmax(x)

    def get_config(self):
        return {"units": self.units}


class Doubled(keras.Sequential):
    def call(self, x, training=None):
        return super().call(x, training=training) * 2


class Scaled(keras.losses.Loss):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, y, outputs):
        return self.function(y, outputs)


def scaled(by):
    def loss(y, outputs):
        return by * keras.losses.sparse_categorical_crossentropy(y, outputs)

    return loss


def compiled(model, loss="sparse_categorical_crossentropy"):
    model.compile("adam", loss)
    return model


def with_local_class():
    class Local(Stretch):
        pass

    return ended(Local(2.0))


def with_registered_local_class():
    @keras.saving.register_keras_serializable()
    class LocalToo(Stretch):
        pass

    return ended(LocalToo(2.0))


def with_local_function():
    def mine(x):
        return x * 2

    return ended(layers.Dense(4, activation=mine))


def functional():
    entry = keras.Input((8, 8, 1))
    output = layers.Dense(3, activation="softmax")(layers.Flatten()(Stretch()(entry)))
    return compiled(keras.Model(entry, output))


SAVED = {
    "plain": lambda: (ended(layers.Dense(4, activation="relu")), {}),
    "class": lambda: (ended(Inner(3)), {"Inner": "Inner"}),
    "lazy": lambda: (ended(Inner(3), lazy=True), {"Inner": "Inner"}),
    "name_of_keras": lambda: (ended(Attention(3.0)), {"Attention": "Attention"}),
    "sublayers": lambda: (ended(layers.Flatten(), Late(6)), {"Late": "Late"}),
    "function": lambda: (ended(layers.Dense(4, activation=bent)), {"bent": "bent"}),
    "named_lambda": lambda: (ended(layers.Lambda(bent)), {"bent": "bent"}),
    "initializer": lambda: (ended(layers.Dense(4, kernel_initializer=tiny)), {"tiny": "tiny"}),
    "regularizer": lambda: (
        ended(layers.Dense(4, kernel_regularizer=SavedPenalty(0.1))),
        {"SavedPenalty": "SavedPenalty"},
    ),
    "nested": lambda: (ended(Outer.Nested(2.0)), {"Nested": "Outer.Nested"}),
    "registered": lambda: (
        ended(Registered(2.0), layers.Dense(4, activation=registered)),
        {"theirs>odd": "Registered", "theirs>other": "registered"},
    ),
    "function_named_as_kerass": lambda: (
        ended(layers.Dense(4, activation=relu), layers.Dense(4, activation="relu")),
        {"own_nets>relu": "relu"},
    ),
    "subclass": lambda: (compiled(Net(6)), {"Net": "Net"}),
    "subclass_with_own_loss": lambda: (compiled(Net(6), Scaled(scaled(2.0))), {"Net": "Net"}),
    "closure_as_loss": lambda: (ended(Inner(3), loss=scaled(2.0)), {"Inner": "Inner"}),
    "functional": lambda: (functional(), {"own_nets>Stretch": "Stretch"}),
    "sequential_with_its_own_call": lambda: (
        compiled(Doubled([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])),
        {"Doubled": "Doubled"},
    ),
    "lambda": lambda: (ended(layers.Lambda(lambda x: x * 2)), {}),
}
"""Models, and what is needed to load them: names in the file, and where they are in this module."""

TWINS = {"own_nets>Stretch": "own_nets:Stretch", "own_parts>Stretch": "own_parts:Stretch"}


def twins():
    return ended(Stretch(2.0), own_parts.Stretch(0.5))


REFUSED = {
    "forgets": (lambda: ended(Forgets(5.0)), "by of Forgets was 5.0 and comes back as 2.0"),
    "other_shapes": (lambda: ended(Shrunk(5)), "Shrunk"),
    "no_keywords": (
        lambda: ended(NoKeywords(7), lazy=True),
        "the class NoKeywords can't be made from its get_config: ",
    ),
    "closure_in_layer": (
        lambda: ended(TakesThings(lambda x: x)),
        "the class TakesThings can't be saved: it has no get_config of its own; give it a get_config",
    ),
    "object_in_layer": (lambda: ended(TakesThings(object())), "the class TakesThings can't be saved: "),
    "penalty": (
        lambda: ended(layers.Dense(4, kernel_regularizer=Penalty(0.1))),
        "the class Penalty can't be saved: it has no get_config of its own",
    ),
    "partial": (
        lambda: ended(layers.Activation(functools.partial(keras.activations.leaky_relu, negative_slope=0.3))),
        "a functools.partial of leaky_relu can't be saved: write it with def",
    ),
    "lambda_with_globals": (
        lambda: ended(layers.Lambda(lambda x: tf.nn.relu(x) + 1)),
        "the lambda of Lambda can't be saved and loaded: write it with def",
    ),
    "lambda_as_activation": (
        lambda: ended(layers.Dense(4, activation=lambda x: x * 2)),
        "the lambda of Dense can't be saved and loaded: write it with def",
    ),
    "local_class": (with_local_class, "the class 'Local' is not found in module own_nets"),
    "registered_local_class": (with_registered_local_class, "the class 'LocalToo' is not found in"),
    "local_function": (with_local_function, "the function 'mine' is not found in module own_nets"),
}
"""Models, and what is said of them."""
