"""The command line: the table of commands, and how errors end them."""

from __future__ import annotations

import os
import sys

import typer

from fmnist_sweep.cli.commands.archive import dump, load
from fmnist_sweep.cli.commands.reading import backup, dashboard, report, status, trials
from fmnist_sweep.cli.commands.sweeps import data, run, validate
from fmnist_sweep.cli.commands.winners import compare, confirm, export
from fmnist_sweep.core.errors import SweepError

app = typer.Typer(
    help="Hyperparameter sweeps for Keras models, scored by validation accuracy minus a penalty on the gap.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    run,
    confirm,
    compare,
    status,
    trials,
    validate,
    data,
    dashboard,
    report,
    export,
    backup,
    dump,
    load,
)
for _command in COMMANDS:
    app.command()(_command)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a bug or no trial that could be trained, 2 a mistake that the user can mend,
    130 interrupted.
    """
    try:
        app()
    except SweepError as error:
        typer.echo(error, err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader, such as `head`, has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
