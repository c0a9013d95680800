"""HyperModels by import path, and what is said when a user's own code fails."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import keras
import keras_tuner as kt
from typing_extensions import override

import fmnist_sweep
from fmnist_sweep.core.errors import ConfigError, TrialError
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.user_code import (
    code_folders,
    import_users,
    instead,
    is_library,
    no_module,
    shadow_problem,
)
from fmnist_sweep.data.arguments import text_advice

# What a HyperModel may call the number of classes; KerasTuner's own applications say "classes".
_N_CLASSES_NAMES: Final = ("n_classes", "num_classes", "classes")

_LEGACY: Final = "tf_keras"
_LEGACY_SWITCH: Final = "TF_USE_LEGACY_KERAS"
"""Where it is set, ``tensorflow.keras`` is the legacy Keras; many set it for another library."""


def load_model(
    path: str, *, input_shape: tuple[int, ...], n_classes: int, folders: Sequence[Path] = ()
) -> kt.HyperModel:
    """Import a HyperModel. This runs the user's code.

    The path names a HyperModel class, an instance, or a function that takes a `HyperParameters` and returns a
    model, as KerasTuner accepts them.

    Args:
        path: ``"package.module:Name"``.
        input_shape: Shape of one image; given to the class or function if it takes an ``input_shape``.
        n_classes: Number of classes; given likewise as ``n_classes``, ``num_classes`` or ``classes``.
        folders: Where modules of the user's are looked for; without any, in the current folder.

    Raises:
        ConfigError: What the path names is not there, is no HyperModel, or fails as it is imported or made.
    """
    module_name, _, attribute = path.partition(":")
    if not attribute:
        raise ConfigError(path, [f'{path!r} is no import path; write "package.module:HyperModelClass"'])
    folders = folders or code_folders()
    found: Any = _import(path, module_name, folders)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(path, [_missing_name(found, part, module_name)])
        found = getattr(found, part)
    if isinstance(found, kt.HyperModel):
        return found
    is_class = inspect.isclass(found)
    if not callable(found) or (is_class and not issubclass(found, kt.HyperModel)):
        what = f"the class {attribute}" if is_class else f"{attribute}, of type {type(found).__name__},"
        needed = "a keras_tuner.HyperModel class or instance, or a function build(hp)"
        raise ConfigError(path, [f"{what} is no HyperModel; give {needed}"])
    given = _accepted(found, input_shape=input_shape, n_classes=n_classes)
    if not is_class:
        return FromFunction(functools.partial(found, **given))
    try:
        return found(**given)
    except BaseException as error:
        raise ConfigError(path, [f"{attribute} can't be made: {describe(error)}"]) from error


def build_model(hypermodel: kt.HyperModel, hp: kt.HyperParameters) -> keras.Model:
    """Let a HyperModel build; ``hp`` keeps what was declared even where the build fails.

    Raises:
        ConfigError: ``build`` returned no Keras model. What the user's code raises comes through.
    """
    pid = os.getpid()
    try:
        # The older of KerasTuner's two ways to declare a space.
        hypermodel.declare_hyperparameters(hp)
        model = hypermodel.build(hp)
    finally:
        if os.getpid() != pid:
            # A copy that `build` made with `os.fork`, and let go on: it would build again, and so make copies
            # of copies until the machine can do no more.
            os._exit(0)
    if not isinstance(model, keras.Model):
        raise ConfigError("build", [f"it returned {_returned(model)}"])
    return model


def _returned(what: object) -> str:
    """Return what is said of something that a build returned and that is no model of Keras."""
    kind = type(what)
    if what is None:
        return "NoneType; end it with 'return model'"
    # Any class above it: a user's own model may come from a legacy one.
    if any(base.__module__.partition(".")[0] == _LEGACY for base in kind.__mro__):
        return (
            f"a {kind.__name__} of {_LEGACY}, the legacy Keras, and models of Keras {keras.__version__} are "
            f"needed: {_legacy_mend()}"
        )
    return f"{kind.__module__}.{kind.__qualname__}, which is no keras.Model; return the compiled model"


def _legacy_mend() -> str:
    mend = f"import keras, and neither {_LEGACY} nor what is built on it"
    return f"unset {_LEGACY_SWITCH}, or {mend}" if os.environ.get(_LEGACY_SWITCH) else mend


def describe(error: BaseException) -> str:
    """Return an exception in one line: its type, its text and the line of the user's code that it came from.

    Example:
        >>> describe(ValueError("no such layer"))
        'ValueError: no such layer'
    """
    if isinstance(error, TrialError):
        return str(error)
    text = "; ".join(error.problems) if isinstance(error, ConfigError) else one_line(error)
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{text} ({error.filename}:{error.lineno})"
    text += text_advice(text)
    if not isinstance(error, ConfigError) and _is_of_legacy(text):
        text = f"{text}; {_LEGACY} is the legacy Keras, which does not go with Keras 3: {_legacy_mend()}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if is_users(frame.filename) and not is_library(Path(frame.filename))
    ]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _is_of_legacy(text: str) -> bool:
    # What TensorFlow says where the switch is set and the package is not there.
    missing = "Keras cannot be imported" in text and bool(os.environ.get(_LEGACY_SWITCH))
    return missing or _LEGACY in text


class FromFunction(kt.HyperModel):  # type: ignore[misc]  # KerasTuner carries no types
    """A HyperModel around a build function."""

    def __init__(self, function: Callable[[kt.HyperParameters], keras.Model]) -> None:
        super().__init__()
        self._function = function

    @override
    def build(self, hp: kt.HyperParameters) -> keras.Model:
        return self._function(hp)


def _import(path: str, module_name: str, folders: Sequence[Path]) -> ModuleType:
    shadow = shadow_problem(path, folders)
    if shadow is not None:
        raise ConfigError(path, [shadow])
    try:
        return import_users(module_name, folders)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(path, [_missing_module(error.name, folders)]) from error
        raise ConfigError(path, [f"importing {module_name} failed: {describe(error)}"]) from error
    except BaseException as error:
        # A script that reads its command line without a __main__ guard leaves when it is imported.
        raise ConfigError(path, [f"importing {module_name} failed: {describe(error)}"]) from error


def _missing_module(name: str, folders: Sequence[Path]) -> str:
    package, _, last = name.rpartition(".")
    if not package:
        return no_module(name, folders)
    parent = importlib.import_module(package)
    there = [module.name for module in pkgutil.iter_modules(list(getattr(parent, "__path__", ())))]
    return f"no module {last!r} in {package}{instead(last, there)}"


def _missing_name(found: Any, name: str, module_name: str) -> str:
    if isinstance(found, ModuleType):
        there = [
            other
            for other, value in vars(found).items()
            if not other.startswith("_")
            and (isinstance(value, kt.HyperModel) or getattr(value, "__module__", None) == module_name)
        ]
        where = f"module {module_name} ({found.__file__})"
    else:
        there, where = [other for other in dir(found) if not other.startswith("_")], found.__name__
    return f"no {name!r} in {where}{instead(name, there)}"


def _accepted(found: Callable[..., Any], *, input_shape: tuple[int, ...], n_classes: int) -> dict[str, Any]:
    names = inspect.signature(found).parameters
    given = {name: n_classes for name in _N_CLASSES_NAMES if name in names}
    return {**given, "input_shape": input_shape} if "input_shape" in names else given


def is_users(filename: str) -> bool:
    """Return whether a file holds code that is neither ours nor that of Keras and what it stands on."""
    libraries = (fmnist_sweep, keras, kt, importlib)
    folders = [Path(str(library.__file__)).parent for library in libraries]
    inside = any(Path(filename).is_relative_to(folder) for folder in folders)
    return not inside and not filename.startswith("<") and "tensorflow" not in Path(filename).parts
