"""Commands that keep studies as text, and bring them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmnist_sweep.cli.commands.options import (
    Storage,
    command_line,
    echo,
    messages_console,
    quiet_optuna,
    say_next,
    to_stderr,
    uses_storage,
)
from fmnist_sweep.storage import DEFAULT_STORAGE


@uses_storage
def dump(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            help="Studies to write, each with its confirmation; by default all but reference ones."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder that each study's file goes into.")
    ] = Path("reference"),
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write studies as text that can be committed and compared: a file of JSON lines for each.

    Example: fmnist-sweep dump dense cnn
    """
    from fmnist_sweep.api import keeping

    written = keeping.dump(studies, output=output, storage=storage, say=to_stderr)
    for path, n in written:
        echo(f"{path}: {n} trials")
    if written:
        command = command_line("load", *(str(path) for path, _ in written), storage=DEFAULT_STORAGE)
        what = "brings them back as reference studies, into the storage that --storage names"
        say_next(messages_console(), command, what)


@uses_storage
def load(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files to bring back; by default all of reference/.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Bring studies back that were kept as text: read-only, named reference-NAME.

    Example: fmnist-sweep load reference/dense.jsonl
    """
    from fmnist_sweep.api.loading import load as loaded

    quiet_optuna()
    for path, study in loaded(files, storage=storage):
        if study is None:
            echo(f"{path}: is there already")
        else:
            echo(f"{path}: {study.study_name}, {len(study.get_trials(deepcopy=False))} trials")
