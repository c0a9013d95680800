"""Write a built Keras model down as the Python that builds it again.

The lines are taken from the model itself and not from its hyperparameters, so that whatever a HyperModel adds
is in them: only what differs from Keras's defaults is written, and a layer or loss that is not Keras's own
brings its source along.
"""

from __future__ import annotations

import inspect
import json
import math
import random
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np

_NAMESPACES: Final[tuple[tuple[type, str], ...]] = (
    (keras.layers.Layer, "layers"),
    (keras.regularizers.Regularizer, "regularizers"),
    (keras.initializers.Initializer, "initializers"),
    (keras.constraints.Constraint, "constraints"),
    (keras.optimizers.schedules.LearningRateSchedule, "optimizers.schedules"),
    (keras.optimizers.Optimizer, "optimizers"),
    (keras.losses.Loss, "losses"),
)

_DRAWS_PER_LAYER: Final = 10
"""More seeds than any layer draws."""

_NEVER_WRITTEN: Final = frozenset({"name", "dtype", "trainable", "seed"})
"""What Keras makes up itself."""


class NotWritableError(ValueError):
    """A model that can't be written down; the message says what of it."""


@dataclass(frozen=True)
class ModelSource:
    """A model as Python expressions, which need ``import keras`` and nothing else.

    Attributes:
        layers: One expression for each layer, in order, without the input.
        optimizer: The optimizer.
        loss: The loss.
        definitions: Source of the classes and functions that are not Keras's, in the order of their use.
        made: First and last layer (not included) of the runs of layers that were made one after another,
            in the order in which they were made: each layer draws its seed as it is made.
    """

    layers: tuple[str, ...]
    optimizer: str
    loss: str
    definitions: tuple[str, ...] = ()
    made: tuple[tuple[int, int], ...] = ()


def model_source(model: keras.Model, *, seed: int) -> ModelSource:
    """Return what builds and compiles a Sequential model.

    Args:
        model: A built and compiled model.
        seed: What `keras.utils.set_random_seed` got before it was built.

    Raises:
        NotWritableError: The model, or a part of it, has no such form.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])
        >>> model.compile("sgd", "mse")
        >>> model_source(model, seed=0).layers
        ('keras.layers.Dense(2, activation="relu")',)
    """
    if not isinstance(model, keras.Sequential):
        raise NotWritableError(f"{type(model).__name__} is no Sequential model")
    writer = _Writer()
    return ModelSource(
        layers=tuple(writer.written(layer) for layer in model.layers),
        optimizer=writer.written(model.optimizer),
        loss=writer.value(model.loss),
        definitions=tuple(writer.definitions.values()),
        made=made_runs([_drawn(layer) for layer in model.layers], seed),
    )


def made_runs(seeds: Sequence[Collection[int]], seed: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of layers that were made one after another, in the order in which they were made.

    Args:
        seeds: Of each layer the seeds that it drew from Keras.
        seed: Of Keras itself.

    Returns:
        First and last layer (not included) of each run. One run of all where the seeds don't tell.

    Example:
        >>> draws = random.Random(7)
        >>> first, second, third = ([draws.randint(1, 10**9)] for _ in range(3))
        >>> made_runs([third, first, [], second], 7)
        ((1, 4), (0, 1))
    """
    n, draws = len(seeds), random.Random(seed)  # noqa: S311 - the very generator that Keras draws from
    place = {draws.randint(1, 10**9): i for i in range(_DRAWS_PER_LAYER * n)}
    places = [min((place[s] for s in drawn if s in place), default=None) for drawn in seeds]
    # A layer that draws nothing may be made with the one behind it.
    known = [next((p for p in places[i:] if p is not None), math.inf) for i in range(n)]
    starts = [i for i in range(n) if i == 0 or known[i] < known[i - 1]]
    runs = sorted(zip(starts, [*starts[1:], n], strict=True), key=lambda run: known[run[0]])
    in_order = [known[i] for first, last in runs for i in range(first, last)]
    return tuple(runs) if in_order == sorted(in_order) else ((0, n),)


@dataclass
class _Writer:
    definitions: dict[str, str] = field(default_factory=dict)

    def value(self, value: Any) -> str:
        """Return an expression for a setting of a layer, optimizer or loss."""
        if isinstance(value, tuple(kind for kind, _ in _NAMESPACES)):
            return self.written(value)
        if inspect.isfunction(value):
            return self._function(value)
        if isinstance(value, Mapping) or not _is_literal(value):
            raise NotWritableError(f"{value!r} can't be written as Python")
        return json.dumps(value) if isinstance(value, str) else repr(value)

    def written(self, made: Any) -> str:
        """Return a call that makes a Keras object again."""
        kind = type(made)
        namespace = next(name for base, name in _NAMESPACES if isinstance(made, base))
        inside = kind.__module__.startswith("keras.")
        called = f"keras.{namespace}.{kind.__name__}" if inside else self._class(kind)
        asked = inspect.signature(kind.__init__).parameters
        needed = [
            n for n, p in asked.items() if n != "self" and p.default is p.empty and p.kind < p.VAR_POSITIONAL
        ]
        config = made.get_config()
        # Most settings are Keras's defaults: what a bare object of the kind says needn't be written.
        bare = kind(**{name: config[name] for name in needed}).get_config()
        arguments = [self.value(_setting(made, name, config)) for name in needed]
        arguments += [
            f"{name}={self.value(_setting(made, name, config))}"
            for name in config
            if name not in needed and name not in _NEVER_WRITTEN and config[name] != bare.get(name)
        ]
        return f"{called}({', '.join(arguments)})"

    def _class(self, kind: type) -> str:
        # Bases first: a class is written below what it is made of.
        for part in reversed(kind.__mro__):
            if part.__module__.partition(".")[0] not in ("builtins", "keras", "tensorflow", "abc"):
                self._define(part)
        return kind.__name__

    def _function(self, function: Any) -> str:
        if function.__module__.startswith("keras."):
            return f"keras.losses.{function.__name__}"
        self._define(function)
        return str(function.__name__)

    def _define(self, what: Any) -> None:
        try:
            source = textwrap.dedent(inspect.getsource(what))
        except (OSError, TypeError) as error:
            raise NotWritableError(f"{what.__name__} has no source: {error}") from error
        # What only checkers of types read would puzzle a reader, or be one more thing to import.
        plain = re.sub(r"^\s*@override\n|  # type: ignore.*$", "", source, flags=re.MULTILINE)
        self.definitions[what.__qualname__] = plain


def _drawn(layer: keras.layers.Layer) -> list[int]:
    """Return the seeds that a layer drew from Keras as it was made."""
    values = list(vars(layer).values())
    drawn = [v.seed for v in values if isinstance(v, keras.initializers.Initializer) and hasattr(v, "seed")]
    # Of a generator's state the second number counts on in training; the first one is its seed.
    drawn += [int(v.state.numpy()[0]) for v in values if isinstance(v, keras.random.SeedGenerator)]
    return [seed for seed in drawn if isinstance(seed, int)]


def _setting(made: Any, name: str, config: Mapping[str, Any]) -> Any:
    """Return a setting as the object itself has it, where its config only describes it."""
    if name == "learning_rate":
        rate = getattr(made, "_learning_rate", None)
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return rate
        # Optimizers keep it in float32: the shortest number that gives the same bits.
        return float(str(np.float32(config[name])))
    return getattr(made, name) if isinstance(config[name], Mapping) else config[name]


def _is_literal(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_literal(part) for part in value)
    return value is None or isinstance(value, bool | int | float | str)
