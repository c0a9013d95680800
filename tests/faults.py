"""A sweep to be killed: the real command line, engine and storage over a scripted training.

``python faults.py run ...`` is ``fmnist-sweep run ...`` with `FaultyTrainer` in place of Keras; a study with
it takes seconds. ``python faults.py drive --kills 100`` kills one at random and prints what came of it.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import optuna
import psutil
import sqlalchemy

from fmnist_sweep import data
from fmnist_sweep.cli import main as cli
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import CheckpointSkipped, Started
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.jobs import DataRef, TrialJob, job_identity
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.engines.base import OpenEngine
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.search import run as runner
from fmnist_sweep.storage.lease import postgres as claim
from fmnist_sweep.storage.lease import process as owner
from fmnist_sweep.training import checkpoint
from fmnist_sweep.training.checkpoint import Checkpoint, CheckpointFile
from fmnist_sweep.training.testing import scripted_curve

SWEEP: Final = """
study = "faulty"
model = "dense"
tune_new_entries = false
[space]
learning_rate = {{ low = 1e-4, high = 1e-2 }}
depth = {{ low = 1, high = 2 }}
units_2 = {{}}
epochs = {epochs}
[sampler]
name = "random"
[pruner]
name = "none"
[budget]
trials = {trials}
"""

DATA: Final = DataRef("fashion-mnist", "d1" * 32, (28, 28, 1), tuple("abcdefghij"), 60_000, "/nowhere")

GRACE_S: Final = 3
"""How long an owner on another machine may take to come back; the real wait would take up these tests."""

PHASES: Final = ("loading", "epoch", "saving", "between", "end")


class FaultyTrainer:
    """A curve from the hyperparameters, with checkpoints, a log of what was trained, and one fault.

    Settings come from the environment: ``FAULT_SLEEP_S`` is the length of an epoch, ``FAULT_LOG`` a file that
    gets a line ``trial epoch`` as each epoch begins, and ``FAULT`` is ``what:phase``: a signal's name,
    ``hang``, ``nan``, ``memory`` or ``full``, and one of `PHASES`, met once by trial 1 in its second epoch.
    """

    def fit(self, job: PlacedJob) -> Iterator[Started | CheckpointSkipped | EpochScores]:
        """Train, or do something worse."""
        meet(job, "loading")
        peak = round(0.8 + 10 * float(job.hyperparameters["learning_rate"]), 6)
        curve = scripted_curve(replace(job, hyperparameters={"accuracy_peak": peak}))
        file = CheckpointFile(Path(str(job.checkpoint_file)), job_identity(job, software=[]))
        stored = file.load(())
        done = [] if stored is None else list(stored.epochs)
        yield Started(job.trial, 1000)
        yield from done
        for scores in curve.epochs[len(done) :]:
            log(f"{job.trial} {scores.epoch}")
            time.sleep(float(os.environ.get("FAULT_SLEEP_S", "0")))
            if scores.epoch == 1 and meet(job, "epoch") == "nan":
                yield replace(scores, train={**scores.train, "accuracy": float("nan")})
            done.append(scores)
            if scores.epoch == 1:
                checkpoint.new_file = functools.partial(new_file_or_fault, job)  # type: ignore[attr-defined]
            if (problem := file.save(Checkpoint(tuple(done), ()))) is not None:
                yield CheckpointSkipped(job.trial, problem)
            yield scores
            if scores.epoch == 1:
                meet(job, "between")
        meet(job, "end")


def meet(job: TrialJob, phase: str) -> str:
    """Do what the environment says for trial 1 in a phase, the first time only; return it otherwise."""
    what, _, where = os.environ.get("FAULT", "").partition(":")
    met = Path(os.environ["FAULT_LOG"] + ".met")
    if job.trial != 1 or where != phase or (met.exists() and what != "hang"):
        return ""
    met.touch()
    if what == "hang":
        time.sleep(3600)
    if what.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[what])
        time.sleep(3600)
    if what == "memory":
        # Room for telling of it, and for nothing more.
        limit = psutil.Process().memory_info().vms + 2**26
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        bytearray(2**30)
    return what


@contextmanager
def new_file_or_fault(job: TrialJob, path: Path) -> Iterator[Any]:
    """Write a file; a fault comes when its content is written and not yet in place."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with new_file(path) as stream:
            yield stream
            if meet(job, "saving") == "full":
                # What is buffered now finds no room; a limit on files stands for a disk that is full.
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def log(line: str) -> None:
    """Add a line in one write, which two processes don't mix up."""
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


