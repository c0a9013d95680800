"""Save a model and load it again; why that fails, and what would mend it."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import keras
import numpy as np

from fmnist_sweep.core.foreign import shortened
from fmnist_sweep.models.load import describe
from fmnist_sweep.models.own_objects import OwnObjects, own_objects, tell_apart

TOLERANCE: Final = 1e-4
"""How far an output of the loaded model may be from that of the saved one."""

_MEND: Final = (
    "give it a get_config that returns every argument of its __init__, and let that take **kwargs for "
    "super().__init__"
)
_MEND_ANY: Final = (
    "whatever is of a class of your own needs a get_config that returns every argument of its __init__"
)
_SOME: Final = 200
_AT_TOP: Final = "at the top of the module"
_LIBRARIES: Final = ("keras", "tensorflow", "numpy", "builtins", "fmnist_sweep")
_PLAIN: Final = (bool, int, float, str, tuple, list, type(None))


class SavingError(Exception):
    """A model can't be saved, or what is loaded is another one; the text tells the part and the remedy."""


def save(model: keras.Model, file: Path, module: str) -> OwnObjects:
    """Save a model, and return what it needs of the user's own where it is loaded.

    Args:
        model: It is saved as it is to be used: without what it was compiled with.
        file: Where to; it has to end in ``.keras``.
        module: Name of the module that the model comes from.

    Raises:
        SavingError: It can't be saved, or nobody else could load it.
    """
    tell_apart(module)
    try:
        with _uncompiled(model):
            model.save(file)
    except Exception as error:
        raise SavingError(_why_not_saved(model, error)) from error
    own = own_objects(file, module)
    if own.problems:
        raise SavingError("; ".join(own.problems))
    return own


def load(file: Path, module: str | None) -> keras.Model:
    """Load a model that `save` saved, with what it needs of the user's own.

    Args:
        file: The ``.keras`` file.
        module: Name of the module that the model comes from, which was imported; None for a model of ours.
    """
    if module is None:
        return keras.models.load_model(file, compile=False)
    tell_apart(module)
    own = own_objects(file, module)
    # What the user's code saved a moment ago may hold their functions, which a stranger's file may not.
    return keras.models.load_model(file, custom_objects=dict(own.objects), compile=False, safe_mode=False)


def require_savable(model: keras.Model, images: Any, module: str) -> OwnObjects:
    """Save a model, load it and compare the two.

    Args:
        model: A model as it is to be used; see `inference_model`. It was built.
        images: A few inputs that it takes, nested as it takes them.
        module: Name of the module that it comes from.

    Returns:
        What it needs of the user's own where it is loaded.

    Raises:
        SavingError: It can't be saved or loaded, or the loaded one is another model.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        own = save(model, file, module)
        try:
            loaded = load(file, module)
            given = loaded(images, training=False)
        except Exception as error:
            raise SavingError(_why_not_loaded(model, own, error)) from error
    wanted = model(images, training=False)
    shapes, others = ([tuple(w.shape) for w in m.weights] for m in (model, loaded))
    if shapes != others:
        what = f"the model that is loaded has weights of the shapes {others}, and the saved one {shapes}"
        raise SavingError(f"{what}: {_lost(model, loaded)}")
    if apart(given, wanted) > TOLERANCE:
        raise SavingError(f"the model that is loaded predicts something else: {_lost(model, loaded)}")
    return own


def apart(one: Any, other: Any) -> float:
    """Return how far outputs are from others at most, as a share of those beyond 1.

    Args:
        one: Arrays or tensors, nested as a model gives them.
        other: Likewise.

    Returns:
        Infinite where they are nested otherwise, or have other shapes.
    """
    first, second = ([np.asarray(leaf) for leaf in keras.tree.flatten(tree)] for tree in (one, other))
    if [a.shape for a in first] != [b.shape for b in second]:
        return float("inf")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.dtype.kind == "f" and a.size]
    return max((float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)))) for a, b in pairs), default=0.0)


@contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    """Leave out loss, metrics and optimizer: where the model is loaded nobody has to know them."""
    compiled = model.compiled
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = compiled


def own_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model's layers of classes of the user's own, inner ones first, the model last."""
    return [layer for layer in _layers(model) if _is_own(layer)]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    inside = [layer for layer in model._flatten_layers() if layer is not model]  # noqa: SLF001 - no other door
    return [*reversed(inside), model]


def _is_own(part: object) -> bool:
    return type(part).__module__.partition(".")[0] not in _LIBRARIES


