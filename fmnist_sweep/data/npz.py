"""Read the arrays of a stranger's ``.npz`` file: nothing in it is run, or believed before it is checked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data.calls import Call, call_problems, problems_of_test
from fmnist_sweep.data.checks import KEYS, are_images, array_problems
from fmnist_sweep.data.groups import GROUPS, HOW
from fmnist_sweep.data.reading import AS_IT_IS, Reading

Array: TypeAlias = npt.NDArray[Any]

VALIDATION: Final = ("x_val", "y_val")
"""Names of what validates, where the file says it."""

_ENDING: Final = ".npy"
_AGAIN: Final = "make the file again"
_MAKE: Final = "numpy.savez(path, x_train=..., y_train=...) makes one"
_N_SHOWN: Final = 20


class _UnusableError(Exception):
    """An array can't be had; the message says why and how to mend it."""


def read_npz(path: Path, *, where: str | None = None, reading: Reading = AS_IT_IS) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` file that a data set is made of, all checked.

    Args:
        path: The file.
        where: What the message calls it; the path if None.
        reading: What the settings say of it: where they ask for groups, these are returned as ``groups``.

    Raises:
        DataError: The file can't be read, or its arrays are not what they should be; all problems at once.
    """
    where = str(path) if where is None else where
    arrays: dict[str, Array] = {}
    groups = reading.array_of_groups
    try:
        _require_zip(path)
        with zipfile.ZipFile(path) as stored:
            members = _members(stored)
            problems = _missing(members, groups)
            for key in (*KEYS, *VALIDATION, *([] if groups is None else [GROUPS])):
                name = groups if key == GROUPS and groups is not None else key
                if name in members:
                    try:
                        arrays[key] = _array(stored, members[name])
                    except _UnusableError as error:
                        problems.append(f"{key}: {error}")
    except _UnusableError as error:
        raise DataError(where, [str(error)]) from error
    except Exception as error:
        # A damaged list of members makes zipfile raise whatever it stumbles over.
        raise DataError(where, [f"can't be read: {_told(error)}; {_AGAIN}"]) from error
    problems += _array_problems(arrays, reading)
    if problems:
        raise DataError(where, problems)
    return arrays


def _array_problems(arrays: Mapping[str, Array], reading: Reading) -> list[str]:
    problems: list[str] = []
    if are_images(arrays):
        problems += array_problems(arrays)
    else:
        call = call_of(arrays)
        problems += [*call_problems(call), *problems_of_test(call)]
    if not are_images(arrays) or reading.kind == "given":
        if len({*VALIDATION} & set(arrays)) == 1:
            problems.append("x_val and y_val belong together; the file holds one of them")
        elif "x_val" in arrays:
            problems += call_problems(Call((arrays["x_val"], arrays["y_val"])), names=VALIDATION)
    return problems


def call_of(arrays: Mapping[str, Array]) -> Call:
    """Return arrays by their names in a file as the arguments of a ``fit``."""
    validation = {}
    if {*VALIDATION} <= arrays.keys():
        validation = {"validation_data": (arrays["x_val"], arrays["y_val"])}
    tested = {"x_test", "y_test"} <= arrays.keys()
    test = (arrays["x_test"], arrays["y_test"]) if tested else None
    return Call((arrays["x_train"], arrays["y_train"]), validation, test, arrays.get(GROUPS))


def _require_zip(path: Path) -> None:
    if path.is_dir():
        raise _UnusableError("is a folder; give an .npz file with x_train and y_train")
    if not path.exists():
        raise _UnusableError("does not exist; give an .npz file with x_train and y_train")
    if not path.is_file():
        raise _UnusableError("is no regular file; give an .npz file with x_train and y_train")
    with path.open("rb") as stream:
        begin = stream.read(8)
    if not begin:
        raise _UnusableError(f"is empty; {_MAKE}")
    if begin.startswith(np.lib.format.MAGIC_PREFIX):
        raise _UnusableError(f"is no .npz file but a single array (.npy); {_MAKE}")
    if not zipfile.is_zipfile(path):
        # The list of members stands at the end.
        found = "is cut off: its end is missing" if begin.startswith(b"PK\x03\x04") else "is no .npz file"
        raise _UnusableError(f"{found}; {_MAKE}")


def _members(stored: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the names that NumPy gives them."""
    return {info.filename.removesuffix(_ENDING): info for info in stored.infolist()}


def _missing(members: dict[str, zipfile.ZipInfo], groups: str | None) -> list[str]:
    keys = list(members)
    needed = {"x_train", "y_train"}
    if {"x_test", "y_test"} & set(keys):
        needed |= {"x_test", "y_test"}
    more = f" and {len(keys) - _N_SHOWN:,} more" if len(keys) > _N_SHOWN else ""
    there = ", ".join(key[:100] for key in keys[:_N_SHOWN]) + more if keys else "nothing"
    missing = [f"{key}: is missing; the file holds {there}" for key in KEYS if key in needed - set(keys)]
    if groups is not None and groups not in members:
        missing.append(f"split.groups: there is no array {groups!r}; the file holds {there}; {HOW}")
    return missing


def _array(stored: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """Return one array.

    Raises:
        _UnusableError: It is damaged, or not what may be loaded.
    """
    try:
        with stored.open(info) as stream:
            _check_header(stream, info.file_size)
        with stored.open(info) as stream:
            # Unpickling runs whatever code the file holds: allow_pickle stays False.
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
            # The checksum is compared once the end is reached.
            stream.read(1)
    except _UnusableError:
        raise
    except MemoryError as error:
        size = f"{info.file_size / 2**30:,.1f} GiB"
        raise _UnusableError(
            f"takes {size}, more memory than can be had; give fewer or smaller images"
        ) from error
    except Exception as error:
        raise _UnusableError(f"is damaged ({_told(error)}); {_AGAIN}") from error
    return array


def _check_header(stream: IO[bytes], n_bytes: int) -> None:
    """Compare what an array's header claims with the bytes that there are, before memory is asked for."""
    begin = stream.read(len(np.lib.format.MAGIC_PREFIX) + 2)
    if not begin.startswith(np.lib.format.MAGIC_PREFIX):
        raise _UnusableError(f"holds no array of NumPy's (.npy); {_MAKE}")
    version = tuple(begin[-2:])
    if version not in ((1, 0), (2, 0)):
        # Version 3.0 differs in the names of fields alone, and no array here may have any.
        raise _UnusableError("is an array with named fields, or of a newer NumPy; store plain numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise _UnusableError(
            "is an array of Python objects, which is not loaded since that could run code; store numbers"
        )
    claimed, there = math.prod(shape) * dtype.itemsize, n_bytes - stream.tell()
    if min(shape, default=0) < 0 or claimed != there:
        raise _UnusableError(
            f"is damaged: by its header it has shape {_shape(shape)} and takes {claimed:,} bytes, of which"
            f" {there:,} are there; {_AGAIN}"
        )


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
