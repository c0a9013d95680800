"""What the fast tests share: a data set by name only, a small sweep, a storage, and scripted trainings."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import optuna
import pytest
import typer.main
from alembic.script import ScriptDirectory
from hypothesis import settings as hypothesis_settings
from postgres import Server
from typing_extensions import override

from fmnist_sweep.cli import main as cli
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import Cancelled, Failed, Finished, TrialEvent
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.engines.base import ClosedByWith, require_free, run_job
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.training.testing import FakeTrainer, ScriptedTrainer

Command = Callable[..., tuple[int, str, str]]

SPACE: Mapping[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2},
    "activation": {"choices": ["relu", "tanh"]},
    "depth": {"low": 1, "high": 2},
    "units_2": {},
    "epochs": 4,
}


SLOW: Final = Path(__file__).parent / "slow"

# The whole run tries as many examples as the tests ask for, which are 100 where they ask for nothing.
hypothesis_settings.register_profile("fast", max_examples=25)


def _is_fast(config: pytest.Config) -> bool:
    return bool(config.getoption("markexpr") == "not slow")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples of each law where the slow tests are left out."""
    if _is_fast(config) and not config.getoption("--hypothesis-profile", default=None):
        hypothesis_settings.load_profile("fast")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder of slow tests unread where none is asked for: to read it takes seconds."""
    return True if collection_path == SLOW and _is_fast(config) else None


class Workers(ClosedByWith):
    """An engine that takes each of its running jobs one event further at every call, and keeps a list.

    Attributes:
        submitted: Every job that it was given.
        cancelled: Every trial that it was told to drop.
    """

    def __init__(self, trainer: Any, slots: int = 2, *, places: Places | None = None) -> None:
        self.slots = slots
        self.submitted: list[TrialJob] = []
        self.cancelled: list[int] = []
        self._trainer = trainer
        self._places = Places() if places is None else places
        self._jobs: dict[int, Iterator[TrialEvent]] = {}
        self._dropped: list[int] = []

    @property
    def running(self) -> tuple[int, ...]:
        """Return the trials that are running."""
        return tuple(self._jobs)

    def submit(self, job: TrialJob) -> None:
        """Take a job."""
        require_free(self, job.trial, closed=False)
        self.submitted.append(job)
        self._jobs[job.trial] = run_job(self._trainer, job, self._places)

    def events(self, timeout_s: float) -> list[TrialEvent]:  # noqa: ARG002 - scripted epochs take no time
        """Return the ends that were asked for, or else the next event of each running job."""
        dropped, self._dropped = self._dropped, []
        found: list[TrialEvent] = [Cancelled(trial) for trial in dropped]
        found = found or [next(job) for job in self._jobs.values()]
        for event in found:
            if isinstance(event, Finished | Failed | Cancelled):
                del self._jobs[event.trial]
        return found

    def cancel(self, trial: int) -> None:
        """Drop a trial's job."""
        self.cancelled.append(trial)
        if trial in self._jobs and trial not in self._dropped:
            self._dropped.append(trial)

    @override
    def close(self) -> None:
        """Drop every job."""
        self._jobs.clear()


@pytest.fixture(autouse=True, scope="session")
def schemas_read_once() -> Iterator[None]:
    """Remember the newest of Optuna's schemas: every storage that is opened looks through all anew."""
    heads: dict[str, str | None] = {}
    read = ScriptDirectory.get_current_head

    def remembered(scripts: ScriptDirectory) -> str | None:
        if scripts.dir not in heads:
            heads[scripts.dir] = read(scripts)
        return heads[scripts.dir]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "get_current_head", remembered)
        yield


