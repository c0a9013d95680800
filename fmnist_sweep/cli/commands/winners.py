"""Commands for what comes after a sweep: confirm, compare, best, export, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from fmnist_sweep.cli.commands.options import (
    Address,
    AsJson,
    CheckpointStorage,
    DataDir,
    Engine,
    MaxRetries,
    NoProgress,
    Quiet,
    Storage,
    TakeOver,
    TrialsPerGpu,
    Workers,
    command_line,
    echo,
    exit_unless_done,
    messages_console,
    print_json,
    quiet_optuna,
    results_console,
    run_options,
    say_next,
    to_stderr,
    uses_storage,
)
from fmnist_sweep.core.errors import InterruptedExportError, SweepError
from fmnist_sweep.core.jobs import MAX_FINAL_TRAININGS
from fmnist_sweep.storage import DEFAULT_STORAGE

_MANY_COLUMNS: Final = 6
_N_FINALS: Final = 5
_BUNDLES: Final = Path("exports")


@uses_storage
def confirm(
    study: Annotated[str, typer.Argument(help="A sweep's study.")],
    top: Annotated[
        int | None,
        typer.Option(metavar="K", help="Confirm the K best distinct configurations; by default 4."),
    ] = None,
    incumbents: Annotated[
        bool, typer.Option("--incumbents", help="Also those that were the sweep's best for a while.")
    ] = False,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train each N times, each time on other seeds and another split; by default 5.",
        ),
    ] = None,
    sure: Annotated[
        float | None,
        typer.Option(metavar="P", help="Keep the baseline unless its chance to be beaten is above P; 0.8."),
    ] = None,
    thorough: Annotated[
        bool | None,
        typer.Option(
            "--thorough/--not-thorough", help="Pick on 4 repeats; then 8 fresh ones of pick and baseline."
        ),
    ] = None,
    prefer: Annotated[
        Literal["best", "smallest"] | None,
        typer.Option(help="Pick the best mean, or the smallest near it."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(metavar="D", help="How near that is, in points (or nats); by default 0.1."),
    ] = None,
    workers: Workers = None,
    max_retries: MaxRetries = None,
    engine: Engine = None,
    address: Address = None,
    checkpoint_storage: CheckpointStorage = None,
    trials_per_gpu: TrialsPerGpu = None,
    take_over: TakeOver = False,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Train the best configurations and your baseline anew, on fresh seeds and splits, and decide.

    The baseline is the model's default, as its author trains it. Nothing is trained twice: more --repeats,
    or a larger --top, add to what is there.

    Example: fmnist-sweep confirm dense --thorough
    """
    from fmnist_sweep.api import runs
    from fmnist_sweep.cli.console import winner_tables
    from fmnist_sweep.cli.console.cells import say, sayer
    from fmnist_sweep.cli.console.live import Display

    quiet_optuna()
    messages = messages_console(quiet=quiet)
    came = runs.confirm(
        study,
        storage=storage,
        top=top,
        incumbents=incumbents,
        repeats=repeats,
        sure=sure,
        thorough=thorough,
        prefer=prefer,
        within=within,
        max_retries=max_retries,
        options=run_options(
            workers,
            data_dir,
            take_over=take_over,
            engine=engine,
            address=address,
            checkpoint_storage=checkpoint_storage,
            trials_per_gpu=trials_per_gpu,
        ),
        say=sayer(messages),
        observers=[Display(messages, progress=not no_progress)],
    )
    if came.confirmation is not None and as_json:
        print_json(**winner_tables.facts(came.confirmation, came.overtuning))
    elif came.confirmation is not None:
        winner_tables.print_confirmation(results_console(), came.confirmation, came.overtuning)
    kept = {"workers": workers, "engine": engine, "address": address, "data_dir": data_dir}
    kept |= {"checkpoint_storage": checkpoint_storage, "trials_per_gpu": trials_per_gpu}
    if came.end is None:
        say(messages, "The confirmation was finished: nothing was trained. More --repeats add to it.")
    else:
        # What decides is stored as the run begins.
        again = command_line(
            "confirm",
            study,
            storage=storage,
            top=top,
            repeats=repeats,
            incumbents=incumbents,
            max_retries=max_retries,
            **kept,
        )
        exit_unless_done(*came.end, study=came.linked, again=again)
    if came.confirmation is not None and came.confirmation.winner is not None:
        command = command_line("export", study, storage=storage, **kept)
        say_next(messages, command, "the winner as a bundle to take home; reads the test set once")


