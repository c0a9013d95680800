"""Classes and functions of a user's own that a saved model names, found where they were defined.

A file of Keras's names what is not Keras's own, and whoever loads it has to bring that along. Keras itself
only knows what was decorated with ``keras.saving.register_keras_serializable``; the rest is looked for in the
model's module and in the modules of its project.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import keras

from fmnist_sweep.core.user_code import is_library
from fmnist_sweep.models.load import is_users

_KERAS: Final = ("keras", "builtins")
_BUILT_IN: Final = (
    keras.activations,
    keras.constraints,
    keras.initializers,
    keras.layers,
    keras.losses,
    keras.metrics,
    keras.regularizers,
)
"""Where Keras looks a bare name up."""


@dataclass(frozen=True)
class Named:
    """A class or function that a saved model names and Keras does not bring.

    Attributes:
        key: Its name in the file, and so in ``custom_objects``.
        name: Its name in its module.
        module: Its module; None where the file does not say, as of functions.
    """

    key: str
    name: str
    module: str | None


@dataclass(frozen=True)
class OwnObjects:
    """What a saved model needs of the user's own.

    Attributes:
        objects: ``custom_objects`` for Keras.
        problems: A line for each that another process could not find.
        has_lambdas: Whether the file holds code, which Keras loads with ``safe_mode=False`` alone.
    """

    objects: Mapping[str, Any]
    problems: tuple[str, ...]
    has_lambdas: bool

    @property
    def places(self) -> dict[str, str]:
        """Where each is defined, ``"module:name"``, by its name in the file."""
        return {key: place_of(found) for key, found in self.objects.items()}


def place_of(own: Any) -> str:
    """Return where a class or function is defined: ``"module:name"``."""
    return f"{own.__module__}:{own.__qualname__}"


def own_objects(file: Path, module: str) -> OwnObjects:
    """Find what a saved model needs.

    Args:
        file: A ``.keras`` file.
        module: Name of the model's module, which is imported.
    """
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    modules = own_modules(module)
    objects, problems = {}, []
    for named in dict.fromkeys(_named_in(config)):
        found = _found(named, modules)
        if found is None and named.module is None and _is_kerass(named.key):
            continue
        if found is None or not _can_be_imported(found):
            problems.append(_unfound(named, module))
        else:
            objects[named.key] = found
    return OwnObjects(objects, tuple(problems), _has_lambda(config))


def tell_apart(module: str) -> None:
    """Register with Keras what a bare name would not tell apart: names of two modules, or of Keras's own.

    Whatever the user registered keeps its name. To be called before a model is saved.
    """
    defined: dict[str, list[Any]] = {}
    for found in own_modules(module):
        for own in _defined_in(found):
            defined.setdefault(own.__name__, []).append(own)
    for name, owns in defined.items():
        for own in owns:
            # Of a class of its own Keras writes the module; of a function the bare name, whosever it is.
            if len(owns) == 1 and not (isinstance(own, FunctionType) and _is_kerass(name)):
                continue
            savable = isinstance(own, FunctionType) or hasattr(own, "get_config")
            if savable and keras.saving.get_registered_name(own) == name:
                where = ".".join([own.__module__, *own.__qualname__.split(".")[:-1]])
                keras.saving.register_keras_serializable(package=where)(own)


def own_modules(module: str) -> list[ModuleType]:
    """Return the imported modules of a model's project: its own, and what these take from one another."""
    top = module.partition(".")[0]
    waiting, seen = [sys.modules[module]], {}
    while waiting:
        found = waiting.pop(0)
        if found.__name__ in seen:
            continue
        seen[found.__name__] = found
        for value in list(vars(found).values()):
            other = value if isinstance(value, ModuleType) else _module_of(value)
            if other is not None and _is_of_project(other, top):
                waiting.append(other)
    return list(seen.values())


def _module_of(value: Any) -> ModuleType | None:
    # Of an instance, such as a HyperModel that stands ready, its class's.
    name = getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _is_of_project(module: ModuleType, top: str) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not is_users(file):
        return False
    return module.__name__.partition(".")[0] == top or not is_library(Path(file))


def _defined_in(module: ModuleType) -> Iterator[Any]:
    """Yield the classes and functions that a module defines at its top, and the classes inside classes."""
    waiting = list(dict.fromkeys(v for v in vars(module).values() if isinstance(v, type | FunctionType)))
    while waiting:
        own = waiting.pop(0)
        if own.__module__ != module.__name__ or not _can_be_imported(own):
            continue
        yield own
        if isinstance(own, type):
            inside = [value for value in vars(own).values() if isinstance(value, type)]
            waiting += [value for value in inside if value.__qualname__.startswith(f"{own.__qualname__}.")]


def _can_be_imported(own: Any) -> bool:
    """Return whether a class or function is found again by its module and name."""
    found: Any = sys.modules.get(own.__module__)
    for part in own.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is own


def _named_in(config: Any) -> Iterator[Named]:
    """Yield what a saved configuration names and Keras does not bring."""
    if isinstance(config, list):
        for part in config:
            yield from _named_in(part)
    if not isinstance(config, dict):
        return
    kind, module, key = config.get("class_name"), config.get("module"), config.get("registered_name")
    if kind == "function" and isinstance(config.get("config"), str):
        if str(module).partition(".")[0] != "keras":
            key = config["config"]
            yield Named(key, key.rpartition(">")[2], None if module in _KERAS else module)
    elif isinstance(module, str) and isinstance(kind, str) and module.partition(".")[0] not in _KERAS:
        yield Named(key or kind, kind, module)
    for part in config.values():
        yield from _named_in(part)


def _found(named: Named, modules: list[ModuleType]) -> Any:
    registered = keras.saving.get_registered_object(named.key)
    if registered is not None:
        return registered
    there = modules
    if named.module is not None:
        try:
            there = [importlib.import_module(named.module)]
        except ImportError:
            return None
    for module in there:
        for own in _defined_in(module):
            if own.__name__ == named.name:
                return own
    # A function of a library that the module took over under its name.
    taken = [vars(module).get(named.name) for module in modules if named.module is None]
    return next((own for own in taken if inspect.isfunction(own)), None)


def _is_kerass(name: str) -> bool:
    return any(hasattr(module, name) for module in _BUILT_IN)


def _unfound(named: Named, module: str) -> str:
    where = named.module or module
    kind = "function" if named.module is None else "class"
    return (
        f"the {kind} {named.name!r} is not found in module {where}, as where a function defines it: "
        "define it at the top of the module, or a saved model can be loaded nowhere else"
    )


def _has_lambda(config: Any) -> bool:
    if isinstance(config, list):
        return any(map(_has_lambda, config))
    if not isinstance(config, dict):
        return False
    return config.get("class_name") == "__lambda__" or any(map(_has_lambda, config.values()))
