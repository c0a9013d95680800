"""A study whose storage, or whose lock, is taken away while it is held."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from made_exports import DATA
from optuna.storages import RDBStorage

from fmnist_sweep import data
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search import run as runner
from fmnist_sweep.storage.lease.lease import Lease, lease
from fmnist_sweep.storage.opening import open_storage, side_folder
from fmnist_sweep.storage.studies import load_study
from fmnist_sweep.training.testing import ScriptedTrainer


@pytest.fixture
def study(sqlite_storage: RDBStorage) -> optuna.Study:
    """A study of one trial; the trial stands in the write-ahead log alone."""
    made = optuna.create_study(storage=sqlite_storage, study_name="held")
    made.tell(made.ask(), 0.5)
    return made


@pytest.fixture
def held(study: optuna.Study, storage_url: str) -> Iterator[Lease]:
    """That study, held and owned."""
    with lease(storage_url, "held", say=lambda _: None) as taken, taken.owning(study):
        yield taken


def _remove(path: Path) -> None:
    path.unlink()


def _remove_all(path: Path) -> None:
    for one in path.parent.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def _replace(path: Path) -> None:
    other = path.with_name("other.db")
    open_storage(f"sqlite:///{other}", create=True).engine.dispose()
    other.replace(path)


@pytest.mark.parametrize(
    ("take_away", "how", "in_place"),
    [
        (_remove, "removed, or moved away", "move studies.db-wal, studies.db-shm out of the way, then "),
        (_remove_all, "removed, or moved away", ""),
        (_move, "removed, or moved away", "move studies.db-wal, studies.db-shm out of the way, then "),
        (
            _replace,
            "replaced by another file",
            "move studies.db, studies.db-wal, studies.db-shm out of the way, then ",
        ),
    ],
)
def test_a_file_that_is_lost_is_told_and_saved(
    held: Lease, tmp_path: Path, take_away: Callable[[Path], None], how: str, in_place: str
) -> None:
    """Whatever became of it: what had been stored is in a new file, and the message leads back."""
    held.check()
    (tmp_path / "studies.db").chmod(0o600)
    held.check()
    take_away(tmp_path / "studies.db")
    with pytest.raises(StorageError) as caught:
        held.check()
    (saved,) = tmp_path.glob("studies-saved-*.db")
    assert str(caught.value) == (
        f"{tmp_path}/studies.db was {how} while study 'held' was in use; this command ends here.\n"
        f"What was stored until then is saved in {saved}: {in_place}rename that to studies.db, and the same"
        " command goes on."
    )
    assert saved.stat().st_mode & 0o777 == 0o600
    found = load_study(open_storage(f"sqlite:///{saved}", create=False), "held")
    assert [trial.value for trial in found.trials] == [0.5]
    # Asked again it says the same, and saves nothing again.
    with pytest.raises(StorageError) as again:
        held.check()
    assert str(again.value) == str(caught.value)
    assert len(list(tmp_path.glob("*saved*.db"))) == 1


def test_a_folder_that_is_lost_is_told(study: optuna.Study, storage_url: str, tmp_path: Path) -> None:
    """Nothing can be saved beside the storage: where it is now, only the user knows."""
    folder = tmp_path.with_name(f"{tmp_path.name}-moved")
    with lease(storage_url, "held", say=lambda _: None) as held, held.owning(study):
        tmp_path.rename(folder)
        with pytest.raises(StorageError, match="put that in its place, and the same command goes on"):
            held.check()
    folder.rename(tmp_path)


def test_a_lost_file_is_not_written_to(study: optuna.Study, storage_url: str, tmp_path: Path) -> None:
    """Not even as the study is given up: it may be another's by now, or be read in another place."""
    with lease(storage_url, "held", say=lambda _: None) as held, held.owning(study):
        for name in ("studies.db", "studies.db-wal"):
            (tmp_path / name).rename(tmp_path / f"moved-{name}")
        before = (tmp_path / "moved-studies.db-wal").read_bytes()
        with pytest.raises(StorageError):
            held.check()
    assert (tmp_path / "moved-studies.db-wal").read_bytes() == before
    assert not (tmp_path / "studies.db").exists()


def test_a_removed_storage_is_not_made_anew_by_a_reader(study: optuna.Study, tmp_path: Path) -> None:
    """SQLite itself would make an empty file, and a run would find that in the place of its study."""
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    (tmp_path / "studies.db").unlink()
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study._storage.get_all_trials(study._study_id)
    assert not (tmp_path / "studies.db").exists()


def test_a_lock_that_was_removed_is_taken_again(held: Lease, storage_url: str) -> None:
    """Else an export, which asks the lock alone, would start beside the run."""
    shutil.rmtree(side_folder(storage_url, "held").parent)
    held.check()
    with pytest.raises(StudyBusyError), lease(storage_url, "held", say=lambda _: None):
        pass


def test_who_took_a_removed_lock_keeps_it(study: optuna.Study, storage_url: str) -> None:
    """An export that lost its lock to another ends; a run, which its study names, goes on."""
    for owned in (False, True):
        with lease(storage_url, "held", say=lambda _: None) as first:
            shutil.rmtree(side_folder(storage_url, "held").parent)
            with lease(storage_url, "held", say=lambda _: None):
                if owned:
                    with first.owning(study):
                        first.check()
                else:
                    with pytest.raises(StudyBusyError):
                        first.check()


@pytest.mark.slow
@pytest.mark.parametrize("last", [False, True])
def test_a_run_whose_storage_is_removed_ends_at_once(
    make_config: Callable[..., SweepConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    """It trains nothing more, leaves nothing in the place, and has saved what it had."""
    trained = []

    class Removing:
        """Trains from a script; somebody removes the storage, side folders and all, as a trial begins."""

        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            trained.append(job.trial)
            if job.trial == (3 if last else 1):
                _remove_all(tmp_path / "studies.db")
            return iter(ScriptedTrainer().fit(job))

    monkeypatch.setattr(data, "open_data", lambda *_, **__: DATA)
    monkeypatch.setattr(data, "check_split", lambda *_: [])
    monkeypatch.setattr(
        runner, "open_engine", lambda *_, places, **__: InlineEngine(Removing(), places=places)
    )
    with pytest.raises(StorageError, match=r"studies\.db was removed, or moved away while study 'tiny'"):
        runner.run_sweep(
            make_config(budget={"trials": 4}),
            storage_url=f"sqlite:///{tmp_path}/studies.db",
            say=lambda _: None,
        )
    assert trained == list(range(4 if last else 2))
    (saved,) = [path for path in tmp_path.iterdir() if path.is_file()]
    found = load_study(open_storage(f"sqlite:///{saved}", create=False), "tiny")
    states = [trial.state.name for trial in found.trials]
    assert states == ["COMPLETE"] * (len(trained) - 1) + ["RUNNING"]
