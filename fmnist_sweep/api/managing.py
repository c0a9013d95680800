"""Delete studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fmnist_sweep.api.options import Say, say_nothing
from fmnist_sweep.api.studies import open_study, uses_storage
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.engines.machine import machine
from fmnist_sweep.storage import DEFAULT_STORAGE, managing
from fmnist_sweep.storage.address import sqlite_path
from fmnist_sweep.storage.backup import back_up
from fmnist_sweep.storage.managing import Removal
from fmnist_sweep.storage.studies import UNREADABLE
from fmnist_sweep.storage.text_form import dump


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of a deletion.

    Attributes:
        backup: A copy of the storage's file, or, of a server's database, a folder with the studies as text;
            None where none was asked for.
        not_smaller: Why the storage's file could not be made smaller; empty where it was.
    """

    backup: Path | None
    not_smaller: str


@uses_storage
def plan_delete(
    studies: Sequence[str],
    *,
    storage: str = DEFAULT_STORAGE,
    take_over: bool = False,
    say: Say = say_nothing,
) -> list[Removal]:
    """Return what `delete` would delete: studies, and the confirmation of each.

    Args:
        studies: Names.
        storage: Where they are.
        take_over: Also a study whose owner, on another machine, may be alive.
        say: Takes a line for the user.

    Raises:
        SweepError: One is not there, is read-only or is being run; all problems at once.
        StorageError: The storage can't be opened or written.
    """
    return managing.plan_removal(storage, studies, say=say, take_over=take_over)


@uses_storage
def delete(
    planned: Sequence[Removal],
    *,
    storage: str = DEFAULT_STORAGE,
    backup: bool = True,
    take_over: bool = False,
    say: Say = say_nothing,
) -> Deleted:
    """Delete studies with their checkpoints, kept final trainings and files of the dashboard; all or none.

    Args:
        planned: As `plan_delete` gives them.
        storage: Where they are.
        backup: Copy the storage first; of one in a server the studies are written as text.
        take_over: Also a study whose owner, on another machine, may be alive.
        say: Takes a line for the user.

    Raises:
        SweepError: One was changed meanwhile or is being run, or no backup can be made; nothing is deleted.
    """
    made: list[Path] = []

    def make_backup() -> None:
        if backup:
            made.append(_backed_up(storage, planned))
            say(f"A backup is in {made[0]}.")

    not_smaller = managing.remove(storage, planned, say=say, take_over=take_over, before=make_backup)
    return Deleted(made[0] if made else None, not_smaller)


def _backed_up(storage: str, planned: Sequence[Removal]) -> Path:
    if sqlite_path(storage) is not None:
        return back_up(storage).path
    folder = Path(f"deleted-{datetime.now(tz=UTC).astimezone():%Y-%m-%d-%H%M%S}")
    for one in planned:
        # The number keeps two apart whose names are one as files.
        path = folder / f"{safe_name(one.name)}-{one.study}.jsonl"
        try:
            dump(open_study(one.name, storage=storage), path, machine=machine(), mode=0o600)
        except UNREADABLE as error:
            raise StorageError(
                f"study {one.name!r} is damaged and can't be written as text ({error}); nothing was deleted."
                " --no-backup deletes it all the same"
            ) from None
    return folder
