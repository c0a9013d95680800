"""Commands that show and keep what studies hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fmnist_sweep.cli.commands.options import (
    AsJson,
    Storage,
    command_line,
    messages_console,
    print_json,
    results_console,
    say_next,
    to_stderr,
    uses_storage,
)
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE

_MAX_PROBLEMS: Final = 20
"""Lines that tell of a damaged study."""


@uses_storage
def status(storage: Storage = DEFAULT_STORAGE, as_json: AsJson = False) -> None:
    """Show what each study is at.

    Example: fmnist-sweep status --json
    """
    from fmnist_sweep.cli.console.status import print_studies
    from fmnist_sweep.storage.overview import read_overview

    rows = read_overview(storage)
    if rows is None:
        from fmnist_sweep.analysis.frames import studies_frame
        from fmnist_sweep.api.studies import read_studies
        from fmnist_sweep.cli.console.frame_table import records

        rows = records(studies_frame(read_studies(storage=storage)))
    if as_json:
        print_json(studies=rows)
    else:
        print_studies(results_console(), rows)
        _say_what_is_next(rows, storage)


def _say_what_is_next(rows: Sequence[Mapping[str, Any]], storage: str) -> None:
    """Name the command that shows more of the study in which something happened last."""
    whole = [row for row in rows if "damaged" not in row]
    if not rows:
        say_next(messages_console(), "init", "a model and a sweep file to start from")
    elif whole:
        last = max(whole, key=lambda row: str(row["last_activity"] or ""))
        command = command_line("trials", last["name"], storage=storage)
        say_next(messages_console(), command, "each trial of the study that was run last")


@uses_storage
def trials(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help="Those alone, such as 'gap < 0.02 and depth > 1'.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="By score (the best first), gap, depth, ...; -gap reverses."),
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="N", help="The first N of them.", min=1)] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="These columns alone, such as number,score,depth.")
    ] = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="A column for each hyperparameter that varies.")
    ] = False,
) -> None:
    """List the trials of a study.

    Example: fmnist-sweep trials dense --sort score --top 10 --where "gap < 0.02"
    """
    from fmnist_sweep.api.studies import read_studies

    outputs = {"--json": as_json, "--csv": as_csv, "--wide": wide}
    if sum(outputs.values()) > 1:
        raise SweepError(
            f"{' and '.join(name for name, on in outputs.items() if on)} exclude each other; choose one"
        )
    if wide and columns is not None:
        raise SweepError("--wide and --columns exclude each other; choose one")
    (found,) = read_studies(storage=storage, names=[study])
    is_chosen = any(option is not None for option in (where, sort, top, columns))
    if not (as_json or as_csv or is_chosen):
        from fmnist_sweep.cli.console.trial_table import print_trials

        print_trials(results_console(), found, wide=wide)
    else:
        from fmnist_sweep.analysis.choosing import chosen_trials
        from fmnist_sweep.analysis.frames import to_csv
        from fmnist_sweep.cli.console.frame_table import print_frame, records

        kept = None if columns is None else [name.strip() for name in columns.split(",")]
        frame = chosen_trials(found, where=where, sort=sort, top=top, columns=kept)
        if as_json:
            print_json(study=study, trials=records(frame))
        elif as_csv:
            sys.stdout.write(to_csv(frame))
        elif kept is not None:
            print_frame(results_console(), frame)
        else:
            from fmnist_sweep.cli.console.trial_table import print_trials

            by_number = {trial.number: trial for trial in found.trials}
            some = [by_number[number] for number in frame["number"]]
            print_trials(results_console(), found, trials=some, wide=wide)
    for problem in found.damaged[:_MAX_PROBLEMS]:
        to_stderr(f"damaged: {problem}")
    if len(found.damaged) > _MAX_PROBLEMS:
        to_stderr(f"damaged: {len(found.damaged) - _MAX_PROBLEMS} more")


@uses_storage
def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others can reach 0.0.0.0, by a password.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default 8080 or the next free one.", min=1, max=65535)
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the dashboard asks for, under any name; needed wherever others can reach it.",
            envvar="FMNIST_SWEEP_DASHBOARD_PASSWORD",
            show_envvar=True,
        ),
    ] = None,
) -> None:
    """Browse the studies in optuna-dashboard, learning curves included.

    Example: fmnist-sweep dashboard --port 8081
    """
    from fmnist_sweep.api.dashboard import dashboard as serve

    serve(storage=storage, host=host, port=port, password=password, announce=to_stderr)


@uses_storage
def report(
    storage: Storage = DEFAULT_STORAGE,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")] = Path(
        "report/index.html"
    ),
) -> None:
    """Write a static page on all studies: it needs no server and no network.

    Example: fmnist-sweep report --output report/index.html
    """
    from fmnist_sweep.api import pages

    page = pages.report(output, storage=storage, say=to_stderr)
    to_stderr("Open it in a browser, here or on any other machine: all of it is in this one file.")
    typer.echo(page)


@uses_storage
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(help="The copy to write; by default beside the storage, with the time in its name."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a whole, verified copy of an SQLite storage, also while a sweep is running.

    Example: fmnist-sweep backup copies/studies.db
    """
    from fmnist_sweep.api import keeping

    made = keeping.backup(file, storage=storage, overwrite=force)
    typer.echo(f"Copied; studies: {made.n_studies}, trials: {made.n_trials}.", err=True)
    typer.echo(made.path)
    command = command_line("status", storage=f"sqlite:///{made.path}")
    say_next(messages_console(), command, "what the copy holds; any command reads it so")
