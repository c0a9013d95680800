"""What a model predicts, output by output, and what kind of prediction each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.data.trees import class_labels

Array: TypeAlias = npt.NDArray[Any]
Kind: TypeAlias = Literal["classes", "binary", "labels", "regression"]
"""One of several classes, one of two, any of several at once, or real numbers."""

MOST_CLASSES: Final = 1000


@dataclass(frozen=True)
class Output:
    """One output of a model.

    Attributes:
        name: As the model calls it; empty where it has one.
        kind: What it predicts.
        parts: Targets and predictions by part, ``"train"``, ``"val"`` and, once it was read, ``"test"``.
            Classes: labels ``(n,)`` and probabilities ``(n, n_classes)``. Two classes: 0 and 1 ``(n,)`` and
            the probability of 1. Labels: 0 and 1 ``(n, k)`` and probabilities. Real numbers:
            ``(n, k)`` twice.
        class_names: Names of the classes, where there are any.
    """

    name: str
    kind: Kind
    parts: Mapping[str, tuple[Array, Array]]
    class_names: tuple[str, ...] = ()


def outputs_of(arrays: Mapping[str, Array], *, from_logits: bool) -> list[Output]:
    """Return the outputs of a model, by what a training and a reading of the test part have delivered.

    Args:
        arrays: By names such as ``"val/outputs/size"`` and ``"val/y/size"``.
        from_logits: Whether outputs of classes are logits.

    Returns:
        None for outputs whose targets are not known by the same name, or are neither numbers nor classes.
    """
    places: dict[str, dict[str, tuple[Array, Array]]] = {}
    for key, outputs in arrays.items():
        part, what, *rest = key.split("/", 2)
        name = rest[0] if rest else ""
        y = arrays.get("/".join([part, "y", *rest]))
        if what == "outputs" and y is not None:
            places.setdefault(name, {})[part] = y, outputs
    found = [_output(name, parts, from_logits=from_logits) for name, parts in places.items()]
    return [one for one in found if one is not None]


def _output(name: str, parts: Mapping[str, tuple[Array, Array]], *, from_logits: bool) -> Output | None:
    numbers = {k: pair for k, pair in parts.items() if all(a.dtype.kind in "biuf" for a in pair)}
    if not numbers or any(len(y) != len(o) for y, o in numbers.values()):
        return None
    width = next(o.shape[-1] if o.ndim > 1 else 1 for _, o in numbers.values())
    if width > 1:
        classes = {k: _as_classes(y, o, from_logits=from_logits) for k, (y, o) in numbers.items()}
        if width <= MOST_CLASSES and all(pair is not None for pair in classes.values()):
            whole = {k: pair for k, pair in classes.items() if pair is not None}
            return Output(name, "classes", whole, tuple(map(str, range(width))))
    flat = {
        k: (y.reshape(-1, width), o.reshape(-1, width)) for k, (y, o) in numbers.items() if y.size == o.size
    }
    if len(flat) < len(numbers):
        return None
    shares = {k: (y, shares_of("labels", o, from_logits=from_logits)) for k, (y, o) in flat.items()}
    if all(_are_shares(y, o) for y, o in shares.values()):
        if width > 1:
            return Output(name, "labels", shares, tuple(map(str, range(width))))
        one = {k: (y[:, 0].astype(np.int64), o[:, 0]) for k, (y, o) in shares.items()}
        return Output(name, "binary", one, ("0", "1"))
    return Output(name, "regression", {k: (y.astype(float), o.astype(float)) for k, (y, o) in flat.items()})


def shares_of(kind: str, outputs: Array, *, from_logits: bool) -> Array:
    """Return what a model gives as probabilities; real numbers stay as they are.

    Args:
        kind: What the output predicts, a `Kind`.
        outputs: Of shape ``(n, k)``; of two classes ``(n, 1)``.
        from_logits: Whether they are logits, as far as that is known: negative ones of classes are.
    """
    if kind == "classes":
        rows = outputs.astype(np.float64)
        if from_logits or (rows < 0).any():
            rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        found: Array = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-12)
        return found
    return _sigmoid(outputs) if from_logits and kind in ("binary", "labels") else outputs


def _as_classes(y: Array, outputs: Array, *, from_logits: bool) -> tuple[Array, Array] | None:
    """Return labels ``(n,)`` and probabilities ``(n, k)``; None where these are no classes."""
    width = outputs.shape[-1]
    rows = outputs.reshape(-1, width)
    # A class for each pixel or step counts as a row of its own.
    targets = y.reshape(-1, width) if y.shape == outputs.shape else y.reshape(-1)
    if len(targets) != len(rows):
        return None
    labels = class_labels(targets if y.dtype.kind != "f" or targets.ndim == 2 else _whole(targets))
    if labels is None or int(labels.max(initial=0)) >= width:
        return None
    return labels, shares_of("classes", rows, from_logits=from_logits)


def _whole(values: Array) -> Array:
    """Return floats that are whole numbers, as a table may hold classes, as such."""
    return values.astype(np.int64) if (values == np.round(values)).all() else values


def _are_shares(y: Array, outputs: Array) -> bool:
    return bool(np.isin(y, (0, 1)).all() and (outputs >= 0).all() and (outputs <= 1).all())


def _sigmoid(logits: Array) -> Array:
    found: Array = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return found
