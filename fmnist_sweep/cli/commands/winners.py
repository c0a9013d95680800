"""Commands for what comes after a sweep: confirm, compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmnist_sweep.cli.commands.options import (
    AsJson,
    DataDir,
    MaxRetries,
    Storage,
    TakeOver,
    Workers,
    command_line,
    exit_unless_done,
    open_studies,
    print_json,
    quiet_optuna,
    results_console,
    uses_storage,
)
from fmnist_sweep.core.errors import InterruptedExportError, SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE


@uses_storage
def confirm(
    study: Annotated[str, typer.Argument(help="A sweep's study.")],
    top: Annotated[int, typer.Option(metavar="K", help="Confirm the K best distinct configurations.")] = 3,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Train each N times, each time on other seeds and another split.")
    ] = 5,
    workers: Workers = None,
    max_retries: MaxRetries = None,
    take_over: TakeOver = False,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train the best configurations and the default anew, on fresh seeds and splits, and compare them.

    Nothing is trained twice: more --repeats, or a larger --top, add to what is there.

    Example: fmnist-sweep confirm dense --top 3 --repeats 5
    """
    from rich.console import Console

    from fmnist_sweep.analysis.confirmations import read_confirmation
    from fmnist_sweep.analysis.ranking import left_out_notes
    from fmnist_sweep.cli.console import winner_tables
    from fmnist_sweep.cli.console.cells import sayer
    from fmnist_sweep.cli.console.live import Display
    from fmnist_sweep.confirm.request import confirmation_request
    from fmnist_sweep.reports.dashboard import attach_figures
    from fmnist_sweep.search.run import run as run_order
    from fmnist_sweep.storage.stored import StoredStudy
    from fmnist_sweep.storage.studies import linked_study

    quiet_optuna()
    messages = Console(stderr=True)
    swept = open_studies(storage, [study])[0]
    before = StoredStudy.of(swept)
    wanted = confirmation_request(before, top=top, repeats=repeats, max_retries=max_retries)
    for note in left_out_notes(before):
        messages.print(note, highlight=False, soft_wrap=True)
    done = None
    if not wanted.fulfilled():
        done = run_order(
            wanted,
            storage_url=storage,
            say=sayer(messages),
            observers=[Display(messages)],
            n_workers=workers,
            data_dir=data_dir,
            take_over=take_over,
        )
        for one in filter(None, (swept, linked_study(swept))):
            attach_figures(one)
    found = read_confirmation(before.again())
    if found is not None and as_json:
        print_json(winner_tables.facts(found))
    elif found is not None:
        winner_tables.print_confirmation(results_console(), found)
    if done is None:
        messages.print("The confirmation was finished: nothing was trained. More --repeats add to it.")
    else:
        again = command_line("confirm", study, storage=storage, top=top, repeats=repeats)
        exit_unless_done(messages, *done, study=wanted.config.file.study, again=again)


@uses_storage
def compare(
    studies: Annotated[list[str], typer.Argument(help="Studies of sweeps, two or more.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Set the winners of studies side by side: confirmed scores, or, where there are none, the sweeps'.

    Example: fmnist-sweep compare dense cnn
    """
    from fmnist_sweep.analysis.comparing import compared
    from fmnist_sweep.cli.console import winner_tables
    from fmnist_sweep.storage.stored import StoredStudy

    sides = compared([StoredStudy.of(study) for study in open_studies(storage, studies)])
    if as_json:
        print_json(winner_tables.comparison_facts(sides))
    else:
        winner_tables.print_comparison(results_console(), sides)


@uses_storage
def export(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies; by default all sweeps of the storage.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(metavar="N", help="Trial to export; by default the winner.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Final trainings, each with a fresh seed.", min=1, max=100)
    ] = 5,
    again: Annotated[
        bool, typer.Option("--again", help="Read the test set though it was read before; this is counted.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write a bundle anew though it is there, without another reading.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Trainings side by side; by default one for each core.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder that each study's bundle goes into.")
    ] = Path("exports"),
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
) -> None:
    """Train the winner on fresh seeds, read the test set once, and write a bundle to take home.

    Example: fmnist-sweep export dense
    """
    from rich.console import Console

    from fmnist_sweep.cli.console.cells import sayer
    from fmnist_sweep.cli.console.live import TrainingDisplay
    from fmnist_sweep.engines.machine import check_workers
    from fmnist_sweep.export.plan import is_users_sweep, plan_export
    from fmnist_sweep.export.run import run_export
    from fmnist_sweep.storage.opening import side_folder
    from fmnist_sweep.storage.stored import StoredStudy

    if trial is not None and len(studies or []) != 1:
        raise SweepError("--trial needs the name of one study, such as: fmnist-sweep export dense --trial 7")
    if workers is not None and (problems := check_workers(workers)):
        raise SweepError("\n".join(problems))
    messages, refused = Console(stderr=True), []
    found = open_studies(storage, studies)
    for study in found:
        if not (studies or is_users_sweep(StoredStudy.of(study))):
            continue
        try:
            plan = plan_export(
                study,
                output=output,
                root=side_folder(storage, study.study_name, kind="exports"),
                trial=trial,
                n_repeats=repeats,
                again=again,
                force=force,
            )
            if plan.is_there:
                line = f"{plan.folder} is there, of this very choice: nothing was trained or read."
                messages.print(line, highlight=False, markup=False, soft_wrap=True)
            else:
                run_export(
                    plan,
                    storage_url=storage,
                    say=sayer(messages),
                    display=lambda what: TrainingDisplay(what, messages),
                    n_workers=workers,
                    data_dir=data_dir,
                )
        except InterruptedExportError:
            raise
        except SweepError as error:
            # One study without a complete trial must not keep the others from being exported.
            refused.append(str(error))
            continue
        typer.echo(plan.folder)
    if refused:
        raise SweepError("\n".join(refused))
