"""What the tables on the terminal are made of. Nothing here loads pandas or Optuna."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len
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


def print_rows(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as `new_table` looks, of plain texts, the last column to the left.

    Where no cell has to be broken, each row is one line, and is written as that: rich's own tables take a
    millisecond a row.
    """
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > console.width:
        table = new_table(*columns)
        table.columns[-1].justify = "left"
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        return
    is_left = [i in (0, len(columns) - 1) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        # By what a terminal shows of a text: some characters are as wide as two.
        spaces = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        told = zip(cells, spaces, is_left, strict=True)
        return "  ".join(cell + space if left else space + cell for cell, space, left in told)

    console.print(line(columns), style="bold", highlight=False, markup=False, soft_wrap=True)
    if rows:
        console.out("\n".join(map(line, rows)), highlight=False)


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
