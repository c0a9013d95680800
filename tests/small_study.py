"""A small study for commands that are killed, or whose server goes away: all is real but what is trained.

``python small_study.py export small`` is ``fmnist-sweep export small`` with scripted trainings in place of
Keras, in the command's own process. Settings come from the environment: ``EPOCH_S`` is the length of an
epoch, ``KILL_AT`` the number of the step at which the process kills itself, and ``STEPS`` a file that gets
the number of steps that it took. A step is whatever changes something at rest: a file that is opened to be
written, named, removed, or a transaction that is committed.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy

from fmnist_sweep import data
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.data.fashion_mnist import CLASS_NAMES
from fmnist_sweep.engines import opening
from fmnist_sweep.engines.base import KERAS_TRAINER, OpenEngine
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.storage.lease import postgres as claim
from fmnist_sweep.storage.overview import read_overview
from fmnist_sweep.training.testing import scripted_curve

ROOT: Final = Path(__file__).parent.parent

DATA: Final = DataRef("fashion-mnist", "da7a" * 16, (28, 28, 1), CLASS_NAMES, 60_000, "/nowhere")

SWEEP: Final = """
study = "small"
model = "dense"
tune_new_entries = false
[space]
learning_rate = { low = 1e-4, high = 1e-2 }
depth = { low = 1, high = 2 }
units_2 = {}
epochs = 3
[sampler]
name = "random"
[pruner]
name = "none"
[budget]
trials = 3
"""

GRACE_S: Final = 3
"""How long an owner on another machine may take to come back."""

_CHANGES: Final = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link")


@dataclass(frozen=True)
class Small:
    """A folder in which commands are given.

    Attributes:
        folder: With the sweep file.
        url: Address of the storage.
        epoch_s: Length of an epoch.
        settings: Of the environment, beside the above.
    """

    folder: Path
    url: str = ""
    epoch_s: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start a command."""
        (self.folder / "small.toml").write_text(SWEEP)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
            "EPOCH_S": str(self.epoch_s),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            **self.settings,
            **settings,
        }
        command = [sys.executable, __file__, *arguments, "--storage", self.address]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=pipe, stderr=pipe
        )

    def finish(self, *arguments: str, code: int = 0, **settings: str) -> str:
        """Give a command, and return what it said, results first."""
        process = self.start(*arguments, **settings)
        out, said = process.communicate(timeout=300)
        assert process.returncode == code, (process.returncode, out, said)
        assert "Traceback" not in said, said
        return out + said

    def n_steps(self, *arguments: str) -> int:
        """Give a command, and return the number of its steps."""
        counted = self.folder / "steps"
        self.finish(*arguments, STEPS=str(counted))
        n = int(counted.read_text())
        counted.unlink()
        return n

    @property
    def database(self) -> Path:
        """The storage's file."""
        return self.folder / "studies.db"

    @property
    def address(self) -> str:
        """The storage's address."""
        return self.url or f"sqlite:///{self.database}"

    def found(self, name: str = "small") -> list[Any]:
        """Return all of a study's trials that may not depend on interruptions."""
        return [
            (t.number, t.state.name, t.params, t.value, t.intermediate_values, t.user_attrs.get("curve"))
            for t in self.study(name).trials
        ]

    def study(self, name: str = "small") -> optuna.Study:
        """Open a study."""
        # A server's connections are closed at once: storages have no close.
        kept = {"poolclass": sqlalchemy.NullPool} if self.url else {}
        storage = optuna.storages.RDBStorage(self.address, engine_kwargs=kept)
        return optuna.load_study(study_name=name, storage=storage)

    def is_whole(self) -> bool:
        """Return whether SQLite finds nothing wrong with the storage."""
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("PRAGMA integrity_check").fetchall()
            return rows == [("ok",)] and connection.execute("PRAGMA foreign_key_check").fetchall() == []

    def status(self) -> dict[str, Any]:
        """Return what the command of that name tells of each study, by its name."""
        return {row["name"]: row for row in read_overview(self.address) or ()}

    def leftovers(self) -> list[str]:
        """Return hidden files and folders, which are those that are half made."""
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob(".*") if p.name != ".keep")


class ScriptedStudy:
    """Trains a sweep's trial, or a final training, from a script."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield a curve that follows from the job."""
        if job.deliver_to is not None:
            # Loaded here: only an export has any use for it, and it takes seconds.
            from made_exports import FinalTrainer

            yield from FinalTrainer().fit(job)
            return
        yield Started(job.trial, 7850)
        for scores in scripted_curve(job).epochs:
            time.sleep(float(os.environ["EPOCH_S"]))
            yield scores


def small_engine(_slots: int, *, places: Places, trainer: str, **_: object) -> OpenEngine:
    """Return an engine in this process, for training or for reading the test set."""
    if trainer == KERAS_TRAINER:
        return InlineEngine(ScriptedStudy(), places=places)
    from made_exports import Reader

    return InlineEngine(Reader(), places=places)


class Steps:
    """Counts what changes something at rest, and ends the process at one of these."""

    def __init__(self, kill_at: int | None) -> None:
        self.n = 0
        self._kill_at = kill_at

    def take(self) -> None:
        """Take a step."""
        self.n += 1
        if self.n == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Count from now on."""
        sys.addaudithook(self._audit)
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda _: self.take())

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            self.take()
        elif event == "open":
            path, _, flags = arguments
            # That a Python file is compiled is no matter.
            if flags & (os.O_WRONLY | os.O_RDWR) and "__pycache__" not in str(path):
                self.take()


def main() -> None:
    """Give a command."""
    from fmnist_sweep.cli import main as cli

    data.open_data = lambda *_, **__: DATA
    data.check_split = lambda *_: []
    opening.ENGINES = Registry(  # type: ignore[attr-defined]
        "engine", "fmnist_sweep.engines", {"local": "small_study:small_engine"}
    )
    claim.GRACE_S = GRACE_S  # type: ignore[misc]
    steps = Steps(int(os.environ["KILL_AT"]) if "KILL_AT" in os.environ else None)
    steps.watch()
    try:
        cli.main()
    finally:
        n = steps.n
        if "STEPS" in os.environ:
            Path(os.environ["STEPS"]).write_text(str(n))


if __name__ == "__main__":
    main()
