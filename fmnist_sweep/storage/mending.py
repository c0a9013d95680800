"""What to do about an SQLite file that is damaged: words for the user, who has a backup or a tool."""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path
from typing import Final

from fmnist_sweep.storage.creating import side_files

_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_NO_TEXT: Final = "Could not decode to UTF-8"
"""What Python says, without a number, of a text that a damaged page cut or filled with something else."""


def is_damage(error: BaseException | None) -> bool:
    """Return whether an error of a database, of SQLAlchemy's or its own, says that its file is damaged."""
    told = getattr(error, "orig", error)
    if not isinstance(told, sqlite3.Error):
        return False
    return (getattr(told, "sqlite_errorcode", 0) or 0) & 0xFF in _DAMAGED or _NO_TEXT in str(told)


def mend_words(path: Path) -> str:
    """Return how a damaged file is replaced by its last backup, or by what can be read of it.

    Args:
        path: The file of an SQLite storage.
    """
    mended = path.with_name(f"{path.stem}-mended{path.suffix}")
    old, new = shlex.quote(str(path)), shlex.quote(str(mended))
    in_place = " and ".join(shlex.quote(str(one)) for one in (path, *side_files(path)))
    last = last_backup(path)
    backup = "" if last is None else f"The last backup beside it is {last}. "
    either = mended if last is None else "that, or the backup,"
    # Not every shell has `.recover`, which finds more; `.dump` ends with a rollback where it met damage.
    return (
        f"The file is damaged. {backup}What can still be read of it is saved, with the sqlite3 shell, by:\n"
        f"  sqlite3 {old} .dump | sed 's/^ROLLBACK; -- due to errors$/COMMIT;/' | sqlite3 {new}\n"
        f"(.recover in place of .dump saves more, where the shell has it). Move {in_place} out of the way,"
        f" then copy {either} to {old}: the same command goes on. fmnist-sweep status tells what is missing."
    )


def last_backup(path: Path) -> Path | None:
    """Return the newest backup beside a storage, as `backup.back_up` names it; None where there is none."""
    named = re.compile(rf"{re.escape(path.stem)}-\d{{4}}-\d{{2}}-\d{{2}}-\d{{6}}{re.escape(path.suffix)}")
    try:
        there = sorted(one for one in path.parent.iterdir() if named.fullmatch(one.name))
    except OSError:
        return None
    return there[-1] if there else None