@dataclass(frozen=True)
class Sweep:
    """A faulty sweep in a folder of its own.

    Attributes:
        disk: Another folder for its storage.
        server: The address of its storage where that is no file.
        machine: The machine that it takes itself to be on, with a cache of its own; empty for this one.
    """

    folder: Path
    trials: int = 4
    epochs: int = 4
    sleep_s: float = 0.0
    fault: str = ""
    disk: Path | None = None
    server: str = ""
    machine: str = ""

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a run."""
        command, environment = self._command(*options)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=pipe, stderr=pipe
        )

    def start_in(self, terminal: int) -> subprocess.Popen[bytes]:
        """Start a run whose controlling terminal is this one."""
        command, environment = self._command()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            preexec_fn=take_terminal,  # noqa: PLW1509 - this process runs no threads
        )

    def _command(self, *options: str) -> tuple[list[str], dict[str, str]]:
        file = self.folder / "faulty.toml"
        file.write_text(SWEEP.format(trials=self.trials, epochs=self.epochs))
        root = Path(__file__).parent
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(root), str(root.parent)]),
            "FAULT": self.fault,
            "FAULT_SLEEP_S": str(self.sleep_s),
            "FAULT_LOG": str(self.log),
            "FAULT_MACHINE": self.machine,
        }
        if self.server:
            environment["XDG_CACHE_HOME"] = str(self.folder / f"cache-{self.machine}")
        command = [sys.executable, __file__, "run", str(file), "--workers", "2", "--storage", self.url]
        return [*command, *options], environment

    def finish(self, *options: str, code: int = 0) -> str:
        """Run to the end, and return what was said on the way."""
        process = self.start(*options)
        _, said = process.communicate(timeout=280)
        if process.returncode != code:
            raise AssertionError(f"exit code {process.returncode}: {said}")
        return said

    @property
    def log(self) -> Path:
        """The epochs that were begun."""
        return self.folder / "log"

    @property
    def database(self) -> Path:
        """The storage's file."""
        return (self.disk or self.folder) / "studies.db"

    @property
    def url(self) -> str:
        """The storage's address."""
        return self.server or f"sqlite:///{self.database}"

    def study(self) -> optuna.Study:
        """Open the study."""
        # A server's connections are closed at once: storages have no close.
        kept = {"poolclass": sqlalchemy.NullPool} if self.server else {}
        storage = optuna.storages.RDBStorage(self.url, engine_kwargs=kept)
        return optuna.load_study(study_name="faulty", storage=storage)

    def states(self) -> list[str]:
        """Return the state of each trial."""
        return [trial.state.name for trial in self.study().trials]

    def found(self) -> list[Any]:
        """Return all that may not depend on interruptions: number, state, parameters, value, curve."""
        return [
            (t.number, t.state, t.params, t.value, t.intermediate_values, t.user_attrs.get("curve"))
            for t in self.study().trials
        ]

    def begun(self) -> list[tuple[int, int]]:
        """Return trial and epoch of each epoch that was begun, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(trial), int(epoch)) for trial, epoch in (line.split() for line in lines)]

    def leftovers(self) -> list[str]:
        """Return files that are neither the storage nor this sweep's own."""
        own = {"studies.db", "studies.db-wal", "studies.db-shm", "faulty.toml", "log", "log.met"}
        there = [path for path in self.folder.rglob("*") if path.name not in own]
        if self.server:
            # The cache is the user's, and its folders stay.
            there = [path for path in there if path.is_file()]
        return sorted(str(path.relative_to(self.folder)) for path in there)


