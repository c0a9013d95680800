"""Models that are handed over as objects: kept as a module, which training processes import like any other.

A class or function of a script, a notebook or a test has no module that another process could import. It is
written, with all that it needs of the user's own, beside the studies; the module names a digest of its
source, by which an edited model is told from the one that a study knows.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
import textwrap
import types
from pathlib import Path
from typing import Any, Final

import cloudpickle
import keras
import keras_tuner as kt

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.files import new_file, write_atomically
from fmnist_sweep.core.jobs import DataRef, Hyperparameters
from fmnist_sweep.core.user_code import is_library, is_ours
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.carried import users_modules_by_value
from fmnist_sweep.data.hold_out import rows
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.models.load import FromFunction, build_model, load_model

_MODULE: Final = '''"""The model of a study, as it was handed over; written by fmnist-sweep."""

import pathlib

import cloudpickle


def _opened(source):
    """Return the model; `source` is a digest of its own code."""
    return cloudpickle.loads(pathlib.Path(__file__).with_suffix(".pkl").read_bytes())


MODEL = _opened("{digest}")
'''


def keep_model(hypermodel: Any, folder: Path, *, name: str) -> str:
    """Write a model where training processes can import it, and return its import path.

    Args:
        hypermodel: A HyperModel, a class of one, or a function ``build(hp)``; from any module, a notebook
            too.
        folder: Where it is written; its modules are looked for there.
        name: Of the study.

    Raises:
        ConfigError: It is none of these, or can't be carried to another process.
    """
    if isinstance(hypermodel, keras.Model):
        told = "a model that is built has nothing to search; give a function build(hp) that returns it"
        raise ConfigError("hypermodel", [told])
    is_class = inspect.isclass(hypermodel) and issubclass(hypermodel, kt.HyperModel)
    if not (isinstance(hypermodel, kt.HyperModel) or is_class or inspect.isroutine(hypermodel)):
        callable_one = callable(hypermodel) and not inspect.isclass(hypermodel)
        if not callable_one:
            told = f"{type(hypermodel).__name__} is no keras_tuner.HyperModel and no function build(hp)"
            raise ConfigError("hypermodel", [told])
    users_modules_by_value()
    try:
        pickled = cloudpickle.dumps(hypermodel)
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        problem = f"it can't be carried to a training process ({told}); make in build what it holds"
        raise ConfigError("hypermodel", [problem]) from error
    module = f"model_of_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_').lower() or 'study'}"
    folder.mkdir(parents=True, exist_ok=True)
    with new_file(folder / f"{module}.pkl") as stream:
        stream.write(pickled)
    write_atomically(folder / f"{module}.py", _MODULE.format(digest=source_digest(hypermodel)))
    return f"{module}:MODEL"


def source_digest(what: Any) -> str:
    """Return a digest of the source of an object and of what it uses of the user's own.

    Comments and layout don't count. What has no source, as in some notebooks, is known by its code.
    """
    seen: dict[int, str] = {}
    _take(what if inspect.isclass(what) or inspect.isroutine(what) else type(what), seen)
    if not (inspect.isclass(what) or inspect.isroutine(what)):
        plain = {n: v for n, v in vars(what).items() if isinstance(v, bool | int | float | str | tuple)}
        seen[id(what)] = repr(sorted(plain.items()))
    return hashlib.sha256("\n".join(sorted(seen.values())).encode()).hexdigest()[:16]


def as_hypermodel(hypermodel: Any, *, data: DataRef | None = None) -> kt.HyperModel:
    """Return a HyperModel, a class of one, a build function or an import path as a HyperModel.

    Args:
        hypermodel: What a tuner was given.
        data: What is trained on, once that is known: of an import path some ask for its shape and classes.

    Raises:
        ConfigError: It is none of these, or can't be imported.
    """
    if isinstance(hypermodel, str):
        shape, names = ((), ()) if data is None else (data.input_shape, data.class_names)
        return load_model(hypermodel, input_shape=shape, n_classes=len(names))
    if inspect.isclass(hypermodel):
        hypermodel = hypermodel()
    return hypermodel if isinstance(hypermodel, kt.HyperModel) else FromFunction(hypermodel)


def build_on(hypermodel: Any, values: Hyperparameters, call: Call) -> keras.Model:
    """Build a model in this process, with a row of the data where it is not built without."""
    model = build_model(as_hypermodel(hypermodel), filled(values))
    if not model.built:
        x = call.x
        if hasattr(x, "element_spec"):
            x, *_ = keras.utils.unpack_x_y_sample_weight(next(iter(x.take(1))))
        elif isinstance(x, keras.utils.PyDataset):
            x, *_ = keras.utils.unpack_x_y_sample_weight(x[0])
        # Not called: of a table with columns of several types only Keras's own methods make a tensor.
        model.predict(rows(x, slice(0, 1)), verbose=0)
    return model


def hyperparameters_of(values: Hyperparameters) -> kt.HyperParameters:
    """Return values as KerasTuner's own class holds them."""
    hp = kt.HyperParameters()
    hp.values = dict(values)
    return hp


def _take(what: Any, seen: dict[int, str]) -> None:
    """Take the source of a class or function, and of what it names of the user's own."""
    if id(what) in seen or not _is_users(what):
        return
    seen[id(what)] = _source(what)
    if inspect.isclass(what):
        for base in what.__bases__:
            _take(base, seen)
        parts = [part for part in vars(what).values() if isinstance(part, types.FunctionType)]
    else:
        parts = [what]
    for part in parts:
        try:
            used = inspect.getclosurevars(part)
        except (TypeError, ValueError):
            continue
        for name, value in {**used.globals, **used.nonlocals}.items():
            if inspect.isclass(value) or inspect.isroutine(value):
                _take(value, seen)
            elif isinstance(value, bool | int | float | str | tuple):
                seen[id(part) ^ hash(name)] = f"{name} = {value!r}"


def _source(what: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(what))
    except (OSError, TypeError):
        code = getattr(what, "__code__", None)
        return repr((code.co_code, code.co_names)) if code is not None else repr(sorted(vars(what)))
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        # A lambda in the middle of a call.
        return " ".join(text.split())


def _is_users(what: Any) -> bool:
    module = getattr(what, "__module__", None) or "__main__"
    if is_ours(module):
        return False
    try:
        return not is_library(Path(inspect.getfile(what)))
    except (OSError, TypeError):
        return module == "__main__" or not hasattr(sys.modules.get(module), "__file__")
