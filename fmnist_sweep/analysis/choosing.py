"""Which trials a table shows, in which order, by their columns."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import pandas as pd

from fmnist_sweep.analysis.frames import trials_frame
from fmnist_sweep.core.errors import SweepError, did_you_mean
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.storage.stored import StoredStudy

_PARAMS = "params_"


def chosen_trials(
    study: StoredStudy,
    *,
    where: str | None = None,
    sort: str | None = None,
    top: int | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return rows of `trials_frame`, chosen and sorted.

    A hyperparameter may be named without its ``params_`` wherever no other column has its name.

    Args:
        study: The study.
        where: An expression that `pandas.DataFrame.query` takes, such as ``gap < 0.02 and depth > 1``; None
            keeps all.
        sort: A column: smaller values first, but higher scores; a minus before it reverses. None keeps them
            by number. Trials without a value come last.
        top: How many to keep, after sorting; None keeps all.
        columns: Those to keep, in their order; None keeps all.

    Raises:
        SweepError: An expression can't be evaluated, or there is no such column; all problems at once.
    """
    frame = trials_frame(study)
    names = _names(frame)
    short = frame.rename(columns={full: name for name, full in names.items()})
    problems, kept = list[str](), short.index
    if where is not None and _is_endless(where):
        problems.append(
            f"--where {where!r} takes a power that may be endless; after ** give a number up to 10"
        )
    elif where is not None:
        try:
            found = short.eval(where)
        except Exception as error:  # noqa: BLE001 - pandas raises of every kind for an expression
            told = f"{one_line(error)} (columns: {', '.join(names)})"
            problems.append(f"--where {where!r} can't be evaluated: {told}")
        else:
            if isinstance(found, pd.Series) and pd.api.types.is_bool_dtype(found):
                kept = short.index[found]
            else:
                # Numbers would be taken for those of rows.
                problems.append(f"--where {where!r} is no condition, such as gap < 0.02")
    column = "" if sort is None else sort.removeprefix("-")
    problems += _unknown("--sort", [column] if sort is not None else (), names)
    problems += _unknown("--columns", columns or (), names)
    if problems:
        raise SweepError("\n".join(problems))
    short = short.loc[kept]
    if sort is not None:
        by, rising = [names.get(column, column)], (column != "score") != sort.startswith("-")
        rows = frame.loc[short.index].sort_values(by, ascending=rising, na_position="last", kind="stable")
        short = short.loc[rows.index]
    chosen = frame.loc[short.index[:top]]
    return chosen if columns is None else chosen[[names.get(name, name) for name in columns]]


def _names(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns by the names under which they are asked for."""
    own = {str(name): str(name) for name in frame if not str(name).startswith(_PARAMS)}
    params = [str(name) for name in frame if str(name).startswith(_PARAMS)]
    return own | {
        (short if (short := name.removeprefix(_PARAMS)) not in own else name): name for name in params
    }


def _unknown(option: str, asked: Sequence[str], names: dict[str, str]) -> list[str]:
    known = [*names, *names.values()]
    return [
        f"{option}: no column {name!r}{did_you_mean(name, list(names))} (columns: {', '.join(names)})"
        for name in asked
        if name not in known
    ]


def _is_endless(expression: str) -> bool:
    """Return whether an expression takes powers that may have more digits than there is memory for."""
    try:
        powers = [
            node
            for node in ast.walk(ast.parse(expression.strip(), mode="eval"))
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
        ]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # What pandas makes of it, it tells.
        return False
    return not all(_is_small(power) for power in powers)


def _is_small(power: ast.BinOp) -> bool:
    n = power.right
    small = isinstance(n, ast.Constant) and isinstance(n.value, int | float) and n.value <= 10
    return small and not any(isinstance(part, ast.Pow) for part in ast.walk(power.left))
