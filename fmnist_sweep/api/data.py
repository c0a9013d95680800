"""Data sets: find one, and verify it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fmnist_sweep import data
from fmnist_sweep.core.jobs import DataRef


def find_data(*, say: Callable[[str], None], data_dir: Path | None = None) -> DataRef:
    """Find Fashion-MNIST, or fetch it, and verify every file.

    Args:
        say: Takes a line about each thing that takes time or is out of order.
        data_dir: Where it is to be found.

    Raises:
        DataError: It can't be had, or a file is not what it should be; all problems at once.
    """
    return data.open_data(data_dir=data_dir, say=say)
