"""The command that runs the report's experiments again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fmnist_sweep.commands.options import (
    STORAGE,
    DataDir,
    Overrides,
    Storage,
    TakeOver,
    Workers,
    command_line,
    exit_unless_done,
    quiet_optuna,
    results_console,
    uses_storage,
)
from fmnist_sweep.core.errors import SweepError

if TYPE_CHECKING:
    from fmnist_sweep.paper.page import Paper


@uses_storage
def paper(
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
    ] = Path("sweeps/paper"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the HTML page.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page as Markdown; by default docs/paper.md or DIR/paper.md."),
    ] = None,
    workers: Workers = None,
    take_over: TakeOver = False,
    storage: Storage = STORAGE,
    data_dir: DataDir = None,
    overrides: Overrides = None,
) -> None:
    """Run the report's experiments again, with repeats, and write a page with a verdict for each claim.

    It goes on where it stopped. The page goes to docs/paper.md and report/paper/index.html; that of the quick
    form, or of other settings, to report/paper-quick/ alone.

    Example: fmnist-sweep paper --quick
    """
    from dataclasses import replace

    from rich.console import Console

    from fmnist_sweep.paper.experiments import FULL, QUICK, experiments
    from fmnist_sweep.paper.running import read_test_set, run_experiments, stored_studies
    from fmnist_sweep.paper.workload import print_workload
    from fmnist_sweep.paper.writing import Places, write_paper
    from fmnist_sweep.storage.text_form import PREFIX

    quiet_optuna()
    scale = replace(QUICK if quick else FULL, overrides=tuple(overrides or ()))
    scale = scale if seeds is None else replace(scale, n_repeats=seeds)
    prefix = f"{PREFIX}{scale.prefix}" if reference else scale.prefix
    wanted = experiments(scale, folder=sweeps)
    messages = Console(stderr=True)
    flags = [flag for flag, given in (("--quick", quick), ("--reference", reference)) if given]
    asked = command_line("paper", *flags, storage=storage, seeds=seeds, set=overrides)
    if dry_run:
        names = {experiment.study_name for experiment in wanted}
        print_workload(results_console(), wanted, stored_studies(storage, names.__contains__))
        return
    if not (page_only or reference):
        training: dict[str, Any] = {"n_workers": workers, "data_dir": data_dir}
        stopped = run_experiments(
            wanted, storage_url=storage, console=messages, take_over=take_over, **training
        )
        if stopped is not None:
            exit_unless_done(messages, stopped.stop, stopped.progress, study=stopped.study, again=asked)
        read_test_set(wanted, Path("exports"), storage_url=storage, console=messages, **training)
    # Only the whole of it is a page to commit.
    whole = not quick and not overrides
    folder = (Path("report/paper") if whole else Path("report/paper-quick")) if output is None else output
    default = Path("docs/paper.md") if whole else folder / "paper.md"
    places = Places(folder, default if markdown is None else markdown)
    for path in write_paper(_read(storage, prefix, asked, quick=not whole), places):
        typer.echo(path)


def _read(storage: str, prefix: str, asked: str, *, quick: bool) -> Paper:
    from datetime import UTC, datetime

    from fmnist_sweep.paper.page import Paper
    from fmnist_sweep.paper.results import read_results
    from fmnist_sweep.paper.running import stored_studies
    from fmnist_sweep.paper.searched import is_search

    studies = stored_studies(storage, lambda name: name.startswith(prefix) or is_search(name))
    results = read_results(studies, prefix=prefix)
    if not results.studies:
        raise SweepError(f"there are no studies {prefix}* yet; run them with: fmnist-sweep paper")
    date = f"{datetime.now(UTC).astimezone():%Y-%m-%d}"
    return Paper(results, studies, command=f"fmnist-sweep {asked}", date=date, quick=quick)
