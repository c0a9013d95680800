"""Commands that keep studies as text, and bring them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmnist_sweep.cli.commands.options import (
    Storage,
    open_studies,
    quiet_optuna,
    uses_storage,
)
from fmnist_sweep.core.errors import SweepError
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
    from fmnist_sweep.core.files import safe_name
    from fmnist_sweep.engines.machine import machine
    from fmnist_sweep.storage.stored import StoredStudy
    from fmnist_sweep.storage.studies import linked_study
    from fmnist_sweep.storage.text_form import dump as write

    def is_asked_for(study: StoredStudy) -> bool:
        return bool(studies) or not (study.is_confirmation or study.read_only is not None)

    found = [one for one in open_studies(storage, studies) if is_asked_for(StoredStudy.of(one))]
    for study in [s for one in found for s in (one, linked_study(one)) if s is not None]:
        path = output / f"{safe_name(study.study_name)}.jsonl"
        n = write(study, path, machine=machine())
        typer.echo(f"{path}: {n} trials")


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
    from fmnist_sweep.reports.dashboard import attach_figures
    from fmnist_sweep.storage.opening import open_storage
    from fmnist_sweep.storage.text_form import load as bring

    quiet_optuna()
    paths = sorted(Path("reference").glob("*.jsonl")) if files is None else files
    if not paths:
        raise SweepError(
            "reference/ holds no studies (*.jsonl); keep some there with: fmnist-sweep dump NAME"
        )
    made = open_storage(storage, create=True)
    for path in paths:
        study = bring(path, made)
        if study is None:
            typer.echo(f"{path}: is there already")
            continue
        attach_figures(study)
        typer.echo(f"{path}: {study.study_name}, {len(study.get_trials(deepcopy=False))} trials")
