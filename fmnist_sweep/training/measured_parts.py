"""What of a ``model.fit``'s data is measured after each epoch: some of what trains, and what validates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import GeneratorType
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import N_PROBE
from fmnist_sweep.data import probe_indices
from fmnist_sweep.data.hold_out import rows
from fmnist_sweep.data.trees import n_rows

N_ROWS_AT_ONCE: Final = 256


@dataclass(frozen=True)
class Part:
    """What ``evaluate`` is given: a part of the arrays, or some batches."""

    x: Any
    y: Any = None
    sample_weight: Any = None
    steps: int | None = None

    @property
    def is_arrays(self) -> bool:
        """Whether its targets stand beside its inputs."""
        return self.y is not None

    @cached_property
    def batches(self) -> Any:
        """What ``evaluate`` takes in place of its arrays: made once, not for each epoch anew."""
        if not self.is_arrays:
            return self.x
        adapter = ArrayDataAdapter(
            self.x, y=self.y, sample_weight=self.sample_weight, batch_size=N_ROWS_AT_ONCE
        )
        # Keras warns of an end that it has not been told of.
        known = tf.data.experimental.assert_cardinality(adapter.num_batches)
        return adapter.get_tf_dataset().apply(known)


def take_batches(given: dict[str, Any], n_probe: int | None) -> None:
    """Draw from Python generators what is to be measured; the training gets it as well."""
    x, validation = given.get("x"), given.get("validation_data")
    if isinstance(validation, GeneratorType):
        batches = list(itertools.islice(validation, given.get("validation_steps") or 1))
        given["validation_data"] = tuple(_joined(part) for part in zip(*batches, strict=True))
        given["validation_steps"] = None
    if isinstance(x, GeneratorType):
        first = next(x)
        wanted = -(-probe_size(given, n_probe) // len(tf.nest.flatten(first)[0]))
        n = max(1, min(wanted, given.get("steps_per_epoch") or 1))
        given["x"] = Generated([first, *itertools.islice(x, n - 1)], x)


def probe_size(given: Mapping[str, Any], n_probe: int | None) -> int:
    """Return how many rows of what trains measure the train scores of a call of ``model.fit``.

    Args:
        given: Its arguments.
        n_probe: What is asked for. None takes as many as validate, at least one batch of `N_ROWS_AT_ONCE`,
            and `N_PROBE` where it is not known how many do so.
    """
    if n_probe is not None:
        return n_probe
    n = _n_validating(given)
    return N_PROBE if n is None else max(n, N_ROWS_AT_ONCE)


def _n_validating(given: Mapping[str, Any]) -> int | None:
    validation, share = given.get("validation_data"), given.get("validation_split")
    if validation is None:
        n = n_rows(given.get("x"))
        return n - int(n * (1.0 - share)) if share else None
    if not _is_batched(validation):
        return n_rows(validation) or None
    n_batches = given.get("validation_steps")
    if n_batches is None and isinstance(validation, tf.data.Dataset):
        # Of one that never ends, or of which only reading tells the length, less than 0.
        n_batches = int(validation.cardinality())
    elif n_batches is None:
        n_batches = validation.num_batches
    size = _batch_size(validation)
    return n_batches * size if n_batches is not None and n_batches > 0 and size else None


class Generated:
    """A generator of which the first batches are kept."""

    def __init__(self, batches: list[Any], rest: Iterator[Any]) -> None:
        self.batches = batches
        # Keras knows generators, and no other iterators.
        self.all = (batch for batch in itertools.chain(batches, rest))


def _joined(batches: Sequence[Any]) -> Any:
    return tf.nest.map_structure(lambda *parts: np.concatenate([np.asarray(p) for p in parts]), *batches)


def parts_of(given: Mapping[str, Any], *, n_probe: int | None) -> tuple[Part, Part]:
    """Return what measures the train and the validation scores of a call of ``model.fit``.

    Args:
        given: Its arguments.
        n_probe: As for `probe_size`.
    """
    x, y = given.get("x"), given.get("y")
    wanted = probe_size(given, n_probe)
    weights = given.get("sample_weight")
    validation, share = given.get("validation_data"), given.get("validation_split") or 0.0
    if y is None and not has_rows(x):
        if validation is None:
            raise TrialError("fit hands no validation_data to model.fit, and its data can't be split")
        if isinstance(x, Generated):
            train = Part(*(_joined(part) for part in zip(*x.batches, strict=True)))
            return train, _validation(validation, given.get("validation_steps"))
        train = _some_batches(x, given.get("batch_size") or _batch_size(x), wanted)
        return train, _validation(validation, given.get("validation_steps"))
    n = n_rows(x)
    weighted = validation is not None and isinstance(validation, tuple) and len(validation) == 3
    if validation is None and share:
        # As Keras does: the last rows, before they are shuffled.
        cut = int(n * (1.0 - share))
        behind = slice(cut, n)
        val = Part(rows(x, behind), rows(y, behind), rows(weights, behind))
        weighted, n = weights is not None, cut
    elif validation is None:
        raise TrialError(
            "fit hands neither validation_data nor validation_split to model.fit: nothing validates"
        )
    else:
        val = _validation(validation, given.get("validation_steps"))
    probe = probe_indices(n, wanted)
    train_weights = rows(weights, probe) if weighted and weights is not None else None
    return Part(rows(x, probe), rows(y, probe), train_weights), val


def _validation(given: Any, steps: int | None) -> Part:
    if isinstance(given, tuple | list) and not _is_batched(given):
        return Part(*keras.utils.unpack_x_y_sample_weight(given))
    if isinstance(given, tf.data.Dataset):
        # Read once: a shuffled one would be another at each epoch.
        return Part((given if steps is None else given.take(steps)).cache())
    return Part(given, steps=steps)


def _some_batches(data: Any, batch_size: int | None, n_probe: int) -> Part:
    n = max(1, -(-n_probe // (batch_size or 32)))
    if isinstance(data, tf.data.Dataset):
        return Part(data.take(n).cache())
    length = len(data) if hasattr(data, "__len__") else n
    return Part(data, steps=min(n, length))


def _batch_size(data: Any) -> int | None:
    if isinstance(data, tf.data.Dataset):
        first = next(iter(data.take(1)), None)
    elif isinstance(data, keras.utils.PyDataset):
        first = data[0]
    else:
        return None
    leaves = tf.nest.flatten(first)
    return int(leaves[0].shape[0]) if leaves and len(leaves[0].shape) else None


def _is_batched(data: Any) -> bool:
    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset)


def has_rows(x: Any) -> bool:
    """Return whether inputs are arrays, which ``fit`` cuts into batches itself."""
    return x is not None and not _is_batched(x) and n_rows(x) > 0