@pytest.fixture(autouse=True, scope="session")
def commands_made_once() -> Iterator[None]:
    """Remember what Typer makes of an app's functions: it makes all commands anew for each that is given."""
    made: dict[int, Any] = {}
    make = typer.main.get_command

    def remembered(app: typer.Typer) -> Any:
        if id(app) not in made:
            # Kept beside it, so that no other app gets its number.
            made[id(app)] = app, make(app)
        return made[id(app)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", remembered)
        yield


@pytest.fixture(autouse=True)
def quiet_optuna() -> None:
    """Keep Optuna's progress lines out of the tests' output."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def data() -> DataRef:
    """A data set that nothing opens."""
    return DataRef("tiny", "da7a" * 16, (2, 2, 1), ("a", "b"), 60_000, "/nowhere")


@pytest.fixture
def settings() -> Callable[..., dict[str, Any]]:
    """Settings of a small sweep, laid out like a sweep file; keyword arguments replace whole sections."""

    def make(**sections: Any) -> dict[str, Any]:
        base = {"study": "tiny", "model": "dense", "tune_new_entries": False, "space": dict(SPACE)}
        return {**base, "pruner": {"name": "none"}, "budget": {"trials": 5}, **sections}

    return make


@pytest.fixture
def make_config(settings: Callable[..., dict[str, Any]]) -> Callable[..., SweepConfig]:
    """A small sweep's config; keyword arguments replace whole sections."""
    return lambda **sections: parse_config(settings(**sections), where="tiny.toml")


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """Address of an SQLite storage that does not exist yet."""
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture(scope="session")
def empty_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite storage without studies, to be copied: Optuna takes half a second to make one."""
    path = tmp_path_factory.mktemp("storage") / "studies.db"
    open_storage(f"sqlite:///{path}", create=True).engine.dispose()
    return path


@pytest.fixture
def sqlite_storage(storage_url: str, tmp_path: Path, empty_storage: Path) -> optuna.storages.RDBStorage:
    """An SQLite storage, as a sweep opens it."""
    shutil.copy(empty_storage, tmp_path)
    return open_storage(storage_url, create=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, with a database ``empty`` that holds a storage without studies."""
    server = Server()
    try:
        storage = open_storage(server.make("empty"), create=True)
        storage.remove_session()
        storage.engine.dispose()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """Address of a PostgreSQL storage without studies."""
    return postgres.make(uuid.uuid4().hex, like="empty")


@pytest.fixture
def postgres_storage(postgres_url: str) -> Iterator[optuna.storages.RDBStorage]:
    """A PostgreSQL storage, as a sweep opens it."""
    storage = open_storage(postgres_url, create=True)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest) -> optuna.storages.RDBStorage:
    """A storage without studies in each kind of database: what asks for it is tested on all of them."""
    made: optuna.storages.RDBStorage = request.getfixturevalue(f"{request.param}_storage")
    return made


@pytest.fixture
def memory() -> optuna.storages.InMemoryStorage:
    """A storage in memory: twenty times faster than SQLite, for tests of the loop itself.

    Of several trials that were put back, Optuna's takes up the last one alone: not for tests of those.
    """
    return optuna.storages.InMemoryStorage()


@pytest.fixture
def own_data(data: DataRef, monkeypatch: pytest.MonkeyPatch) -> DataRef:
    """A user's own data set, wherever a sweep file says that it comes from."""
    monkeypatch.setattr("fmnist_sweep.config.loading.open_data", lambda *_, **__: data)
    return data


@pytest.fixture
def curve() -> Callable[..., LearningCurve]:
    """A learning curve from validation accuracies; train is the same unless given."""

    def make(*val: float, train: Sequence[float] | None = None) -> LearningCurve:
        return LearningCurve.from_scores(train=val if train is None else train, val=val)

    return make


@pytest.fixture
def workers() -> type[Workers]:
    """The class of an engine with several workers that train from a script, side by side."""
    return Workers


@pytest.fixture
def sweep(data: DataRef, memory: optuna.storages.InMemoryStorage) -> Callable[..., tuple[Stop, optuna.Study]]:
    """Run a sweep: ``sweep(config, trainer)`` returns why it stopped, and its study.

    The trainer is a trainer, or the curves that a `FakeTrainer` takes; left out, a `ScriptedTrainer`. The
    observer is one, or a function that is called with the progress.
    Calls share one storage in memory, so a second call goes on with the first one's study.
    """

    def run(
        config: SweepConfig,
        trainer: Any = None,
        *,
        engine: Any = None,
        storage: optuna.storages.BaseStorage = memory,
        interrupted: Any = None,
        observer: Any = None,
        **options: Any,
    ) -> tuple[Stop, optuna.Study]:
        if trainer is None:
            trainer = ScriptedTrainer()
        elif not hasattr(trainer, "fit"):
            trainer = FakeTrainer(trainer)
        study = open_study(config, data, storage)
        with ownership(study):
            if engine is None:
                kept = options.get("checkpoints")
                engine = InlineEngine(trainer, places=Places(checkpoints=None if kept is None else kept.path))
            watching = ProgressObserver(observer) if callable(observer) else observer
            search = Search.of(config, data, study, engine, observer=watching, **options)
            return search.run(interrupted), study

    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command in an empty folder; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fmnist-sweep", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run
