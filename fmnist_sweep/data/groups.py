"""Rows that belong together, such as those of one patient: no group is in both parts of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.wording import shown_list
from fmnist_sweep.data.trees import is_table, missing_columns

Array: TypeAlias = npt.NDArray[Any]
Indices: TypeAlias = npt.NDArray[np.int64]

GROUPS: Final = "groups"
"""What an array of groups is called in a file or in what a function returns."""

HOW: Final = (
    'name a column of the table (groups = "patient" in [split]), or hand over an array with one group for '
    f"each row: {GROUPS} in an .npz file, or {{'x': ..., 'y': ..., '{GROUPS}': ...}} from a function"
)


def group_problems(groups: Any, n: int) -> list[str]:
    """Return what is wrong with the groups of some rows, one line each; empty if all is right.

    Args:
        groups: An array or a column of numbers or text.
        n: Number of rows of the data; 0 where they have none that could be counted.

    Example:
        >>> group_problems(np.array([1, 1, 2]), 4)
        ['groups: there are 3 for 4 rows; give one for each row']
    """
    array = np.asarray(groups)
    if not n:
        return ["groups: go with arrays and tables; a data set says itself what validates"]
    if array.ndim != 1:
        return [f"groups: have shape {array.shape}; give one number or text for each row"]
    if len(array) != n:
        return [f"groups: there are {len(array):,} for {n:,} rows; give one for each row"]
    if array.dtype.kind not in "biufSUO":
        return [f"groups: have dtype {array.dtype}; give numbers or text"]
    # What is no number equals itself, and a gap does not.
    gaps = [row for row, value in enumerate(array.tolist()) if value is None or value != value]  # noqa: PLR0124
    if gaps:
        some = shown_list([str(row) for row in gaps])
        return [f"groups: {len(gaps):,} rows have none (rows {some}, from 0); fill them, or leave them out"]
    found = len({*array.tolist()})
    if found < 2:
        return ["groups: all rows are of one group; at least 2 are needed, one to train and one to validate"]
    return []


def group_numbers(groups: Any) -> Indices:
    """Return sound groups as numbers from 0, by the order in which they first come.

    Example:
        >>> group_numbers(["b", "a", "b"]).tolist()
        [0, 1, 0]
    """
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in np.asarray(groups).tolist()])


def drawn_groups(groups: Indices, n_val: int, rng: np.random.Generator) -> Indices:
    """Return which rows validate: whole groups, drawn at random, with about as many rows as are wanted.

    Args:
        groups: Shape ``(n,)``, numbers from 0 of at least two groups.
        n_val: Number of rows; a group is taken where it brings the number nearer, and one in any case.
        rng: Draws.

    Returns:
        Indices, ascending; at least one group is left to train.

    Example:
        >>> drawn_groups(np.array([0, 0, 1, 1, 1]), 2, np.random.default_rng(0)).tolist()
        [0, 1]
    """
    # As scikit-learn's GroupShuffleSplit, which counts groups and not rows, and costs each training process
    # two seconds to import.
    counts = np.bincount(groups)
    order = rng.permutation(len(counts))
    taken: list[int] = []
    n = 0
    for group in order:
        if abs(n + counts[group] - n_val) < abs(n - n_val):
            taken.append(int(group))
            n += counts[group]
    if not taken:
        taken = [int(min(order, key=lambda group: counts[group]))]
    return np.flatnonzero(np.isin(groups, taken)).astype(np.int64)


def without_column(x: Any, column: str, *, where: str) -> tuple[Any, Any]:
    """Return inputs without the column that holds their groups, and that column.

    Args:
        x: A table, or a mapping of inputs.
        column: Name of a column, or of an input.
        where: What the message calls the data.

    Raises:
        DataError: There is no such column, or none is left.
    """
    if is_table(x) and hasattr(x, "columns"):
        names = [str(name) for name in x.columns]
    elif isinstance(x, Mapping):
        names = [str(name) for name in x]
    else:
        told = f"split.groups: x is {type(x).__name__} and has no columns by name; {HOW}"
        raise DataError(where, [told])
    if problems := missing_columns([column], names):
        raise DataError(where, [f"split.groups: {problem}" for problem in problems])
    if len(names) == 1:
        raise DataError(where, [f"split.groups: {column!r} is the only column: no inputs are left"])
    if isinstance(x, Mapping):
        return {name: part for name, part in x.items() if str(name) != column}, x[column]
    place = names.index(column)
    return x.drop(columns=x.columns[place]), x.iloc[:, place]
