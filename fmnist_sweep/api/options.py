"""How trainings are run, whatever is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from fmnist_sweep.core.engine_names import LOCAL, engine_problems
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.engines.opening import worker_problems

Say: TypeAlias = Callable[[str], None]


def say_nothing(line: str) -> None:
    """Drop a line for the user."""
    del line


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How trainings are run, whatever is trained.

    Attributes:
        n_workers: Side by side; None takes one for each core, of the cluster with the engine ``"ray"``.
        data_dir: Where Fashion-MNIST is to be found.
        take_over: Run a study even if a process on another machine may be running it.
        engine: Name of the engine; None leaves it to the sweep file. See `open_engine`.
        address: Of the cluster; None leaves it to the sweep file.
        checkpoint_storage: Folder in which its nodes keep checkpoints; None leaves it to the sweep file.
        trials_per_gpu: Trials that share a GPU of one of its nodes, 0 to train on CPUs alone; None
            leaves it to the sweep file.
    """

    n_workers: int | None = None
    data_dir: Path | None = None
    take_over: bool = False
    engine: str | None = None
    address: str | None = None
    checkpoint_storage: str | None = None
    trials_per_gpu: int | None = None

    def problems(self, engine: str | None = None) -> list[str]:
        """Return why trainings can't be run so; empty if they can.

        Args:
            engine: Name of the engine that a sweep file asks for, where these options name none.
        """
        name = self.engine or engine or LOCAL
        problems = worker_problems(name, self.n_workers)
        of_cluster = (self.address, self.checkpoint_storage, self.trials_per_gpu)
        if any(given is not None for given in (self.engine, *of_cluster)):
            problems += engine_problems(name, *of_cluster)
        return problems

    def check(self) -> None:
        """Raise `SweepError` if trainings can't be run so."""
        if problems := self.problems():
            raise SweepError("\n".join(problems))

    def of_run(self) -> dict[str, Any]:
        """Return the options of a run."""
        return {**self._of_all(), "take_over": self.take_over, "engine": self.engine}

    def of_export(self) -> dict[str, Any]:
        """Return the options of an export, which owns no study."""
        return {**self._of_all(), "engine": self.engine or LOCAL}

    def _of_all(self) -> dict[str, Any]:
        return {
            "n_workers": self.n_workers,
            "data_dir": self.data_dir,
            "address": self.address,
            "checkpoint_storage": self.checkpoint_storage,
            "trials_per_gpu": self.trials_per_gpu,
        }
