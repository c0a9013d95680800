"""Open an engine by its name."""

from __future__ import annotations

from typing import Any

from fmnist_sweep.core.engine_names import ENGINES, LOCAL, RAY, engine_problems
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.engines.base import KERAS_TRAINER, OpenEngine
from fmnist_sweep.engines.machine import check_workers, n_cores


def open_engine(
    name: str,
    slots: int,
    *,
    places: Places,
    trainer: str = KERAS_TRAINER,
    time_limit_s: float | None = None,
    address: str | None = None,
    checkpoint_storage: SharedFolder | None = None,
    trials_per_gpu: int | None = None,
) -> OpenEngine:
    """Open an engine; leaving it as a context manager closes it.

    Args:
        name: One of ours, or of an installed package's entry points.
        slots: How many jobs run at the same time; 0, for an engine of other machines, as many as they have
            room for.
        places: Where on this machine lies what jobs name.
        trainer: Import path of the trainer, ``"package.module:Class"``, called without arguments.
        time_limit_s: Seconds after which a job is ended as failed; None sets no limit.
        address: Of the cluster; None leaves it to the engine, and is all that one without a cluster takes.
        checkpoint_storage: Where nodes of a cluster keep checkpoints; None brings them to this machine, and
            is all that one without a cluster takes.
        trials_per_gpu: Trials that share a GPU, 0 to leave GPUs alone; None leaves it to the engine, and is
            all that one without a cluster takes.

    Raises:
        ConfigError: There is no engine of that name, or no cluster at the address.
    """
    where: dict[str, Any] = {} if address is None else {"address": address}
    if checkpoint_storage is not None:
        where["checkpoint_storage"] = checkpoint_storage
    if trials_per_gpu is not None:
        where["trials_per_gpu"] = trials_per_gpu
    engine: OpenEngine = ENGINES.load(name)(
        slots, places=places, trainer=trainer, time_limit_s=time_limit_s, **where
    )
    return engine


def check_engine(
    name: str,
    address: str | None = None,
    checkpoint_storage: str | None = None,
    trials_per_gpu: int | None = None,
) -> None:
    """Raise `ConfigError` if an engine can't be opened, before anything is stored.

    Args:
        name: As for `open_engine`.
        address: As for `open_engine`.
        checkpoint_storage: Address of the folder that nodes keep checkpoints in; a small file is put there.
        trials_per_gpu: As for `open_engine`.
    """
    problems = engine_problems(name, address, checkpoint_storage, trials_per_gpu)
    if not problems and checkpoint_storage is not None:
        shared = SharedFolder(checkpoint_storage)
        if trouble := shared.trouble():
            problems = [f"engine.checkpoint_storage: {shared} can't be used from here: {trouble}"]
    if problems:
        raise ConfigError("engine", problems)
    engine = ENGINES.load(name)
    if name == RAY:
        # What connects now is connected when it is opened.
        engine.check(address)


def slots_of(name: str, n_workers: int | None) -> int:
    """Return how many jobs an engine is asked to run at the same time, as `open_engine` takes it.

    Args:
        name: Of the engine.
        n_workers: What the user asks for; None leaves it to the engine.

    Example:
        >>> slots_of("ray", None), slots_of("ray", 64)
        (0, 64)
    """
    if n_workers is None:
        return 0 if name == RAY else n_cores()
    return n_workers


def worker_problems(name: str, n_workers: int | None) -> list[str]:
    """Return what is wrong with a number of workers for an engine; empty if nothing is.

    Args:
        name: Of the engine.
        n_workers: What the user asks for; None leaves it to the engine.

    Example:
        >>> worker_problems("ray", 1000)
        []
    """
    if n_workers is None or (name != LOCAL and n_workers >= 1):
        return []
    if name != LOCAL:
        return [f"--workers: {n_workers} can't be used; from 1 up, or leave it out for all that there is"]
    return check_workers(n_workers)
