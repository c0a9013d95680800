"""Parts of a page in Markdown, as lists of lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence


def paragraph(*pieces: str) -> list[str]:
    """Return the lines of a paragraph, its pieces joined by blanks."""
    return textwrap.wrap(" ".join(pieces), width=110, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are Markdown already."""
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return [f"| {line} |" for line in lines]
