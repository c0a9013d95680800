"""What the tables on the terminal are made of. Nothing here loads pandas or Optuna."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def new_table(*columns: str) -> Table:
    """Return a table without lines, its first column to the left and the others to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def shown(value: Any, how: str = "{}") -> str:
    """Return a plain value as text for a cell; None is a dash."""
    return "-" if value is None else escape(how.format(value))


def sayer(console: Console) -> Callable[[str], None]:
    """Return the function that prints a line for the user as it is."""
    return lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)