def _why_not_saved(model: keras.Model, error: Exception) -> str:
    lambdas = _of_lambdas(model)
    for layer in _layers(model):
        for part in _parts(layer):
            problem = _unsavable(part)
            if problem is not None:
                return problem
        if not _is_own(layer):
            continue
        name = type(layer).__name__
        try:
            config = layer.get_config()
        except Exception as own_error:  # noqa: BLE001 - the user's code may raise anything
            return f"the class {name} can't be saved: {_short(own_error)}; {_MEND}"
        unknown = [key for key, value in config.items() if not _is_plain(value)]
        if unknown:
            what = f"its get_config returns {', '.join(unknown)} in a form that Keras can't write"
            return f"the class {name} can't be saved: {what}; return numbers, texts, or Keras's own objects"
    return lambdas or f"{_short(error)}; {_MEND_ANY}"


def _parts(layer: keras.layers.Layer) -> list[Any]:
    """Return what a layer was given that is neither Keras's nor a layer, such as regularizers."""
    values = [v for v in vars(layer).values() if callable(v) and not isinstance(v, type | keras.layers.Layer)]
    return [v for v in values if _is_own(v) and not isinstance(v, FunctionType)]


def _unsavable(part: Any) -> str | None:
    """Return why something that a layer was given can't be saved; None where it can."""
    if isinstance(part, functools.partial):
        of = getattr(part.func, "__name__", "a function")
        return f"a functools.partial of {of} can't be saved: write it with def, as a function {_AT_TOP}"
    name = type(part).__name__
    if not hasattr(part, "get_config"):
        return f"the class {name} can't be saved: it has no get_config; {_MEND}"
    try:
        keras.saving.serialize_keras_object(part)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        return f"the class {name} can't be saved: {_short(error)}; {_MEND}"
    return None


def _of_lambdas(model: keras.Model) -> str | None:
    """Return what is said where layers were given lambdas; None where none was."""
    layers = [
        type(layer).__name__
        for layer in _layers(model)
        for value in vars(layer).values()
        if isinstance(value, FunctionType) and value.__name__ == "<lambda>"
    ]
    if not layers:
        return None
    names = ", ".join(dict.fromkeys(layers))
    return f"the lambda of {names} can't be saved and loaded: write it with def, as a function {_AT_TOP}"


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(keras.saving.serialize_keras_object(value))
    except Exception:  # noqa: BLE001 - whatever it is, it can't be saved
        return False
    return True


def _why_not_loaded(model: keras.Model, own: OwnObjects, error: Exception) -> str:
    for layer in own_layers(model):
        kind = type(layer)
        try:
            with keras.saving.custom_object_scope(dict(own.objects)):
                kind.from_config(layer.get_config())
        except Exception as own_error:  # noqa: BLE001 - the user's code may raise anything
            return (
                f"the class {kind.__name__} can't be made from its get_config: {_short(own_error)}; {_MEND}"
            )
    lambdas = _of_lambdas(model)
    if lambdas is not None:
        return f"{lambdas} ({shortened(_short(error), _SOME)})"
    names = ", ".join(dict.fromkeys(type(layer).__name__ for layer in own_layers(model))) or "its layers"
    return f"it can't be loaded: {_short(error)}; look at get_config, build and from_config of {names}"


def _lost(model: keras.Model, loaded: keras.Model) -> str:
    """Return which layer came back with another setting, as far as that can be seen."""
    for before, after in zip(own_layers(model), own_layers(loaded), strict=False):
        if type(before) is not type(after):
            break
        kind = type(before).__name__
        for name, value in vars(before).items():
            other = vars(after).get(name)
            plain = isinstance(value, _PLAIN) and isinstance(other, _PLAIN)
            if plain and value != other and not name.startswith("_") and name not in ("name", "built"):
                back = f"{name} of {kind} was {value!r} and comes back as {other!r}"
                return f"{back}; let get_config of {kind} return it"
    names = list(dict.fromkeys(type(layer).__name__ for layer in own_layers(model))) or ["its layers"]
    return f"look at get_config, build and call of {', '.join(names)}"


def _short(error: Exception) -> str:
    text = str(error)
    if isinstance(error, NotImplementedError) and "get_config" in text:
        return "it has no get_config of its own"
    # Keras repeats the whole configuration before it comes to the cause.
    _, found, cause = text.rpartition("Exception encountered: ")
    return (
        describe(type(error)(cause)) if found and type(error) in (TypeError, ValueError) else describe(error)
    )
