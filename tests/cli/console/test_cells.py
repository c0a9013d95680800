from __future__ import annotations

import io

import pytest
from rich.console import Console

from fmnist_sweep.cli.console.cells import new_table, say, shown
from fmnist_sweep.core.foreign import safe_line, safe_text


@pytest.mark.parametrize(
    "text",
    ["it said [/x] and [bold]", "\x1b[1;31mred\x1b[0m", "cut \x1b[", "a\x00b", "a\ud800b", ":smile: a\rb"],
)
def test_a_terminal_is_shown_a_text_as_it_is(text: str) -> None:
    """Neither a line nor a cell takes it for markup, whatever it holds."""
    written = io.StringIO()
    console, table = Console(file=written, width=200, emoji=False), new_table("a")
    say(console, text)
    table.add_row(shown(text))
    console.print(table)
    first, _, cell = (line.rstrip() for line in written.getvalue().splitlines())
    assert first == safe_text(text).rstrip()
    assert cell == safe_line(text).rstrip()
