"""How trainings are run, whatever is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.engines.machine import check_workers

Say: TypeAlias = Callable[[str], None]


def say_nothing(line: str) -> None:
    """Drop a line for the user."""
    del line


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How trainings are run, whatever is trained.

    Attributes:
        n_workers: Side by side; None takes one for each core.
        data_dir: Where Fashion-MNIST is to be found.
        take_over: Run a study even if a process on another machine may be running it.
        engine: Name of the engine; see `open_engine`.
    """

    n_workers: int | None = None
    data_dir: Path | None = None
    take_over: bool = False
    engine: str = "local"

    def problems(self) -> list[str]:
        """Return why so many workers can't be used on this machine; empty if they can."""
        return [] if self.n_workers is None else check_workers(self.n_workers)

    def check(self) -> None:
        """Raise `SweepError` if so many workers can't be used on this machine."""
        if problems := self.problems():
            raise SweepError("\n".join(problems))

    def of_run(self) -> dict[str, Any]:
        """Return the options of a run."""
        return {**self.of_export(), "take_over": self.take_over}

    def of_export(self) -> dict[str, Any]:
        """Return the options of an export, which owns no study."""
        return {"n_workers": self.n_workers, "data_dir": self.data_dir, "engine": self.engine}
