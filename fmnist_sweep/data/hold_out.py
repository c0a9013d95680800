"""Which rows validate, where nobody says what does: by class, at random, the first, the last, or by group."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import SplitSpec, n_validating
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.groups import HOW, drawn_groups
from fmnist_sweep.data.split import stratified
from fmnist_sweep.data.trees import class_labels, is_tensor, leaves, n_rows


def held_out(
    y: Any, split: SplitSpec, groups: npt.NDArray[np.int64] | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which rows train and which validate.

    Args:
        y: The targets, nested or not.
        split: How many validate, and of which kind: where it says nothing, classes are stratified and
            anything else is drawn at random; with no seed, by seed 0.
        groups: The group of each row, a number from 0, for a split by groups: then about as many validate.

    Returns:
        Indices, ascending and disjoint. ``train_size`` keeps some of the others, drawn likewise.

    Raises:
        TrialError: There are too few rows, or no groups where they are to be kept together.
    """
    n = len(next(leaves(y)))
    n_val = n_validating(n, split.n_val)
    if n < 2:
        raise TrialError(f"there are {n} rows of data: none can be held out to validate")
    labels = class_labels(y)
    rng = np.random.default_rng(0 if split.seed is None else split.seed)
    everything = np.arange(n, dtype=np.int64)
    kind = split.kind or ("random" if labels is None else "stratified")
    if kind == "first":
        val = everything[:n_val]
    elif kind == "last":
        val = everything[n - n_val :]
    elif kind == "stratified" and labels is not None:
        val = stratified(labels, n_val, rng)
    elif kind == "groups":
        if groups is None:
            raise TrialError(f"split.kind is 'groups', and the data name none: {HOW}")
        val = drawn_groups(groups, n_val, rng)
    else:
        val = np.sort(rng.permutation(everything)[:n_val])
    train = np.setdiff1d(everything, val, assume_unique=True)
    if split.train_size is not None and split.train_size < len(train):
        train = np.sort(rng.permutation(train)[: split.train_size])
    return train, val


def with_hold_out(call: Call, split: SplitSpec) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments with some of its rows as ``validation_data``.

    Raises:
        TrialError: The data have no rows that could be held out.
    """
    x, y = call.x, call.y
    weights = call.kwargs.get("sample_weight")
    if not n_rows(x):
        raise TrialError(
            "nothing validates: give validation_data, which a tf.data.Dataset or a generator can't be split "
            "into; of a data set of batches data.take(n) validates where data.skip(n) trains"
        )
    if y is None:
        # Of a model that trains on x alone, such as an autoencoder with a step of its own.
        train, val = held_out(x, replace(split, kind=split.kind or "random"), call.groups)
    else:
        train, val = held_out(y, split, call.groups)
    kwargs = dict(call.kwargs)
    rest = [rows(part, train) for part in call.args[2:]]
    kwargs["validation_data"] = (
        rows(x, val),
        rows(y, val),
        *([] if weights is None else [rows(weights, val)]),
    )
    if weights is not None:
        kwargs["sample_weight"] = rows(weights, train)
    positions = [rows(x, train), rows(y, train), *rest]
    for i, name in enumerate(("x", "y")):
        if name in kwargs:
            kwargs[name] = positions[i]
    return tuple(positions[: len(call.args)]), kwargs


def rows(tree: Any, indices: Any) -> Any:
    """Return some rows of nested arrays or tables.

    Args:
        tree: Arrays of equal length, nested as Keras nests them.
        indices: Whole numbers, or a slice.
    """
    if isinstance(tree, Mapping):
        return {key: rows(part, indices) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(rows(part, indices) for part in tree)
    if tree is None:
        return None
    if hasattr(tree, "iloc"):
        return tree.iloc[indices]
    some = np.asarray(tree)[indices]
    if some.dtype.hasobject and is_tensor(tree):
        # Keras takes text as a tensor, and as no array. Whoever has one has loaded TensorFlow.
        return importlib.import_module("tensorflow").convert_to_tensor(some)
    return some
