"""Delete or rename a study again and again, killed at another moment each time.

``python killed_manager.py FOLDER COMMAND...`` copies ``FOLDER/whole`` to ``FOLDER/0``, ``FOLDER/1`` and
so on, and runs the command in each: the first process is killed at the first thing that it changes on the
disk or in the database, the next one at the second, until one comes to its end. Prints how many were killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

import sqlalchemy.event
from alembic.script import ScriptDirectory
from optuna.storages import _rdb
from sqlalchemy.engine import Engine

from fmnist_sweep.api import managing, renaming  # noqa: F401 - for the forked ones, which need not load it
from fmnist_sweep.cli import main as cli

_EVENTS: Final = {"os.link", "os.remove", "os.rename"}
_STATEMENTS: Final = ("DELETE FROM studies", "UPDATE studies", "VACUUM")
"""The others stand between these in one transaction."""


def die_at(moment: int) -> None:
    """Be killed right before the so-manieth thing that is done from now on, counted from 0."""
    left = moment
    has_begun = False

    def step() -> None:
        nonlocal left
        if not has_begun:
            return
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal has_begun
        # What comes before, checks and locks, is that of every command.
        has_begun = has_begun or (event == "os.mkdir" and str(arguments[0]).endswith("fmnist-sweep-part"))
        if event in _EVENTS:
            step()

    sys.addaudithook(audit)

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(_STATEMENTS):
            step()

    sqlalchemy.event.listen(Engine, "before_cursor_execute", execute)
    sqlalchemy.event.listen(Engine, "commit", lambda _connection: step())


def main(root: Path, command: list[str]) -> None:
    """Kill the command at each moment."""
    # What is drawn for the dashboard comes after all that counts, and takes long.
    setattr(renaming, "attach_figures", lambda _study: None)  # noqa: B010 - another function of that name
    # Each would look through all of Optuna's schemas for the newest one, which takes longer than the rest.
    head = ScriptDirectory(f"{Path(_rdb.__file__).parent}/alembic").get_current_head()
    setattr(ScriptDirectory, "get_current_head", lambda _scripts: head)  # noqa: B010 - as above
    n = 0
    while True:
        folder = root / str(n)
        shutil.copytree(root / "whole", folder)
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            sys.argv = ["fmnist-sweep", *command]
            die_at(n)
            try:
                cli.main()
            except SystemExit as end:
                sys.stderr.flush()
                os._exit(int(end.code or 0))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{n}\n")
            sys.exit(os.waitstatus_to_exitcode(status))
        n += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
