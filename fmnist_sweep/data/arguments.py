"""Arguments of a ``fit`` that no training could use: told before anything is kept or built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, Final

from fmnist_sweep.data.trees import leaves

_NO_DATA: Final = frozenset(
    {"batch_size", "verbose", "callbacks", "validation_split", "validation_data", "shuffle", "class_weight"}
    | {"sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps", "validation_batch_size"}
    | {"validation_freq"}
)
"""Arguments of ``model.fit`` beside what it trains on."""


def argument_problems(x: Any, y: Any, named: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each argument that no training could use.

    Args:
        x: What the model gets; None where nothing of that name is given.
        y: The targets, likewise.
        named: All arguments that are given by name; a fit of the user's own may take others than
            ``model.fit``.
    """
    if x is None and named.keys() <= _NO_DATA:
        yield "there are no data: give x and y, or a tf.data.Dataset or keras.utils.PyDataset that holds both"
    for name, part in (("x", x), ("y", y)):
        first = next(leaves(part), None)
        if isinstance(part, list | tuple) and isinstance(first, Real | str):
            kind = type(part).__name__
            yield f"{name}: is a {kind} of single values, not of arrays; give np.asarray({name})"
    share = named.get("validation_split")
    if isinstance(share, Real) and not 0 <= float(share) < 1:
        yield f"validation_split: is the share of the rows that validates, from 0 to below 1; got {share}"
    given = named.get("callbacks")
    for one in given if isinstance(given, list | tuple) else [given]:
        if inspect.isclass(one):
            yield f"callbacks: {one.__name__} is a class; give {one.__name__}(...)"


def text_advice(told: str) -> str:
    """Return what to do where Keras refuses an array of text, or nothing where that is not what it told.

    Example:
        >>> text_advice("ValueError: Invalid dtype: str32")[:44]
        '; Keras takes text as a tensor, tf.constant('
    """
    if "Invalid dtype: str" not in told and "Invalid dtype: object" not in told:
        return ""
    return (
        "; Keras takes text as a tensor, tf.constant(x), and labels as numbers, "
        "np.unique(y, return_inverse=True)[1]"
    )
