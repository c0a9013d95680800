"""Write a built Keras model down as the Python that builds it again.

The lines are taken from the model itself and not from its hyperparameters, so that whatever a HyperModel adds
is in them: only what differs from Keras's defaults is written, and a layer or loss that is not Keras's own
brings its source along.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Mapping
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
    """

    layers: tuple[str, ...]
    optimizer: str
    loss: str
    definitions: tuple[str, ...] = ()


def model_source(model: keras.Model) -> ModelSource:
    """Return what builds and compiles a Sequential model.

    Raises:
        NotWritableError: The model, or a part of it, has no such form.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])
        >>> model.compile("sgd", "mse")
        >>> model_source(model).layers
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
    )


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
