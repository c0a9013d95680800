"""Call a user's function and save its arrays, as a program that `fmnist_sweep.core.programs` runs.

Arguments: the import path, the ``.npz`` file to write for images, the file that gets the digest of anything
else that ``fit`` takes, the file that gets the message if that fails, what the settings say of the data as
JSON, and the folders that modules of the user's are looked for in.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.user_code import code_folders, import_users, in_words, shadow_problem
from fmnist_sweep.data.calls import Call, keep_call, with_groups
from fmnist_sweep.data.checks import KEYS, are_images
from fmnist_sweep.data.groups import GROUPS
from fmnist_sweep.data.reading import Reading
from fmnist_sweep.data.trees import is_dataset, leaves

_FORMS = "(x_train, y_train), (x_train, y_train, x_test, y_test) or ((x_train, y_train), (x_test, y_test))"

_TEST = ("x_test", "y_test")

_FIT_TAKES = (
    "x",
    "y",
    "validation_data",
    "validation_split",
    "sample_weight",
    "class_weight",
    "batch_size",
    "steps_per_epoch",
    "validation_steps",
    "shuffle",
)


class _CallError(Exception):
    """The function gave no arrays; the message says why."""


def main(arguments: Sequence[str]) -> int:
    """Write either the arrays or the problem, and return the exit code."""
    import_path, arrays_file, kept_file, problem_file, settings, *folders = arguments
    reading = Reading(**json.loads(settings))
    pid = os.getpid()
    try:
        returned = _call(_find(import_path, [Path(folder) for folder in folders]))
        call = as_call(returned)
        arrays = _named(returned) if call is None else {}
        if os.getpid() != pid:
            # A copy that the function made with `os.fork`, and let go on: one of them writes.
            os._exit(0)
    except _CallError as error:
        Path(problem_file).write_text(str(error), encoding="utf-8")
        return 0
    if call is not None:
        try:
            call = with_groups(call, reading.groups, where=import_path)
            kept = keep_call(call, name=import_path, scale=reading.scale).digest
        except DataError as error:
            Path(problem_file).write_text("; ".join(error.problems), encoding="utf-8")
        else:
            Path(kept_file).write_text(kept, encoding="utf-8")
    else:
        np.savez(arrays_file, allow_pickle=False, **arrays)
    return 0


def _find(import_path: str, folders: Sequence[Path]) -> Callable[[], object]:
    module_name, _, attributes = import_path.partition(":")
    folders = folders or code_folders()
    shadow = shadow_problem(import_path, folders)
    if shadow is not None:
        raise _CallError(shadow)
    try:
        found: Any = import_users(module_name, folders)
    except BaseException as error:
        raise _CallError(
            f"the module {module_name!r} can't be imported from {in_words(folders)}: {_told(error)}"
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            public = [name for name, value in vars(found).items() if callable(value) and name[0] != "_"]
            raise _CallError(
                f"{module_name!r} has no {attributes!r}; it has {', '.join(public) or 'no functions'}"
            )
        found = getattr(found, attribute)
    if not callable(found):
        raise _CallError(f"{attributes!r} is no function but {type(found).__name__}")
    function: Callable[[], object] = found
    return function


def _call(function: Callable[[], object]) -> object:
    try:
        return function()
    except BaseException as error:
        raise _CallError(f"the function raised {_told(error)}") from error


def as_call(returned: object) -> Call | None:
    """Return what a function gave as the arguments of a ``fit``; None for images, and for what is no data."""
    if isinstance(returned, Mapping):
        known = {name: value for name, value in returned.items() if name in _FIT_TAKES}
        tested = tuple(returned[name] for name in _TEST if name in returned)
        of_groups = returned.get(GROUPS)
        n_known = len(known) + len(tested) + (GROUPS in returned)
        if "x" not in known or n_known != len(returned):
            return None
        return Call((), known, tested or None, of_groups)
    if _is_batched(returned):
        return Call((returned,))
    parts = list(returned) if isinstance(returned, tuple | list) else []
    if parts and all(map(_is_batched, parts)) and len(parts) <= 3:
        validation = {"validation_data": parts[1]} if len(parts) > 1 else {}
        return Call((parts[0],), validation, (parts[2],) if len(parts) == 3 else None)
    if len(parts) == 2 and all(isinstance(part, tuple | list) and len(part) == 2 for part in parts):
        # The second pair is what Keras's own data sets call the test part: no training sees it.
        parts = [*parts[0], *parts[1]]
    if len(parts) not in (2, 3, 4):
        return None
    x, y = parts[:2]
    try:
        images = are_images({"x_train": np.asarray(x), "y_train": np.asarray(y)})
    except Exception:  # noqa: BLE001 - nested or ragged: no images
        images = False
    if images or not (_has_length(x) and _has_length(y)):
        return None
    test = tuple(parts[2:]) if len(parts) == 4 else None
    return Call((x, y), {"sample_weight": parts[2]} if len(parts) == 3 else {}, test)


def _is_batched(value: object) -> bool:
    """Return whether a value is a `tf.data.Dataset` or a `keras.utils.PyDataset`; neither is imported."""
    return is_dataset(value) or any(base.__name__ == "PyDataset" for base in type(value).__mro__)


def _has_length(tree: object) -> bool:
    return all(hasattr(leaf, "__len__") and not isinstance(leaf, str) for leaf in leaves(tree))


def _named(returned: object) -> dict[str, np.ndarray[Any, Any]]:
    parts = list(returned) if isinstance(returned, (tuple, list)) else []
    if len(parts) == 2 and all(isinstance(part, (tuple, list)) and len(part) == 2 for part in parts):
        parts = [*parts[0], *parts[1]]
    if len(parts) not in (2, 4):
        length = f" of length {len(parts)}" if parts else ""
        raise _CallError(f"the function returned {type(returned).__name__}{length}; it must return {_FORMS}")
    arrays = {}
    for key, part in zip(KEYS, parts, strict=False):
        try:
            array = np.asarray(part)
        except Exception as error:
            raise _CallError(f"{key}: {type(part).__name__} is no array: {_told(error)}") from error
        if array.dtype.hasobject:
            raise _CallError(f"{key}: is an array of Python objects; return numbers")
        arrays[key] = array
    return arrays


def _told(error: BaseException) -> str:
    """Return an exception in one line, with the line of code that raised it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    lines = str(error).splitlines() or [""]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {lines[0]}{where}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
