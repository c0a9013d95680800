"""Frames as tables for the terminal, and as plain values for scripts."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console

from fmnist_sweep.cli.console.cells import print_rows
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.wording import MAX_CELL

_RARE: Final = ("damaged", "metric", "val")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain values that JSON can hold: missing ones are None, times ISO 8601."""
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]
    # Few studies are damaged, or score another metric: the others don't say that they are not.
    return [{k: v for k, v in row.items() if k not in _RARE or v is not None} for row in rows]


def print_frame(console: Console, frame: pd.DataFrame) -> None:
    """Print the rows and columns of a frame as they are, numbers to four digits."""

    def cell(value: Any) -> str:
        return (
            "-"
            if value is None
            else f"{value:.4g}"
            if isinstance(value, float)
            else safe_line(str(value), MAX_CELL)
        )

    rows = [[cell(_plain(value)) for value in row] for row in frame.itertuples(index=False)]
    print_rows(console, [safe_line(str(name).removeprefix("params_"), MAX_CELL) for name in frame], rows)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, pd.Timestamp):
        return None if pd.isna(value) else value.isoformat()
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
