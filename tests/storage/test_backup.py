"""Copies of a storage: whole, verified, and never half there."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage import backup
from fmnist_sweep.storage.backup import back_up
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.scratch import scratch_folder

WRITER = """
import sys, optuna
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.scratch import scratch_folder
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(storage=open_storage(sys.argv[1], create=True), study_name="busy")
while True:
    trial = study.ask()
    trial.set_user_attr("number", trial.number)
    study.tell(trial, trial.suggest_float("x", 0, 1))
    print(trial.number, flush=True)
"""


KILLED = """
import os, signal, sys
from pathlib import Path
from fmnist_sweep.storage.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "copy.db").write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def source(tmp_path: Path, storage_url: str) -> Path:
    """The file of a storage with one study of two trials, open in this process."""
    study = optuna.create_study(storage=open_storage(storage_url, create=True), study_name="small")
    for value in (0.25, 0.75):
        study.tell(study.ask(), value)
    return tmp_path / "studies.db"


@pytest.fixture
def writer(storage_url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that fills a storage as fast as it can, and prints the number of each finished trial."""
    command = [sys.executable, "-c", WRITER, storage_url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


def refused(source: Path, target: Path | None = None, *, overwrite: bool = False) -> str:
    """Return the message with which a copy is refused; nothing may be left behind."""
    before = sorted(source.parent.rglob("*"))
    with pytest.raises(StorageError) as caught:
        back_up(f"sqlite:///{source}", target, overwrite=overwrite)
    assert sorted(source.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.slow
def test_a_storage_is_copied_while_another_process_writes(
    tmp_path: Path, storage_url: str, writer: subprocess.Popen[str]
) -> None:
    """Each copy opens with Optuna and holds every trial that had finished when it was begun, all of it."""
    assert writer.stdout is not None
    for i in range(3):
        seen = int(next(writer.stdout))
        made = back_up(storage_url, tmp_path / f"copy-{i}.db")
        assert writer.poll() is None
        copied = optuna.load_study(
            study_name="busy", storage=open_storage(f"sqlite:///{made.path}", create=False)
        )
        finished = copied.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        assert len(finished) > seen
        assert made.n_trials - len(finished) in (0, 1)
        for trial in finished:
            assert trial.value == trial.params["x"]
            assert trial.user_attrs == {"number": trial.number}


def test_a_copy_holds_what_is_not_yet_in_the_main_file(source: Path, tmp_path: Path) -> None:
    """What stands in the write-ahead log is copied too, and the copy is one file."""
    assert Path(f"{source}-wal").stat().st_size > 0
    made = back_up(f"sqlite:///{source}", tmp_path / "copies.db")
    assert (made.n_studies, made.n_trials) == (1, 2)
    assert sorted(p.name for p in tmp_path.glob("copies*")) == ["copies.db"]
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{made.path}")
    assert [trial.value for trial in study.trials] == [0.25, 0.75]


def test_a_copy_is_named_by_its_time(source: Path) -> None:
    """Without a name it lies beside the storage, and two of different seconds don't meet."""
    made = back_up(f"sqlite:///{source}")
    assert made.path.parent == source.parent
    assert made.path.match("studies-20[0-9][0-9]-[01][0-9]-[0-3][0-9]-[0-2][0-9][0-5][0-9][0-5][0-9].db")


def test_a_file_that_is_there_is_replaced_on_request_alone(source: Path, tmp_path: Path) -> None:
    """An older copy stays as it is, unless overwriting is asked for."""
    old = tmp_path / "old.db"
    old.write_bytes(b"an older copy")
    assert refused(source, old) == f"{old} exists; choose another file, or replace it with --force"
    assert old.read_bytes() == b"an older copy"
    assert back_up(f"sqlite:///{source}", old, overwrite=True).n_trials == 2


def test_targets_that_can_not_be_are_told(source: Path, tmp_path: Path) -> None:
    """The storage itself, a directory, a missing folder, and a database in use are refused by name."""
    assert "is the storage itself" in refused(source, source, overwrite=True)
    assert "is a directory" in refused(source, tmp_path)
    assert "does not exist; make it" in refused(source, tmp_path / "none" / "copy.db")
    other = tmp_path / "other.db"
    storage = open_storage(f"sqlite:///{other}", create=True)
    optuna.create_study(storage=storage, study_name="in use")
    assert "is in use as a database" in refused(source, other, overwrite=True)
    for suffix in ("wal", "shm", "journal"):
        left = tmp_path / f"left.db-{suffix}"
        left.write_bytes(b"of an old database")
        message = refused(source, tmp_path / "left.db")
        assert f"left.db does not exist, but left.db-{suffix} of an old database is beside it" in message
        assert message.endswith("otherwise delete it, or choose another file")
        left.unlink()


def test_a_damaged_storage_is_not_copied(source: Path) -> None:
    """A copy that SQLite finds at fault is thrown away and told."""
    optuna.delete_study(study_name="small", storage=f"sqlite:///{source}")
    with closing(sqlite3.connect(source)) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'trial_params'")
    assert "is damaged: " in refused(source, source.with_name("copy.db"))


def test_a_database_of_another_program_is_not_copied(tmp_path: Path) -> None:
    """A file without studies is no storage."""
    source = tmp_path / "places.db"
    with closing(sqlite3.connect(source)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "no such table: studies" in refused(source)


def test_a_copy_that_fails_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: the folder is as it was."""

    def full(_source: Path, copy: Path) -> tuple[int, int]:
        copy.write_bytes(b"half of it")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy", full)
    assert refused(source, source.with_name("copy.db")).endswith("copy.db: database or disk is full")


def test_a_server_is_left_to_its_own_tool() -> None:
    """For other databases the message names the tool, and not the password."""
    with pytest.raises(StorageError) as caught:
        back_up("postgresql+psycopg://me:secret@host/db")
    assert str(caught.value).startswith("postgresql+psycopg://me:***@host/db is not an SQLite file; ")
    assert "pg_dump" in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_copy_is_for_those_who_may_read_the_storage(source: Path, tmp_path: Path, mode: int) -> None:
    """Whatever new files are by default."""
    source.chmod(mode)
    made = back_up(f"sqlite:///{source}", tmp_path / "copy.db")
    assert made.path.stat().st_mode & 0o777 == mode


def test_what_a_killed_copy_left_goes_with_the_next_one(source: Path, tmp_path: Path) -> None:
    """And what one that is being made has in its folder stays."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".*")
    assert (left / "copy.db").read_bytes() == b"half of it"
    with scratch_folder(tmp_path / ".") as other:
        assert not left.exists()
        back_up(f"sqlite:///{source}", tmp_path / "copy.db")
        assert other.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_folder_of_one_that_was_killed_before_its_lock_goes_as_well(tmp_path: Path) -> None:
    """It is empty; whoever is just making one, and loses it so, makes another."""
    left = tmp_path / ".x.fmnist-sweep-part"
    left.mkdir()
    with scratch_folder(tmp_path) as folder:
        assert not left.exists()
        (folder / "inner").mkdir()
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())


def test_a_copy_replaces_no_device_or_pipe(source: Path, tmp_path: Path) -> None:
    """Not on request either."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="is no file that could be replaced"):
        back_up(f"sqlite:///{source}", tmp_path / "pipe", overwrite=True)
    assert (tmp_path / "pipe").is_fifo()
