"""Commands that delete studies and rename them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fmnist_sweep.cli.commands.options import (
    Storage,
    TakeOver,
    echo,
    quiet_optuna,
    to_stderr,
    uses_storage,
)
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from fmnist_sweep.storage.managing import Removal


@uses_storage
def delete(
    studies: Annotated[list[str], typer.Argument(help="Studies to delete, each with its confirmation.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no backup first.")] = False,
    take_over: TakeOver = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Delete studies with their checkpoints and all else that is kept of them; a backup is made first.

    Example: fmnist-sweep delete old-dense --yes
    """
    # Asked first: what can't be answered needs no look at the storage.
    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise SweepError(
            "delete asks before it deletes, and there is no terminal to answer in; --yes deletes without"
        )
    from fmnist_sweep.api import managing

    quiet_optuna()
    planned = managing.plan_delete(studies, storage=storage, take_over=take_over, say=to_stderr)
    _show(planned)
    if not yes:
        _ask(has_backup=not no_backup)
    done = managing.delete(planned, storage=storage, backup=not no_backup, take_over=take_over, say=to_stderr)
    for one in planned:
        echo(f"{one.name}: deleted")
    if done.not_smaller:
        to_stderr(f"The storage's file is as large as before, for further trials: {done.not_smaller}.")


_SIDE_FOLDERS: Final = (
    ("checkpoints", "checkpoints"),
    ("exports", "kept final trainings"),
    ("weights", "kept weights"),
)


def _show(planned: Sequence[Removal]) -> None:
    from fmnist_sweep.core.wording import counted, megabytes

    for one in planned:
        what = "" if one.confirms is None else f", the confirmation of {one.confirms!r}"
        files = [
            *(
                f"{name} of {megabytes(one.n_bytes[kind])}"
                for kind, name in _SIDE_FOLDERS
                if one.n_bytes[kind]
            ),
            *(
                [f"{counted(len(one.artifacts), 'file')} of the dashboard, {megabytes(one.artifact_bytes)}"]
                if one.artifacts
                else []
            ),
        ]
        to_stderr(f"Study {one.name!r}{what}: {', '.join([counted(one.n_trials, 'trial'), *files])}")
        if one.shared:
            to_stderr(f"  Its checkpoints go with it in {', '.join(one.shared)}")
        if one.bundles:
            to_stderr(f"  Its bundles stay where they are: {', '.join(one.bundles)}")


def _ask(*, has_backup: bool) -> None:
    """Return if the user wants it."""
    first = "A backup is made first." if has_backup else "There is no way back: no backup is made."
    to_stderr(first)
    try:
        wanted = typer.confirm("Delete?", err=True)
    except typer.Abort:
        wanted = False
    if not wanted:
        to_stderr("Nothing was deleted.")
        raise typer.Exit(130)


@uses_storage
def rename(
    old: Annotated[str, typer.Argument(help="Name of the study.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    take_over: TakeOver = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Rename a study, with its confirmation and all else that is kept under its name.

    Example: fmnist-sweep rename dense dense-2026
    """
    from fmnist_sweep.api import renaming

    quiet_optuna()
    renamed = renaming.rename(old, new, storage=storage, take_over=take_over, say=to_stderr)
    for before, after in renamed:
        echo(f"{before}: is {after} now")
    to_stderr(f"To go on with a sweep file that names {old!r}: --study {shlex.quote(new)}")
