"""Nested inputs and targets, as Keras nests them: their parts, rows, columns and classes.

Nothing here loads TensorFlow or pandas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import did_you_mean
from fmnist_sweep.core.wording import shown_list

_MAX_CLASSES: Final = 10_000


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the parts of nested inputs or targets, in Keras's order: those of mappings by their keys.

    Example:
        >>> list(leaves({"b": [1, 2], "a": 3}))
        [3, 1, 2]
    """
    if isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            yield from leaves(tree[key])
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from leaves(part)
    elif tree is not None:
        yield tree


def n_rows(x: Any) -> int:
    """Return the number of rows of inputs or targets; 0 where that is not known before they are read."""
    first = next(leaves(x), None)
    shape = getattr(first, "shape", None)
    return int(shape[0]) if shape is not None and len(shape) else 0


def row_shape(x: Any) -> list[int]:
    """Return the shape of one row of inputs that are one array or data set; empty for any other."""
    parts = list(leaves(x))
    if len(parts) == 1:
        shape = getattr(parts[0], "shape", None)
        if shape is None and hasattr(parts[0], "element_spec"):
            spec = next(leaves(parts[0].element_spec), None)
            shape = getattr(spec, "shape", None)
        if shape is not None and len(shape) and all(n is not None for n in tuple(shape)[1:]):
            return [int(n) for n in tuple(shape)[1:]]
    return []


def class_labels(y: Any) -> npt.NDArray[np.int64] | None:
    """Return class numbers ``(n,)`` where targets are classes, given as numbers or one column a class.

    Returns:
        None where they are anything else: real numbers, several targets, no array at all.

    Example:
        >>> class_labels(np.array([[0, 1], [1, 0]])).tolist()
        [1, 0]
        >>> class_labels(np.array([0.5, 1.0])) is None
        True
    """
    if not (isinstance(y, np.ndarray) or is_table(y) or is_tensor(y)):
        return None
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "iufb":
        one_hot = np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()
        return array.argmax(axis=1).astype(np.int64) if one_hot else None
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iub":
        return None
    numbers = array.astype(np.int64)
    return numbers if numbers.min() >= 0 and numbers.max() < _MAX_CLASSES else None


def is_dataset(value: Any) -> bool:
    """Return whether a value is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(value, "element_spec") and hasattr(value, "save") and hasattr(value, "cardinality")


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of TensorFlow."""
    return type(value).__module__.startswith("tensorflow.") and hasattr(value, "numpy")


def is_table(value: Any) -> bool:
    """Return whether a value is a table or a column of pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "iloc")


def missing_columns(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return a line for each column that is wanted and not there, with the nearest name that is.

    Example:
        >>> missing_columns(["prise", "area"], ["price", "area"])
        ["there is no column 'prise'; did you mean 'price'? (it has 'price', 'area')"]
    """
    return [
        f"there is no column {one!r}{did_you_mean(one, there)} (it has {shown_list(there)})"
        for one in wanted
        if one not in there
    ]
