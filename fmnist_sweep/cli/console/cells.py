"""What the tables on the terminal are made of. Nothing here loads pandas or Optuna."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fmnist_sweep.core.foreign import safe_line, safe_text
from fmnist_sweep.core.wording import MAX_CELL


def new_table(*columns: str) -> Table:
    """Return a table without lines, its first column to the left and the others to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def shown(value: Any, how: str = "{}") -> str:
    """Return a plain value as text for a cell, whoever wrote it; None is a dash."""
    return "-" if value is None else escape(safe_line(how.format(value), MAX_CELL))


def say(console: Console, text: str, *, style: str | None = None) -> None:
    """Print a text for the user as it is: no markup, no colours for numbers, its lines not broken."""
    told = safe_text(text)
    console.print(told, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


def sayer(console: Console) -> Callable[[str], None]:
    """Return the function that prints a text for the user as `say` does."""
    return lambda text: say(console, text)
