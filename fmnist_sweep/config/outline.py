"""What a sweep file asks for, for the terminal and for scripts. Nothing here loads pandas or Optuna."""

from __future__ import annotations

import math
from typing import Any

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.data import data_notes


def outline(config: SweepConfig) -> dict[str, Any]:
    """Return what ``validate`` tells of a sweep: its size is None where the space is continuous."""
    size = config.n_points
    counts = config.n_parameters_range()
    return {
        **config.to_dict(),
        "searched": list(config.sampled_space.searched),
        "size": None if math.isinf(size) else size,
        "n_parameters": None if counts is None else list(counts),
        "digest": config.digest,
        "notes": [
            *config.notes,
            *data_notes(config.data, config.split, n_probe=config.n_probe),
        ],
    }
