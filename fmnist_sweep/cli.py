"""The commands. Each parses its options, calls the layer below and prints; anything heavy loads inside."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fmnist_sweep.errors import ConfigError, SweepError

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

    from fmnist_sweep.config import SweepConfig
    from fmnist_sweep.progress import Progress, Stop

app = typer.Typer(
    help="Hyperparameter sweeps for Keras models, scored by validation accuracy minus a penalty on the gap.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_STORAGE = "sqlite:///studies.db"

Storage = Annotated[
    str,
    typer.Option("--storage", metavar="URL", help="Where the studies are.", envvar="FMNIST_SWEEP_STORAGE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a setting, such as score.penalty=2; repeatable."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder with the four files of Fashion-MNIST.", envvar="FMNIST_DATA_DIR"
    ),
]

Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Trials side by side; by default one for each core.")
]
MaxRetries = Annotated[
    int | None, typer.Option(metavar="N", help="How often a trial whose process died goes on in a new one.")
]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Run the study though its owner, on another machine, may live.")
]


def _uses_storage(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command with the option ``--storage`` tell of a storage that is lost while it is in use."""

    @functools.wraps(command)
    def told(*, storage: str, **options: Any) -> None:
        try:
            command(storage=storage, **options)
        except (SweepError, typer.Exit):
            raise
        except Exception:
            # Loaded now: what tells a lost storage from a bug knows Optuna, and `status` answers without it.
            from fmnist_sweep.study import storage_in_use

            with storage_in_use(storage):
                raise

    return told


@app.command()
@_uses_storage
def run(
    file: Annotated[Path, typer.Argument(help="A sweep file.")],
    study: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the study.")] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Finished trials in the study: a total, not n more.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds after which no trial is started.")
    ] = None,
    workers: Workers = None,
    import_from: Annotated[
        str | None,
        typer.Option(
            "--import-from", metavar="NAME", help="First bring over the fitting trials of another study."
        ),
    ] = None,
    max_retries: MaxRetries = None,
    take_over: TakeOver = False,
    storage: Storage = _STORAGE,
    data_dir: DataDir = None,
    overrides: Overrides = None,
) -> None:
    """Run a sweep, or go on with it.

    Example: fmnist-sweep run sweeps/dense.toml --trials 50 --set score.penalty=2
    """
    from fmnist_sweep.config import load_config

    named = {
        "study": study,
        "budget.trials": trials,
        "budget.seconds": timeout,
        "budget.max_retries": max_retries,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None]
    config = load_config(file, [*(overrides or []), *given])
    _run(
        config,
        str(file),
        storage=storage,
        n_workers=workers,
        data_dir=data_dir,
        take_over=take_over,
        import_from=import_from,
    )


def _run(config: SweepConfig, file: str, *, storage: str, **options: Any) -> None:
    from rich.console import Console

    from fmnist_sweep import tables
    from fmnist_sweep.progress import Stop
    from fmnist_sweep.reports.dashboard import attach_figures
    from fmnist_sweep.runner import run_sweep

    _quiet_optuna()
    messages = Console(stderr=True)
    stop, progress = run_sweep(config, storage_url=storage, console=messages, **options)
    study = _studies(storage, [config.file.study])[0]
    attach_figures(study)
    tables.print_summary(Console(), study, stop, progress, storage=storage)
    if not progress.n_done_now and stop in (Stop.TRIALS, Stop.EPOCHS, Stop.SPACE):
        more = f" --trials is a total: more than {progress.n_done} goes on." if stop is Stop.TRIALS else ""
        messages.print(f"The study was finished: nothing was trained.{more}", highlight=False, soft_wrap=True)
    _exit_unless_done(messages, stop, progress, study=config.file.study, again=f"run {file}")


def _quiet_optuna() -> None:
    import optuna

    # Optuna logs every study that it creates; the display says it better.
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _exit_unless_done(messages: Console, stop: Stop, progress: Progress, *, study: str, again: str) -> None:
    from fmnist_sweep.progress import Stop

    if stop is Stop.INTERRUPTED:
        messages.print(
            f"Everything is kept. Go on with: fmnist-sweep {again}", highlight=False, soft_wrap=True
        )
        raise typer.Exit(130)
    if stop is Stop.FAILURES:
        reason = progress.ended.reason if progress.ended is not None else ""
        raise SweepError(f"study {study!r}: {stop.value}; the last one: {reason}")


