"""The command that writes files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmnist_sweep.api.starting import STARTS, write_start
from fmnist_sweep.cli.commands.options import echo


def complete_kind(incomplete: str) -> list[str]:
    """Return what a shell may complete to a kind of start."""
    return [kind for kind in STARTS if kind.startswith(incomplete)]


def init(
    kind: Annotated[
        str, typer.Argument(help=f"What to start from: {', '.join(STARTS)}.", autocompletion=complete_kind)
    ] = next(iter(STARTS)),
) -> None:
    """Write a commented sweep file, and the model and the data that it names, into the current folder.

    They run as they are, within a minute. Nothing is overwritten.

    Example: fmnist-sweep init own-data
    """
    start = write_start(kind, Path())
    for name, what in start.files.items():
        echo(f"Wrote {name}: {what}")
    echo(f"Next: fmnist-sweep run {start.sweep}")
