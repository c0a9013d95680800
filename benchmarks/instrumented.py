"""The trainer with a stopwatch on each of its parts, for `benchmarks.breakdown` alone.

The parts are named where the trainer looks them up; a renamed one fails loudly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import CheckpointSkipped, Noted, Returned, Started
from fmnist_sweep.core.places import PlacedJob

_TIMED: Final = {"load_split": "data", "build_model": "build", "_check_model": "first prediction"}
_GIVING: Final = {"predictor": "measure", "_epoch_trainer": "train"}
"""Functions that make the function that is timed."""


def told_file(checkpoints: Path, trial: int) -> Path:
    """Return where a trial's seconds are written, given the folder of its checkpoint."""
    return checkpoints / f"seconds-{trial}.json"


class TimedTrainer:
    """Trains as `KerasTrainer` does, and writes the seconds of each part and when the process was at work."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def fit(self, job: PlacedJob) -> Iterator[Started | CheckpointSkipped | Noted | Returned | EpochScores]:
        """Train with the parts replaced by timed ones; this process trains nothing else."""
        # Loaded here: who only asks where the seconds are written has no use for Keras.
        from fmnist_sweep.training import trainer
        from fmnist_sweep.training.checkpoint import CheckpointFile

        began = time.time()
        for name, part in _TIMED.items():
            setattr(trainer, name, self._timed(part, getattr(trainer, name)))
        for name, part in _GIVING.items():
            setattr(trainer, name, self._giving(part, getattr(trainer, name)))
        CheckpointFile.save = self._timed("checkpoint", CheckpointFile.save)  # type: ignore[method-assign]
        yield from trainer.KerasTrainer().fit(job)
        told = {"began": began, "ended": time.time(), "seconds": self._seconds}
        # Beside its checkpoint: a child has the environment of the fork server, whoever started that.
        folder = job.places.checkpoints
        if folder is None:
            raise ValueError("the timed trainer writes beside the checkpoints: give the engine their folder")
        path = told_file(folder, job.trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told), encoding="utf-8")

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self._seconds.setdefault(part, []).append(time.perf_counter() - began)

        return call

    def _giving(self, part: str, make: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
        """Time what a function makes, and the making as build."""
        timed = self._timed("build", make)
        return lambda *args, **options: self._timed(part, timed(*args, **options))
