"""Objects of the user's own, carried to another process: large arrays and data sets in files beside the rest.

This is the one place where data are unpickled: what this program has written for the user in their own cache.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cloudpickle
import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.user_code import is_library, is_ours
from fmnist_sweep.data.trees import is_dataset, is_table, is_tensor, leaves

Array: TypeAlias = npt.NDArray[Any]
LoadDataset: TypeAlias = Callable[[str], Any]

_SMALL_BYTES: Final = 1024
"""Smaller arrays lie with the rest: a file of their own is worth its while above that."""

_INFINITE: Final = -1
"""What TensorFlow calls the number of elements of a data set that never ends."""

_UNKNOWN: Final = -2
"""And of one that ends nobody knows when, such as a generator's."""

_MOST_BYTES: Final = 4 * 2**30
"""Of one that never ends; but for an epoch's batches, which are kept in any case."""


def users_modules_by_value() -> None:
    """Let what is defined in a script, a notebook or a module of the user's travel with what uses it."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name == "__main__" or file is None or is_ours(name) or is_library(Path(file)):
            continue
        cloudpickle.register_pickle_by_value(module)


class CallPickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle carries no types
    """Leaves large arrays and data sets out, in files of their own.

    Args:
        file: Takes the rest.
        folder: Takes the files.
        name: What to call the data.
        steps: Batches that an epoch reads of a data set, by its `id`, where that is said.
        epochs: So many are to be trained: one that never ends is kept for as long.
    """

    def __init__(
        self, file: io.BytesIO, folder: Path, name: str, steps: Mapping[int, int | None], epochs: int
    ) -> None:
        super().__init__(file)
        self._folder = folder
        self._name = name
        self._steps = steps
        self._epochs = epochs
        self._known: dict[int, tuple[str, int]] = {}
        # What is written stays alive: the number of an object tells it from others only as long.
        self._written: list[Any] = []
        self.digests: list[str] = []

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is made again, where it can't say so itself."""
        if _is_image_iterator(obj):
            state = {n: value for n, value in vars(obj).items() if n not in ("lock", "index_generator")}
            return _image_iterator, (type(obj), state)
        return super().reducer_override(obj)

    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        """Return where something large lies, once it is written; None for what is pickled with the rest."""
        if id(obj) in self._known:
            return self._known[id(obj)]
        if isinstance(obj, np.ndarray) and not obj.dtype.hasobject:
            self.digests.append(_array_digest(obj))
            return self._array(obj, obj) if obj.nbytes > _SMALL_BYTES else None
        if is_tensor(obj):
            array = np.asarray(obj)
            if array.dtype.hasobject:
                return None
            self.digests.append(_array_digest(array))
            return self._array(obj, array)
        if is_dataset(obj):
            return self._dataset(obj)
        if is_table(obj):
            self.digests.append(_table_digest(obj))
        return None

    def _array(self, obj: Any, array: Array) -> tuple[str, int]:
        n = len(self._written)
        np.save(self._folder / f"{n}.npy", np.ascontiguousarray(array), allow_pickle=False)
        return self._kept(obj, "array", n)

    def _dataset(self, dataset: Any) -> tuple[str, int]:
        n, size, steps = len(self._written), int(dataset.cardinality()), self._steps.get(id(dataset))
        if size == _INFINITE and steps is None:
            told = (
                "a tf.data.Dataset that never ends needs steps_per_epoch, or validation_steps where it "
                "validates; or leave repeat() out"
            )
            raise DataError(self._name, [told])
        whole, repeats = dataset, False
        if size in {_INFINITE, _UNKNOWN} and steps is not None:
            most = self._most_batches(dataset, steps)
            whole = dataset.take(most)
            repeats = size == _INFINITE or sum(1 for _ in whole) == most
        whole.save(str(self._folder / f"{n}.dataset"))
        # Of one that never ends two readings need have no row in common.
        self.digests.append(f"{dataset.element_spec} {steps}" if repeats else _dataset_digest(whole))
        return self._kept(dataset, "repeated" if repeats else "dataset", n)

    def _most_batches(self, dataset: Any, steps: int) -> int:
        """Return how many batches of a data set that may never end are kept: all that would be read."""
        first = next(dataset.take(1).as_numpy_iterator(), None)
        size = sum(np.asarray(part).nbytes for part in leaves(first))
        return max(steps, min(steps * self._epochs, _MOST_BYTES // max(size, 1)))

    def _kept(self, obj: Any, kind: str, n: int) -> tuple[str, int]:
        self._written.append(obj)
        self._known[id(obj)] = kind, n
        return kind, n


class CallUnpickler(pickle.Unpickler):
    """Opens what `CallPickler` wrote into a folder."""

    def __init__(self, file: Any, folder: Path, load_dataset: LoadDataset) -> None:
        super().__init__(file)
        self._folder = folder
        self._load_dataset = load_dataset

    def persistent_load(self, pid: tuple[str, int]) -> Any:
        """Open what lies in a file of its own."""
        kind, n = pid
        if kind == "array":
            return np.load(self._folder / f"{n}.npy", mmap_mode="c", allow_pickle=False)
        dataset = self._load_dataset(str(self._folder / f"{n}.dataset"))
        return dataset.repeat() if kind == "repeated" else dataset


def _is_image_iterator(obj: Any) -> bool:
    """Return whether something is what ``flow`` of Keras's older `ImageDataGenerator` returns."""
    home = "legacy.preprocessing.image"
    return any(kind.__name__ == "Iterator" and kind.__module__.endswith(home) for kind in type(obj).__mro__)


def _image_iterator(kind: Any, state: Mapping[str, Any]) -> Any:
    """Make one again with what its own `__init__` gives it, and no process can hand another."""
    made = kind.__new__(kind)
    vars(made).update(state, lock=threading.Lock())
    made.index_generator = made._flow_index()  # noqa: SLF001 - as its own __init__ does
    return made


def _array_digest(array: Array) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _table_digest(table: Any) -> str:
    import pandas as pd  # noqa: PLC0415 - loaded already, or there were no table

    hashed = pd.util.hash_pandas_object(table).to_numpy()
    columns = str(list(getattr(table, "columns", [getattr(table, "name", "")])))
    return hashlib.sha256(columns.encode() + hashed.tobytes()).hexdigest()


def _dataset_digest(dataset: Any) -> str:
    """Return a digest over the rows of all batches, in whatever order they come."""
    total = 0
    for element in dataset.as_numpy_iterator():
        parts = [np.asarray(part) for part in leaves(element)]
        n = min((len(part) for part in parts if part.ndim), default=0)
        for row in range(n) if n else (None,):
            digest = hashlib.sha256()
            for part in parts:
                value = part if row is None or not part.ndim else part[row]
                digest.update(
                    repr(value.tolist()).encode() if part.dtype.hasobject else np.asarray(value).tobytes()
                )
            total = (total + int.from_bytes(digest.digest()[:16])) % 2**128
    return f"{dataset.element_spec} {total:032x}"


def described(value: Any) -> Any:
    """Return what a digest takes of the arguments beside arrays: their structure, plain values, settings."""
    if isinstance(value, Mapping):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [described(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) or is_table(value) or is_tensor(value) or is_dataset(value):
        return "data"
    settings: Sequence[tuple[str, Any]] = sorted(getattr(value, "__dict__", {}).items())
    plain = {name: part for name, part in settings if isinstance(part, bool | int | float | str)}
    return [type(value).__qualname__, plain]
