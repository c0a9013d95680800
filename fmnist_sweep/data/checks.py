"""What a user's own arrays must be, and the form that they are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

KEYS: Final = ("x_train", "y_train", "x_test", "y_test")

_N_SHOWN: Final = 5


def array_problems(arrays: Mapping[str, Array]) -> list[str]:
    """Return everything that is wrong with a user's arrays, one line each; empty if all is right.

    Images: ``(n, height, width)`` or ``(n, height, width, channels)``, uint8 (scaled by 255 when they are
    loaded) or finite floats (taken as they are). Labels: one integer for each image, ``0 .. n_classes - 1``
    with at least two classes, each of them in the training labels.

    Args:
        arrays: Any of ``x_train``, ``y_train``, ``x_test``, ``y_test``; what is missing is not looked at.
    """
    problems: list[str] = []
    for part in ("train", "test"):
        x, y = arrays.get(f"x_{part}"), arrays.get(f"y_{part}")
        if x is not None:
            problems += [f"x_{part}: {problem}" for problem in _image_problems(x)]
        if y is not None:
            problems += [f"y_{part}: {problem}" for problem in _label_problems(y)]
        if x is not None and y is not None and x.shape[:1] != y.shape[:1]:
            problems.append(
                f"y_{part}: there are {_length(y)} labels for {_length(x)} images; give one for each"
            )
    problems += _class_problems(arrays) + _pair_problems(arrays)
    return problems


def are_images(arrays: Mapping[str, Array]) -> bool:
    """Return whether arrays look like images with class numbers, sound or not.

    Args:
        arrays: As for `array_problems`; an array of another rank or kind than those of images makes it False.
    """
    x, y = arrays.get("x_train"), arrays.get("y_train")
    if x is None or y is None:
        return True
    numbers = y.dtype.kind in "iu" and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1))
    pixels = x.dtype == np.uint8 or x.dtype.kind == "f" or x.ndim == 4
    return x.ndim in (3, 4) and pixels and numbers


def canonical(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays that passed `array_problems` in the form that is kept.

    Returns:
        Contiguous arrays in the order of `KEYS`: images ``(n, height, width, channels)``, uint8 or
        float32; labels ``(n,)``, int32.
    """
    kept: dict[str, Array] = {}
    for key in KEYS:
        if key not in arrays:
            continue
        array = arrays[key]
        if key.startswith("x"):
            dtype = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float32)
            shape = array.shape if array.ndim == 4 else (*array.shape, 1)
        else:
            dtype, shape = np.dtype(np.int32), array.shape[:1]
        kept[key] = np.ascontiguousarray(array, dtype=dtype).reshape(shape)
    return kept


def _image_problems(x: Array) -> list[str]:
    if x.ndim not in (3, 4):
        return [f"has shape {x.shape}; reshape to (n, height, width) or (n, height, width, channels)"]
    if x.size == 0:
        return [f"has shape {x.shape}, which holds no image"]
    if x.dtype == np.uint8:
        return []
    if x.dtype.kind != "f":
        return [
            f"has dtype {x.dtype}; convert to uint8 (scaled from 0..255 to 0..1) or floats (kept as they are)"
        ]
    # What float32 can't hold becomes infinite there.
    with np.errstate(over="ignore"):
        finite = np.isfinite(x.astype(np.float32, copy=False))
    if finite.all():
        return []
    bad = np.flatnonzero(~finite.reshape(len(x), -1).all(axis=1))
    return [f"holds NaN, infinite or too large values in {_count(len(bad), 'image')} (index {_some(bad)})"]


def _label_problems(y: Array) -> list[str]:
    if y.ndim == 2 and y.shape[1] > 1:
        return [f"has shape {y.shape}; give class numbers, not one column per class: y.argmax(axis=1)"]
    # Keras's CIFAR labels are a single column.
    if y.ndim != 1 and not (y.ndim == 2 and y.shape[1] == 1):
        return [f"has shape {y.shape}; labels are (n,), one for each image"]
    if y.dtype.kind not in "iu":
        return [f"has dtype {y.dtype}; labels are integers 0 .. n_classes - 1: convert with .astype"]
    bad = np.flatnonzero(y < 0)
    if len(bad):
        return [f"{_count(len(bad), 'label')} below 0 (index {_some(bad)}); classes are numbered from 0"]
    return []


def _class_problems(arrays: Mapping[str, Array]) -> list[str]:
    y = arrays.get("y_train")
    if y is None or _label_problems(y):
        return []
    problems = []
    classes = np.unique(y)
    if len(classes) < 2:
        problems.append(f"y_train: holds {_count(len(classes), 'class', 'classes')}; at least 2 are needed")
    elif classes[-1] != len(classes) - 1:
        first_gap = int(np.flatnonzero(classes != np.arange(len(classes)))[0])
        problems.append(
            f"y_train: holds {len(classes)} classes numbered up to {classes[-1]}, but none numbered"
            f" {first_gap}; number them 0 .. {len(classes) - 1} without gaps"
        )
    y_test = arrays.get("y_test")
    if y_test is not None and not _label_problems(y_test):
        unknown = np.setdiff1d(y_test, classes)
        if len(unknown):
            problems.append(
                f"y_test: holds classes that y_train does not have ({_some(unknown)}); remove these images"
            )
    return problems


def _pair_problems(arrays: Mapping[str, Array]) -> list[str]:
    x, x_test = arrays.get("x_train"), arrays.get("x_test")
    if x is None or x_test is None:
        return []
    problems = []
    if x.shape[1:] != x_test.shape[1:]:
        problems.append(
            f"x_test: has images of shape {x_test.shape[1:]}, x_train of {x.shape[1:]}; make them the same"
        )
    if (x.dtype == np.uint8) != (x_test.dtype == np.uint8):
        problems.append(
            f"x_test: has dtype {x_test.dtype}, but x_train {x.dtype}; uint8 is scaled by 255 and floats are"
            " not, so make them the same"
        )
    return problems


def _length(array: Array) -> int:
    return array.shape[0] if array.ndim else 0


def _count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def _some(numbers: Array) -> str:
    shown = ", ".join(str(number) for number in numbers[:_N_SHOWN])
    return shown + (", ..." if len(numbers) > _N_SHOWN else "")