@app.command()
def confirm(
    study: Annotated[str, typer.Argument(help="A sweep's study.")],
    top: Annotated[int, typer.Option(metavar="K", help="Confirm the K best distinct configurations.")] = 3,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Train each N times, each time on other seeds and another split.")
    ] = 5,
    workers: Workers = None,
    max_retries: MaxRetries = None,
    take_over: TakeOver = False,
    storage: Storage = _STORAGE,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train the best configurations and the default anew, on fresh seeds and splits, and compare them.

    Nothing is trained twice: more --repeats, or a larger --top, add to what is there.

    Example: fmnist-sweep confirm dense --top 3 --repeats 5
    """
    from rich.console import Console

    from fmnist_sweep import winner_tables
    from fmnist_sweep.confirming import order
    from fmnist_sweep.reports.dashboard import attach_figures
    from fmnist_sweep.runner import run as run_order
    from fmnist_sweep.study import storage_in_use
    from fmnist_sweep.winners.confirmations import linked_study, read_confirmation

    _quiet_optuna()
    messages = Console(stderr=True)
    swept = _studies(storage, [study])[0]
    wanted = order(swept, top=top, repeats=repeats, max_retries=max_retries)
    done = None
    if not wanted.fulfilled():
        with storage_in_use(storage):
            done = run_order(
                wanted,
                storage_url=storage,
                console=messages,
                n_workers=workers,
                data_dir=data_dir,
                take_over=take_over,
            )
        for one in filter(None, (swept, linked_study(swept))):
            attach_figures(one)
    found = read_confirmation(swept)
    if found is not None and as_json:
        _print_json(winner_tables.facts(found))
    elif found is not None:
        winner_tables.print_confirmation(Console(), found)
    if done is None:
        messages.print("The confirmation was finished: nothing was trained. More --repeats add to it.")
    else:
        again = f"confirm {shlex.quote(study)} --top {top} --repeats {repeats}"
        _exit_unless_done(messages, *done, study=wanted.config.file.study, again=again)


@app.command()
def compare(
    studies: Annotated[list[str], typer.Argument(help="Studies of sweeps, two or more.")],
    storage: Storage = _STORAGE,
    as_json: AsJson = False,
) -> None:
    """Set the winners of studies side by side: confirmed scores, or, where there are none, the sweeps'.

    Example: fmnist-sweep compare dense cnn
    """
    from rich.console import Console

    from fmnist_sweep import winner_tables
    from fmnist_sweep.winners.comparing import compared

    sides = compared(_studies(storage, studies))
    if as_json:
        _print_json(winner_tables.comparison_facts(sides))
    else:
        winner_tables.print_comparison(Console(), sides)


@app.command()
@_uses_storage
def status(storage: Storage = _STORAGE, as_json: AsJson = False) -> None:
    """Show what each study is at.

    Example: fmnist-sweep status --json
    """
    from rich.console import Console

    from fmnist_sweep.overview import print_studies, read_overview

    rows = read_overview(storage)
    if rows is None:
        from fmnist_sweep import tables
        from fmnist_sweep.reports.frames import studies_frame

        rows = tables.records(studies_frame(_studies(storage)))
    if as_json:
        _print_json(rows)
    else:
        print_studies(Console(), rows)


@app.command()
@_uses_storage
def trials(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    storage: Storage = _STORAGE,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List the trials of a study.

    Example: fmnist-sweep trials dense --csv
    """
    from rich.console import Console

    from fmnist_sweep import tables
    from fmnist_sweep.reports.frames import trials_frame

    if as_json and as_csv:
        raise SweepError("--json and --csv exclude each other; choose one")
    frame = trials_frame(_studies(storage, [study])[0])
    if as_json:
        _print_json(tables.records(frame))
    elif as_csv:
        sys.stdout.write(frame.to_csv(index=False))
    else:
        tables.print_trials(Console(), frame)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Sweep files.")],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check sweep files and print their space, its size, the parameter counts and the budget.

    Example: fmnist-sweep validate sweeps/*.toml
    """
    from rich.console import Console

    from fmnist_sweep.config import load_config
    from fmnist_sweep.outline import outline, print_config

    configs, problems = [], []
    for file in files:
        try:
            configs.append((file, load_config(file, overrides or [])))
        except ConfigError as error:
            problems.append(str(error))
    if as_json:
        _print_json([{"file": str(file), **outline(config)} for file, config in configs])
    else:
        for file, config in configs:
            print_config(Console(), str(file), config)
    if problems:
        raise SweepError("\n".join(problems))


@app.command()
def data(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Find Fashion-MNIST, or fetch it, and verify every file.

    Example: fmnist-sweep data
    """
    from dataclasses import asdict

    from fmnist_sweep.data import open_data

    found = open_data(data_dir=data_dir, say=lambda line: typer.echo(line, err=True))
    if as_json:
        _print_json(asdict(found))
    else:
        typer.echo(f"{found.name}: {found.n_train} training images, verified, in {found.directory}")


@app.command()
@_uses_storage
def dashboard(
    storage: Storage = _STORAGE,
    host: Annotated[str, typer.Option(help="Address to listen on; others can reach 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default 8080 or the next free one.", min=1, max=65535)
    ] = None,
) -> None:
    """Browse the studies in optuna-dashboard, learning curves included.

    Example: fmnist-sweep dashboard --port 8081
    """
    from fmnist_sweep.reports.dashboard import serve

    serve(storage, host=host, port=port, announce=lambda line: typer.echo(line, err=True))


@app.command()
@_uses_storage
def report(
    storage: Storage = _STORAGE,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")] = Path(
        "report/index.html"
    ),
) -> None:
    """Write a static page on all studies: it needs no server and no network.

    Example: fmnist-sweep report --output report/index.html
    """
    from fmnist_sweep.address import safe_url
    from fmnist_sweep.reports.html import write_report

    studies = _studies(storage)
    if not studies:
        raise SweepError(
            f"{safe_url(storage)} has no studies yet; run a sweep first, such as: make sweep-dense"
        )
    typer.echo(write_report(studies, output, storage=safe_url(storage)))


@app.command()
@_uses_storage
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
    storage: Storage = _STORAGE,
    data_dir: DataDir = None,
) -> None:
    """Train the winner on fresh seeds, read the test set once, and write a bundle to take home.

    Example: fmnist-sweep export dense
    """
    from rich.console import Console

    from fmnist_sweep.exporting import run_export
    from fmnist_sweep.runner import check_workers
    from fmnist_sweep.study import side_folder, storage_in_use
    from fmnist_sweep.winners.export import is_sweep, plan_export
    from fmnist_sweep.winners.final import InterruptedExportError

    if trial is not None and len(studies or []) != 1:
        raise SweepError("--trial needs the name of one study, such as: fmnist-sweep export dense --trial 7")
    if workers is not None and (problems := check_workers(workers)):
        raise SweepError("\n".join(problems))
    messages, refused = Console(stderr=True), []
    found = _studies(storage, studies)
    for study in found if studies else filter(is_sweep, found):
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
                with storage_in_use(storage):
                    run_export(
                        plan, storage_url=storage, console=messages, n_workers=workers, data_dir=data_dir
                    )
        except InterruptedExportError as error:
            typer.echo(error, err=True)
            raise typer.Exit(130) from None
        except SweepError as error:
            # One study without a complete trial must not keep the others from being exported.
            refused.append(str(error))
            continue
        typer.echo(plan.folder)
    if refused:
        raise SweepError("\n".join(refused))


@app.command()
@_uses_storage
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(help="The copy to write; by default beside the storage, with the time in its name."),
    ] = None,
    storage: Storage = _STORAGE,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a whole, verified copy of an SQLite storage, also while a sweep is running.

    Example: fmnist-sweep backup copies/studies.db
    """
    from fmnist_sweep.backup import back_up

    made = back_up(storage, file, overwrite=force)
    typer.echo(f"Copied; studies: {made.n_studies}, trials: {made.n_trials}.", err=True)
    typer.echo(made.path)


def _studies(storage_url: str, names: Iterable[str] | None = None) -> list[optuna.Study]:
    from fmnist_sweep.study import load_study, open_storage, study_names

    storage = open_storage(storage_url, create=False)
    return [load_study(storage, name) for name in (names or study_names(storage))]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a bug, 2 a mistake that the user can mend, 130 interrupted.
    """
    try:
        app()
    except SweepError as error:
        typer.echo(error, err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader, such as `head`, has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