def trainings(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes of a run's trials: the children of its children."""
    with suppress(psutil.Error):
        return [p for child in psutil.Process(run.pid).children() for p in child.children()]
    return []


def family(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return all processes of a run but itself."""
    with suppress(psutil.Error):
        return psutil.Process(run.pid).children(recursive=True)
    return []


def seconds_until_gone(processes: list[psutil.Process], *, at_most: float = 10.0) -> float:
    """Wait until processes have ended, and return how long that took; infinite where some have not."""
    began = time.monotonic()
    while time.monotonic() - began < at_most:
        if not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
            return time.monotonic() - began
        time.sleep(0.01)
    return float("inf")


def drive(folder: Path, *, kills: int, seed: int, server: str = "") -> Mapping[str, Any]:
    """Kill a study's run, or one of its trainings, so many times at random moments; then let it end.

    Args:
        folder: An empty one.
        kills: How many.
        seed: Of the moments.
        server: The address of its storage; by default it is a file.

    Returns:
        What the table shows.
    """
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    (folder / "whole").mkdir()
    (folder / "cut").mkdir()
    whole = Sweep(folder / "whole", trials=2 * kills, epochs=8)
    cut = replace(whole, folder=folder / "cut", sleep_s=0.08, server=server)
    whole.finish()
    done: Counter[str] = Counter()
    slowest = 0.0
    run = cut.start("--max-retries", "1000")
    while sum(done.values()) < kills:
        # Most kills meet a run that trains, some one that is still starting.
        starting = draw.random() < 0.2
        while not starting and run.poll() is None and not trainings(run):
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 0.8))
        if run.poll() is not None:
            if run.returncode == 0:
                break
            raise AssertionError(run.communicate()[1])
        victims = trainings(run)
        if victims and draw.random() < 0.5:
            with suppress(psutil.Error):
                draw.choice(victims).send_signal(signal.SIGKILL)
                done["trainings"] += 1
            continue
        others = family(run)
        run.kill()
        run.communicate()
        done["runs"] += 1
        slowest = max(slowest, seconds_until_gone(others))
        run = cut.start("--max-retries", "1000")
    run.kill()
    run.communicate()
    cut.finish("--max-retries", "1000")
    return {"kills": dict(done), "slowest_child_s": round(slowest, 2), **compare(whole, cut)}


def compare(whole: Sweep, cut: Sweep) -> dict[str, Any]:
    """Return how a study that was killed differs from one that was not."""
    expected, found = whole.found(), cut.found()
    configurations = Counter(json.dumps(params, sort_keys=True) for _, _, params, *_ in found)
    last: dict[int, int] = {}
    repeated = []
    for trial, epoch in cut.begun():
        if trial in last:
            repeated.append(last[trial] - epoch + 1)
        last[trial] = epoch
    return {
        "trials": len(expected),
        "lost": len([trial for trial in expected if trial not in found]),
        "different": len([trial for trial in found if trial not in expected]),
        "duplicated": sum(n - 1 for n in configurations.values()),
        "left_running": cut.states().count("RUNNING"),
        "leftovers": cut.leftovers(),
        "epochs": len(set(cut.begun())),
        "epochs_repeated": sum(n for n in repeated if n > 0),
        "most_repeated_by_one_kill": max(repeated, default=0),
        "epochs_skipped": len([n for n in repeated if n < 0]),
    }


def faulty_engine(
    _name: str, slots: int, *, places: Places, time_limit_s: float | None = None, **_: object
) -> OpenEngine:
    """Stand in for `open_engine`: the trials are those of `FaultyTrainer`."""
    return LocalEngine(
        slots,
        places=places,
        trainer="faults:FaultyTrainer",
        preload=("faults", *os.environ.get("FAULT_PRELOAD", "").split()),
        time_limit_s=time_limit_s,
    )


def main() -> None:
    """Run a faulty sweep, or kill one."""
    if sys.argv[1] == "run":
        data.open_data = lambda *_, **__: DATA
        data.check_split = lambda *_: []
        setattr(runner, "open_engine", faulty_engine)  # noqa: B010 - another function of that name
        if machine := os.environ["FAULT_MACHINE"]:
            socket.gethostname = lambda: machine
            owner.boot_id = lambda: machine
        claim.GRACE_S = GRACE_S  # type: ignore[misc]
        cli.main()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "drive"])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for name, value in drive(Path(folder), kills=arguments.kills, seed=arguments.seed).items():
            sys.stdout.write(f"{name:>26}  {value}\n")


if __name__ == "__main__":
    main()
