"""Which versions of the packages that decide results are installed."""

from __future__ import annotations

import importlib.metadata
from typing import Final

_RECORDED_PACKAGES: Final = ("fmnist-sweep", "tensorflow", "keras", "keras-tuner", "optuna", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide results."""
    found = {}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            # Run from a source folder that was never installed.
            found[package] = "unknown"
    return found


SCHEMA_VERSION: Final = 1
"""Of what programs read of a run and of tables: it grows where a script that reads them could break.

docs/machine.md documents it. A field that is added changes nothing for a script, and so not the number."""
