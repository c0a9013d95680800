"""Sets up the fork server, which imports this module before all else.

Working at import is its purpose. What the server prints goes to a file, so that its last words can be told
where it dies; processes that trials have left behind come to it, and end with it.
"""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Final

from fmnist_sweep.core.families import adopt_orphans, end_descendants

LOG: Final = "FMNIST_SWEEP_SERVER_LOG"
"""Names the file in the environment that the server starts with; it is removed as it is opened."""

SAFE_PATH: Final = "PYTHONSAFEPATH"
"""Keeps Python from looking for modules in the current folder first."""

SAFE: Final = "fmnist-sweep"
"""Its value where the user has set none: it is none of a trial's business."""


def _set_up(log: Path) -> None:
    with log.open("ab", buffering=0) as file:
        log.unlink()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if os.environ.get(SAFE_PATH) == SAFE:
        del os.environ[SAFE_PATH]
    adopt_orphans()
    pid = os.getpid()
    atexit.register(lambda: end_descendants() if os.getpid() == pid else None)


# Not there in a server that a model's own code has started, and that imports what this one does.
if (_log := os.environ.pop(LOG, None)) is not None:
    _set_up(Path(_log))