@uses_storage
def compare(
    studies: Annotated[list[str], typer.Argument(help="Studies of sweeps, two or more.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Set the winners of studies side by side: confirmed scores, or, where there are none, the sweeps'.

    Example: fmnist-sweep compare dense cnn
    """
    from fmnist_sweep.api.comparing import compare as compared
    from fmnist_sweep.cli.console import winner_tables

    sides = compared(studies, storage=storage)
    if as_json:
        print_json(**winner_tables.comparison_facts(sides))
    else:
        winner_tables.print_comparison(results_console(), sides)
        unsure = next((s for s in sides if not (s.confirmed or s.read_only or s.of_objective)), None)
        if unsure is None:
            command = command_line("report", storage=storage)
            what = "a page with all studies, their curves and intervals"
        else:
            command = command_line("confirm", unsure.study, storage=storage)
            what = "trains its best on fresh seeds, which did not pick it"
        say_next(messages_console(), command, what)


@uses_storage
def best(
    study: Annotated[str, typer.Argument(help="A sweep's study.")],
    trial: Annotated[
        int | None, typer.Option(metavar="N", help="A complete trial; by default the winner.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Print the winning configuration as a sweep file that trains it; nothing is trained here.

    Example: fmnist-sweep best dense > best.toml
    """
    from fmnist_sweep.api.winning import best as found

    told = found(study, trial=trial, storage=storage)
    if as_json:
        print_json(**told.facts())
    else:
        typer.echo(told.sweep_file, nl=False)


@uses_storage
def export(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies; by default all sweeps of the storage.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(metavar="N", help="Trial to export; by default the winner.")
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            metavar="N", help="Final trainings, each with a fresh seed.", min=1, max=MAX_FINAL_TRAININGS
        ),
    ] = _N_FINALS,
    again: Annotated[
        bool, typer.Option("--again", help="Read the test set though it was read before; this is counted.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write a bundle anew though it is there, without another reading.")
    ] = False,
    flip_average: Annotated[
        bool,
        typer.Option("--flip-average", help="Hand out the mean over an image and its mirror image."),
    ] = False,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Take the weights that the sweep kept: no training, and no test set read."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Trainings side by side; by default one for each core.")
    ] = None,
    engine: Engine = None,
    address: Address = None,
    checkpoint_storage: CheckpointStorage = None,
    trials_per_gpu: TrialsPerGpu = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder that each study's bundle goes into.")
    ] = _BUNDLES,
    observe: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tell one more of the bundle: mlflow keeps it; repeatable."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Train the winner on fresh seeds, read the test set once, and write a bundle to take home.

    Example: fmnist-sweep export dense
    """
    from fmnist_sweep.api import exports
    from fmnist_sweep.cli.console.cells import sayer
    from fmnist_sweep.cli.console.live import TrainingDisplay

    if trial is not None and len(studies or []) != 1:
        raise SweepError("--trial needs the name of one study, such as: fmnist-sweep export dense --trial 7")
    quiet_optuna()
    options = run_options(
        workers,
        data_dir,
        engine=engine,
        address=address,
        checkpoint_storage=checkpoint_storage,
        trials_per_gpu=trials_per_gpu,
    )
    options.check()
    messages, refused = messages_console(quiet=quiet), []
    say = sayer(messages)
    choice: dict[str, Any] = {"trial": trial, "n_repeats": repeats, "again": again, "force": force}
    choice["flip_average"] = flip_average
    repeat = command_line(
        "export",
        *(studies or []),
        storage=storage,
        trial=trial,
        repeats=repeats if repeats != _N_FINALS else None,
        again=again,
        force=force,
        flip_average=flip_average,
        workers=workers,
        engine=engine,
        address=address,
        checkpoint_storage=checkpoint_storage,
        trials_per_gpu=trials_per_gpu,
        output=output if output != _BUNDLES else None,
        data_dir=data_dir,
        observe=observe,
    )
    for study in exports.to_export(studies, storage=storage, say=say):
        try:
            plan = exports.plan(study, output=output, storage=storage, fast=fast, **choice)
            if plan.is_there:
                say(f"{plan.folder} is there, of this very choice: nothing was trained or read.")
            else:
                what = f"{study.study_name}: {plan.final.n_repeats} final trainings"
                shown = [] if no_progress or fast else [TrainingDisplay(what, plan.choice.epochs, messages)]
                exports.export(
                    plan,
                    storage=storage,
                    options=options,
                    say=say,
                    observers=shown,
                    observe=observe or (),
                )
        except InterruptedExportError as error:
            # Bundles that are there are left as they are.
            raise InterruptedExportError(f"{error}; go on with: fmnist-sweep {repeat}") from None
        except SweepError as error:
            # One study without a complete trial must not keep the others from being exported.
            refused.append(str(error))
            continue
        typer.echo(plan.folder)
        say(" ".join(exports.words(plan)))
        rows = "ROWS.csv" if (plan.folder / "example.npz").exists() else "IMAGES.npy"
        command = command_line("predict", str(plan.folder), rows, storage=DEFAULT_STORAGE)
        say_next(messages, command, "what it says of rows of yours; README.md there tells how good it is")
    if refused:
        raise SweepError("\n".join(refused))


def predict(
    bundle: Annotated[Path, typer.Argument(help="The folder that export has written.")],
    data: Annotated[Path, typer.Argument(help="The rows: an .npz, .npy, .csv or .parquet file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .csv file; .npz keeps raw outputs.")
    ] = Path("predictions.csv"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write what the model of a bundle predicts: classes and their probabilities, or values.

    Example: fmnist-sweep predict exports/dense images.npz --output predictions.csv
    """
    from fmnist_sweep.api.predicting import predict as predicted

    made = predicted(bundle, data, output, force=force, say=to_stderr)
    more = "" if len(made.columns) < _MANY_COLUMNS else ", ..."
    to_stderr(f"Predicted {made.n_rows:,} rows: {', '.join(made.columns[: _MANY_COLUMNS - 1])}{more}.")
    echo(str(made.path))
