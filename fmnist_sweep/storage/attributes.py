"""The names under which studies and trials hold what they know. Only this room uses them."""

from __future__ import annotations

from typing import Final

READ_ONLY: Final = "read_only"
"""User attribute of a study that came with the repository: in words, where from."""

MACHINE: Final = "machine"
"""User attribute of a study that tells what it ran on; see `fmnist_sweep.engines.machine`."""

ATTRIBUTES: Final = ("hyperparameters", "epoch", "curve")
"""User attributes of every COMPLETE trial that a sweep has told; another tool knows none of them."""
