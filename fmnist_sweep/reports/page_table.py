"""The tables of the report page, as its template takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column: its title, and whether its cells stand left and may break."""

    title: str
    left: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Cell:
    """What a cell shows, what it is sorted by, and where it leads."""

    text: str
    value: str = ""
    href: str = ""


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return a table of texts, the first column on the left."""
    columns = [Column(title, left=i == 0) for i, title in enumerate(titles)]
    return {"columns": columns, "rows": [list(zip(map(Cell, row), columns, strict=True)) for row in rows]}
