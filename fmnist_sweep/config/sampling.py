"""Whether the models of a sweep can be built: some points of its space are tried before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.models import catalog


def sample(config: SweepConfig, n: int) -> list[dict[str, Scalar]]:
    """Return distinct points of a sweep's space, drawn at random and the same every time.

    Args:
        config: The settings.
        n: How many, or as many as there are.
    """
    rng = np.random.default_rng(0)
    drawn: dict[tuple[tuple[str, Scalar], ...], dict[str, Scalar]] = {}
    # A finite space may hold fewer.
    for _ in range(5 * n):
        if len(drawn) < n:
            point = config.sampled_space.sample(rng)
            drawn.setdefault(tuple(sorted(point.items())), point)
    return list(drawn.values())


def tried_builds(config: SweepConfig, n: int, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Build the model of a sweep at some points of its space, in a process of its own.

    Args:
        config: The settings.
        n: How many points.
        say: Takes a line where it takes more than a moment.

    Returns:
        As `fmnist_sweep.models.building_sample.tried_builds`; nothing is tried of models of ours, whose
        limits are known.

    Raises:
        ConfigError: The model can't be imported, or the builds take longer than they may.
    """
    if config.model_space.n_parameters is not None or n < 1:
        return {"tried": 0, "failed": 0, "parts": []}
    shape, n_classes = config.images
    data = config.data
    return catalog.tried_builds(
        config.model_space.path,
        sample(config, n),
        input_shape=shape,
        n_classes=n_classes,
        data=None if data is None or data.form == "images" else Path(data.directory),
        folders=config.folders,
        seconds=config.file.budget.prepare_seconds,
        say=say,
    )


def build_problems(tried: dict[str, Any]) -> list[str]:
    """Return what is told of points that can't be built, one line for each cause; empty where all can.

    Example:
        >>> part = {"values": {"pool": 3}, "problem": "ValueError: too small", "n": 2}
        >>> build_problems({"tried": 20, "failed": 2, "parts": [part]})[0].partition("; ")[0]
        'space: 2 of 20 builds fail: for pool 3 (2 of them): ValueError: too small'
    """
    if not tried["failed"]:
        return []
    told = []
    for part in tried["parts"]:
        where = ", ".join(f"{name} {value}" for name, value in part["values"].items())
        told.append(f"{f'for {where}' if where else 'for all'} ({part['n']} of them): {part['problem']}")
    left = tried["failed"] - sum(part["n"] for part in tried["parts"])
    more = [f"and {left} more"] if left else []
    mend = "narrow the space, or let build do without"
    return [f"space: {tried['failed']} of {tried['tried']} builds fail: {'; '.join([*told, *more])}; {mend}"]
