"""Run the experiments of the original study again: ``python -m original_study``, or ``make paper``."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import optuna
import typer
from rich.console import Console

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.progress import Stop, require_results
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.opening import storage_in_use
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.text_form import PREFIX
from original_study.experiments import FULL, QUICK, SWEEPS, experiments
from original_study.page import Paper
from original_study.results import read_results
from original_study.running import read_test_set, run_experiments, stored_studies
from original_study.searched import is_search
from original_study.workload import print_workload
from original_study.writing import Places, write_paper

PROGRAM: Final = "python -m original_study"

_WIDE: Final = 200

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def study(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer seeds and images: ten minutes, and no verdicts to rely on.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Seeds of each configuration: a total.", min=2, max=1000)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what is left to train, and end.")] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Write the page from the reference studies; train nothing.")
    ] = False,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="Write the page from what is stored; train nothing.")
    ] = False,
    sweeps: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the experiments' sweep files.")
    ] = SWEEPS,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the HTML page.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page as Markdown; by default docs/paper.md or DIR/paper.md."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Trials side by side; by default one for each core.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Run a study though its owner, on another machine, may live.")
    ] = False,
    storage: Annotated[
        str, typer.Option(metavar="URL", help="Where the studies are.", envvar="FMNIST_SWEEP_STORAGE")
    ] = DEFAULT_STORAGE,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder with the four files of Fashion-MNIST.", envvar="FMNIST_DATA_DIR"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting, such as score.penalty=2; repeatable."
        ),
    ] = None,
) -> None:
    """Run the original study again, with repeats, and write a page with a verdict for each claim.

    It goes on where it stopped. The page goes to docs/paper.md and report/paper/index.html; that of the quick
    form, or of other settings, to report/paper-quick/ alone.

    Example: python -m original_study --quick
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scale = replace(QUICK if quick else FULL, overrides=tuple(overrides or ()))
    scale = scale if seeds is None else replace(scale, n_repeats=seeds)
    prefix = f"{PREFIX}{scale.prefix}" if reference else scale.prefix
    wanted = experiments(scale, folder=sweeps)
    say = partial(typer.echo, err=True)
    flags = [flag for flag, given in (("--quick", quick), ("--reference", reference)) if given]
    asked = _command_line(flags, storage=storage, seeds=seeds, overrides=overrides)
    with storage_in_use(storage):
        if dry_run:
            names = {experiment.study_name for experiment in wanted}
            print_workload(_results_console(), wanted, stored_studies(storage, names.__contains__))
            return
        if not (page_only or reference):
            training: dict[str, Any] = {"n_workers": workers, "data_dir": data_dir}
            stopped = run_experiments(wanted, storage_url=storage, say=say, take_over=take_over, **training)
            if stopped is not None:
                if stopped.stop is Stop.INTERRUPTED:
                    say(f"Everything is kept. Go on with: {asked}")
                    raise typer.Exit(130)
                require_results(stopped.study, stopped.stop, stopped.progress)
            read_test_set(wanted, Path("exports"), storage_url=storage, say=say, **training)
        # Only the whole of it is a page to commit.
        whole = not quick and not overrides
        usual = Path("report/paper") if whole else Path("report/paper-quick")
        folder = usual if output is None else output
        default = Path("docs/paper.md") if whole else folder / "paper.md"
        places = Places(folder, default if markdown is None else markdown)
        for path in write_paper(_read(storage, prefix, asked, quick=not whole), places):
            typer.echo(path)


def _command_line(flags: list[str], *, storage: str, seeds: int | None, overrides: list[str] | None) -> str:
    """Return what a user can type again; a password in the storage's address is not shown."""
    typed = [*flags]
    typed += [] if seeds is None else ["--seeds", str(seeds)]
    typed += [word for override in overrides or () for word in ("--set", override)]
    typed += [] if storage == DEFAULT_STORAGE else ["--storage", safe_url(storage)]
    return f"{PROGRAM} {shlex.join(typed)}".rstrip()


def _results_console() -> Console:
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_WIDE)


def _read(storage: str, prefix: str, asked: str, *, quick: bool) -> Paper:
    found = stored_studies(storage, lambda name: name.startswith(prefix) or is_search(name))
    studies = {name: StoredStudy.of(study) for name, study in found.items()}
    results = read_results(studies, prefix=prefix)
    if not results.studies:
        raise SweepError(f"there are no studies {prefix}* yet; run them with: {PROGRAM}")
    date = f"{datetime.now(UTC).astimezone():%Y-%m-%d}"
    return Paper(results, studies, command=asked, date=date, quick=quick)


def main() -> None:
    """Run the command line; exit codes are those of ``fmnist-sweep``."""
    try:
        app()
    except SweepError as error:
        typer.echo(error, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
