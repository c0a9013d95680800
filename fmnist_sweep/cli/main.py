"""The command line: the table of commands, and how errors end them."""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fmnist_sweep import __version__
from fmnist_sweep.cli.commands.archive import dump, load
from fmnist_sweep.cli.commands.manage import delete, rename
from fmnist_sweep.cli.commands.reading import backup, dashboard, report, status, trials
from fmnist_sweep.cli.commands.starting import init
from fmnist_sweep.cli.commands.sweeps import data, run, validate
from fmnist_sweep.cli.commands.winners import best, compare, confirm, export, predict
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.foreign import safe_text

_MAX_MESSAGE: Final = 20_000
"""Characters of an error: a sweep file may have many problems, and all are told at once."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_NOT_USABLE: Final = (*_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
"""What a file or a folder may be wrong with that no program could mend."""

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

COMMANDS = (
    init,
    run,
    confirm,
    compare,
    best,
    status,
    trials,
    validate,
    data,
    dashboard,
    report,
    export,
    predict,
    backup,
    dump,
    load,
    delete,
    rename,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fmnist-sweep {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Hyperparameter sweeps for Keras models, scored by validation accuracy and, if wanted, the gap."""


def _without_aborts(command: Callable[..., None]) -> Callable[..., None]:
    """Keep Click from taking the end of a pipe, deep inside, for a user who gave up at a prompt."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except EOFError as error:
            raise RuntimeError("a pipe or a file ended in the middle") from error

    return guarded


for _command in COMMANDS:
    app.command()(_without_aborts(_command))


def _require_text(arguments: list[str]) -> None:
    """Raise `SweepError` if an argument is neither text nor the name of a file that is there."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            # Python stands in for bytes that are not UTF-8 with what can't be written anywhere.
            if not Path(argument).exists():
                shown = argument.encode(errors="backslashreplace").decode()
                raise SweepError(f"{shown}: is not UTF-8; type it in the encoding of the terminal") from None


def _drop_output() -> None:
    """Let what is still to be printed go nowhere: Python would try once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _not_ours(error: OSError) -> str | None:
    """Return the line on what the system refused and no program could mend; None for a bug of ours."""
    if error.filename is not None:
        refused = error.errno in _NOT_USABLE
        return f"{error.filename} can't be used: {error.strerror}" if refused else None
    if error.errno in _FULL:
        _drop_output()
        return f"what is printed can't be written: {error.strerror}"
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the current folder is gone; change into one that is there"
    return None


def _tell(words: str) -> None:
    """Print on stderr, where that can be written: the exit code tells as well."""
    with suppress(OSError):
        typer.echo(words, err=True)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a bug or no trial that could be trained, 2 a mistake that the user can mend,
    130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal, or a file, that lacks a character gets its number: no command ends for it.
            stream.reconfigure(errors="backslashreplace")
    try:
        _require_text(sys.argv[1:])
        try:
            app()
        finally:
            if sys.stdout is not None:
                # As Python ends, nobody would hear that it can't be written.
                sys.stdout.flush()
    except SweepError as error:
        _tell(safe_text(str(error), _MAX_MESSAGE))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader, such as `head`, has had enough.
        _drop_output()
        sys.exit(0)
    except OSError as error:
        told = _not_ours(error)
        if told is None:
            raise
        _tell(safe_text(told, _MAX_MESSAGE))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
