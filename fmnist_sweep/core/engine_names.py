"""The engines by their names, and what each needs, known without loading one."""

from __future__ import annotations

import importlib.util
from typing import Final

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.core.shared_folder import folder_problems

LOCAL: Final = "local"
RAY: Final = "ray"

MOST_PER_GPU: Final = 100
"""Trials that may share a GPU."""

ENGINES: Final = Registry(
    "engine",
    "fmnist_sweep.engines",
    {
        LOCAL: "fmnist_sweep.engines.local:LocalEngine",
        RAY: "fmnist_sweep.engines.cluster.engine:ClusterEngine",
    },
)
"""Each name stands for something that is called as `fmnist_sweep.engines.opening.open_engine` calls it."""


def engine_problems(
    name: str,
    address: str | None = None,
    checkpoint_storage: str | None = None,
    trials_per_gpu: int | None = None,
) -> list[str]:
    """Return why an engine can't be used as it is asked for, a line each; empty if it can.

    Args:
        name: One of ours, or of an installed package's entry points.
        address: Of the cluster; None where none was given.
        checkpoint_storage: Address of the folder that nodes keep checkpoints in; None where none was given.
        trials_per_gpu: Trials that share a GPU; None where nothing was said of it.

    Example:
        >>> engine_problems("local", "10.0.0.1:6379")
        ["engine.address: 'local' runs on this machine and has no address; the engine of a cluster is 'ray'"]
    """
    try:
        ENGINES.path(name)
    except ConfigError as error:
        return [f"engine.name: {problem}" for problem in error.problems]
    problems = []
    if name == RAY and importlib.util.find_spec("ray") is None:
        problems.append("engine.name: ray needs Ray, which is not installed; pip install 'fmnist-sweep[ray]'")
    if name == LOCAL and address is not None:
        told = f"{name!r} runs on this machine and has no address; the engine of a cluster is {RAY!r}"
        problems.append(f"engine.address: {told}")
    if name == LOCAL and checkpoint_storage is not None:
        told = f"{name!r} keeps checkpoints beside the studies; it is for the engine of a cluster, {RAY!r}"
        problems.append(f"engine.checkpoint_storage: {told}")
    if name == LOCAL and trials_per_gpu is not None:
        told = f"{name!r} shares this machine's GPUs out among --workers; it is for the engine of a cluster"
        problems.append(f"engine.trials_per_gpu: {told}, {RAY!r}")
    elif trials_per_gpu is not None and not 0 <= trials_per_gpu <= MOST_PER_GPU:
        told = f"{trials_per_gpu} can't be used; from 1 to {MOST_PER_GPU}, or 0 to train on CPUs alone"
        problems.append(f"engine.trials_per_gpu: {told}")
    if name == RAY and checkpoint_storage is not None:
        problems += [f"engine.checkpoint_storage: {told}" for told in folder_problems(checkpoint_storage)]
    if name == RAY and address is not None:
        problems += _address_problems(address)
    return problems


def _address_problems(address: str) -> list[str]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto" or (host and port.isdigit()):
        return []
    allowed = "'auto', 'HOST:PORT' of the head, as ray start prints it, or 'ray://HOST:PORT'"
    return [f"engine.address: {address!r} is no address of a Ray cluster; allowed are {allowed}"]
