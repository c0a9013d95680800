"""What a live display takes away of its last picture."""

import io

import pytest
from rich.console import Console

from fmnist_sweep.cli.console.resized import ResizedLive

PICTURE = f"{'a' * 100}   \n\nshort{' ' * 90}"
UP = "\x1b[1A"


@pytest.mark.parametrize(("width", "rows"), [(120, 3), (140, 3), (80, 4), (40, 5)])
def test_a_narrower_terminal_has_more_rows_to_take_away(width: int, rows: int) -> None:
    """Lines that no longer fit are broken by the terminal; spaces at their ends break none."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=40, _environ={})
    live = ResizedLive(console=console, get_renderable=lambda: PICTURE, auto_refresh=False)
    live.start(refresh=True)
    out.truncate(0)
    console.width = width
    live.refresh()
    assert out.getvalue().count(UP) == rows - 1
    out.truncate(0)
    live.refresh()
    # What is on the screen by then was drawn for this width.
    assert out.getvalue().count(UP) == max(3, rows) - 1
    live.stop()
