"""Who else may have a study while it is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from made_exports import DATA, Exports, Reader
from made_studies import sqlite_study, stored, study
from rich.console import Console

from fmnist_sweep import data
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.export import run as exporting
from fmnist_sweep.export.run import run_export
from fmnist_sweep.reports import pictures
from fmnist_sweep.search import run as runner
from fmnist_sweep.storage.lease import postgres as claim
from fmnist_sweep.training.testing import ScriptedTrainer

__all__ = ["sqlite_study", "study"]

QUIET = Console(quiet=True)


@pytest.fixture
def nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open no data set and draw nothing: only who may export is looked at."""
    monkeypatch.setattr(data, "open_data", lambda *_, **__: DATA)
    monkeypatch.setattr(data, "check_split", lambda *_: [])
    monkeypatch.setattr(pictures, "save", lambda _, *paths: [path.write_text("drawn") for path in paths])


def test_a_study_that_another_machine_holds_is_not_exported(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two exports of a server's study would each take the test set for unread."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    held = SimpleNamespace(take=lambda: False, holder=lambda: "4711 node-b", let_go=lambda: None)
    monkeypatch.setattr(claim, "ServerLock", lambda *_, **__: held)
    plan = Exports(study, tmp_path).plan()
    with pytest.raises(StudyBusyError, match="'dense' is being run by process 4711 on node-b"):
        run_export(plan, storage_url="postgresql+psycopg://me@host/db", say=lambda _: None)
    assert stored(study).readings == ()
    assert not plan.folder.exists()


@pytest.mark.usefixtures("nothing_heavy")
def test_a_study_that_is_being_run_is_not_exported(
    make_config: Callable[..., SweepConfig], storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best trial may be yet to come: the run is named, it goes on, and no test image is looked at."""
    said: list[str] = []

    class Exporting:
        """Trains from a script; somebody exports the study as its second trial begins."""

        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            if job.trial == 1:
                found = Exports(optuna.load_study(study_name="tiny", storage=storage_url), tmp_path)
                monkeypatch.setattr(exporting, "open_engine", found.open_engine)
                try:
                    run_export(found.plan(), storage_url=storage_url, say=lambda _: None)
                except StudyBusyError as error:
                    said.append(str(error))
            return iter(ScriptedTrainer().fit(job))

    monkeypatch.setattr(
        runner, "open_engine", lambda *_, places, **__: InlineEngine(Exporting(), places=places)
    )
    runner.run_sweep(make_config(budget={"trials": 3}), storage_url=storage_url, say=lambda _: None)
    (line,) = said
    assert line.startswith("study 'tiny' is being run by process ")
    study = optuna.load_study(study_name="tiny", storage=storage_url)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert stored(study).readings == ()
    assert not (tmp_path / "exports").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_heavy")
def test_of_two_exports_side_by_side_one_is_refused(
    sqlite_study: optuna.Study, storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one, which comes as the first reads the test set, trains, reads and writes nothing."""
    first, second = (Exports(sqlite_study, tmp_path / folder) for folder in ("first", "second"))
    plan = second.plan()
    Path(storage_url.removeprefix("sqlite:///")).chmod(0o600)

    def start_another() -> None:
        monkeypatch.setattr(exporting, "open_engine", second.open_engine)
        with pytest.raises(StudyBusyError, match="'dense' is being run by process"):
            run_export(plan, storage_url=storage_url, say=lambda _: None)

    first.reader = Reader(before=start_another)
    monkeypatch.setattr(exporting, "open_engine", first.open_engine)
    run_export(first.plan(), storage_url=storage_url, say=lambda _: None)
    assert (first.reader.n_readings, second.reader.n_readings) == (1, 0)
    bundle = tmp_path / "first" / "exports" / "dense"
    # It is for those who may read the storage.
    assert {path.stat().st_mode & 0o777 for path in bundle.iterdir()} == {0o600}
    assert bundle.stat().st_mode & 0o777 == 0o700
    assert second.trainer.trained == []
    assert len(stored(sqlite_study).readings) == 1
    assert not plan.folder.exists()
