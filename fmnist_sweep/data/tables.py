"""Data from a table in a file, ``.csv`` or ``.parquet``: some columns are predicted from the others."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.wording import shown_list
from fmnist_sweep.data.calls import Call, keep_call
from fmnist_sweep.data.groups import without_column
from fmnist_sweep.data.trees import missing_columns

Array: TypeAlias = npt.NDArray[Any]

ENDINGS: Final = (".csv", ".parquet")

_N_SHOWN: Final = 5


def is_table_file(source: str) -> bool:
    """Return whether a data source is the path of a table.

    Example:
        >>> is_table_file("houses.csv"), is_table_file("houses.npz")
        (True, False)
    """
    return source.lower().endswith(ENDINGS)


def target_problems(source: str, target: Sequence[str]) -> list[str]:
    """Return what is wrong with a target, as far as no file has to be read.

    Args:
        source: The data, as a sweep file names them.
        target: Names of the columns that are predicted.
    """
    if is_table_file(source) and not target:
        return ['target: missing; say which column of the table is predicted, such as target = "price"']
    if target and not is_table_file(source):
        return [f"target: is for tables ({' and '.join(ENDINGS)}); {source!r} brings its targets along"]
    return [
        f"target: {name!r} is named twice" for name in dict.fromkeys(target) if list(target).count(name) > 1
    ]


def prepare_table(path: Path, target: Sequence[str], *, name: str, groups: str | None = None) -> DataRef:
    """Read a table, part it into inputs and targets, and keep both where training processes can map them.

    All columns but the targets and the groups are inputs, in their order: float32, shape ``(n, n_columns)``.
    One target has shape ``(n,)``, several ``(n, n_targets)``; whole numbers stay whole numbers.

    Args:
        path: A ``.csv`` file with a line of column names, or a ``.parquet`` file.
        target: Names of the columns that are predicted.
        name: What to call the data.
        groups: Name of the column that says which rows belong together; it may hold text.

    Raises:
        DataError: The file can't be read, it has no such column, or a column holds no numbers or has gaps;
            all problems at once, with what to do.
    """
    table = _read(path, name)
    columns = [str(column) for column in table.columns]
    table.columns = columns
    problems = [f"target: {problem}" for problem in missing_columns(target, columns)]
    of_groups = None
    if groups in target:
        problems.append(f"split.groups: {groups!r} is the target; name another column")
    elif groups is not None:
        try:
            table, of_groups = without_column(table, groups, where=name)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(name, problems)
    columns = [str(column) for column in table.columns]
    problems = [
        f"the column {one!r} is there twice" for one in dict.fromkeys(columns) if columns.count(one) > 1
    ]
    if len(set(columns)) == len(set(target)):
        problems.append("no column is left to predict from: the table holds targets alone")
    if not problems:
        problems = _text_problems(table, target) + _gap_problems(table)
    if problems:
        raise DataError(name, problems)
    inputs = [column for column in columns if column not in target]
    y = table[list(target)].to_numpy()
    y = y.astype(np.int64 if y.dtype.kind in "biu" else np.float32)
    x = np.ascontiguousarray(table[inputs].to_numpy(np.float32))
    made = Call((x, y[:, 0] if len(target) == 1 else y), groups=of_groups)
    return keep_call(made, name=name, columns=inputs)


def inputs_to_predict(path: Path, columns: Sequence[str], n_columns: int | None = None) -> Array:
    """Return the rows of a table as a model's inputs, float32 ``(n, n_columns)``.

    Args:
        path: A ``.csv`` file with a line of column names, or a ``.parquet`` file.
        columns: Names of the inputs in the order of the training; others in the table, such as the target,
            are left out. Empty where they are not known: then all columns are taken, in their order.
        n_columns: How many inputs the model takes, where that is known and their names are not.

    Raises:
        DataError: The file can't be read, a column is missing, or holds no numbers or has gaps; all problems
            at once.

    Example:
        >>> inputs_to_predict(Path("new.csv"), ["rooms", "age"]).shape  # doctest: +SKIP
        (12, 2)
    """
    name = str(path)
    table = _read(path, name, at_least=1)
    table.columns = [str(column) for column in table.columns]
    there = list(table.columns)
    wanted = list(columns) or there
    problems = missing_columns(wanted, there)
    problems += [
        f"the column {one!r} is there twice" for one in dict.fromkeys(wanted) if there.count(one) > 1
    ]
    if not columns and n_columns is not None and len(there) != n_columns:
        problems.append(
            f"has {len(there)} columns, and the model takes {n_columns}; their names are not known to the "
            "bundle: give those columns alone, in the order of the training"
        )
    if not problems:
        table = table[wanted]
        texts = [column for column in wanted if not _is_of_numbers(table[column])]
        problems = _gap_problems(table)
        if texts:
            told = "give them as they were in training, or the inputs as an .npz file"
            problems.insert(0, f"columns that hold no numbers: {shown_list(texts)}; {told}")
    if problems:
        raise DataError(name, problems)
    return np.ascontiguousarray(table.to_numpy(np.float32))


def _read(path: Path, name: str, *, at_least: int = 2) -> Any:
    import pandas as pd  # noqa: PLC0415 - a second, for those who have tables

    is_parquet = path.suffix.lower() == ".parquet"
    if is_parquet and importlib.util.find_spec("pyarrow") is None:
        raise DataError(
            name, ["parquet files need pyarrow: pip install 'fmnist-sweep[tables]', or give a .csv"]
        )
    try:
        table = pd.read_parquet(path) if is_parquet else pd.read_csv(path)
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(name, [f"can't be read as a table: {told}"]) from error
    if len(table) < at_least:
        raise DataError(
            name, [f"has {len(table)} rows below the names of its columns; at least {at_least} are needed"]
        )
    return table


def _text_problems(table: Any, target: Sequence[str]) -> list[str]:
    wrong = [c for c in table.columns if not _is_of_numbers(table[c])]
    inputs = [c for c in wrong if c not in target]
    problems = []
    if inputs:
        problems.append(
            f"columns that hold no numbers: {shown_list(inputs)}. A model takes numbers: leave them out, or "
            "let data be a function that returns pandas.get_dummies of the table, or a mapping with each of "
            "them as an input of its own, for layers such as keras.layers.StringLookup"
        )
    return problems + [
        f"target: {c!r} holds no numbers; give classes by number, from 0 on (pandas.factorize makes them)"
        for c in wrong
        if c in target
    ]


def _is_of_numbers(column: Any) -> bool:
    # Of pandas' own kinds too, which know gaps among whole numbers.
    return bool(getattr(column.dtype, "kind", "O") in "biuf")


def _gap_problems(table: Any) -> list[str]:
    problems = []
    for name in table.columns:
        if not _is_of_numbers(table[name]):
            continue
        values = table[name].to_numpy(np.float64, na_value=np.nan)
        rows = np.flatnonzero(~np.isfinite(values))
        if len(rows):
            some = ", ".join(str(row) for row in rows[:_N_SHOWN]) + (", ..." if len(rows) > _N_SHOWN else "")
            problems.append(
                f"column {name!r} has {len(rows):,} missing or infinite values (rows {some}, from 0); fill "
                "them, or leave the column or those rows out"
            )
    return problems
