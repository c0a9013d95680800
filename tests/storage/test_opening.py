from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import StorageError, StudyNotFoundError
from fmnist_sweep.storage.opening import open_storage, side_folder
from fmnist_sweep.storage.studies import load_study, study_names

MakeConfig = Callable[..., SweepConfig]


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement on an SQLite file from outside."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def refused(url: str, *, create: bool) -> str:
    """Return the message with which opening is refused."""
    with pytest.raises(StorageError) as caught:
        open_storage(url, create=create)
    return str(caught.value)


@pytest.fixture
def made(tmp_path: Path, sqlite_storage: RDBStorage) -> Path:
    """The file of a storage that holds a study, with no connection left open."""
    study = optuna.create_study(storage=sqlite_storage, study_name="old")
    study.tell(study.ask(), 1.0)
    sqlite_storage.engine.dispose()
    return tmp_path / "studies.db"


# --- opening -----------------------------------------------------------------------------------------------


def test_a_new_storage_is_made_where_asked(tmp_path: Path, storage_url: str) -> None:
    """With create the database is made, with foreign keys on and readers that block no writer."""
    storage = open_storage(storage_url, create=True)
    assert study_names(storage) == []
    with storage.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 60_000}
    assert query(tmp_path / "studies.db", "PRAGMA journal_mode") == [("wal",)]


def test_an_empty_file_is_filled_where_asked(tmp_path: Path, storage_url: str) -> None:
    """A file without a byte, such as an interrupted tool leaves, can be used."""
    (tmp_path / "studies.db").touch()
    assert study_names(open_storage(storage_url, create=True)) == []


def test_a_missing_storage_is_not_made_for_reading(tmp_path: Path, storage_url: str) -> None:
    """Looking at a storage that is not there makes no file, and says how to get one."""
    message = refused(storage_url, create=False)
    assert message == f"{tmp_path}/studies.db does not exist; run a sweep first, such as: make sweep-dense"
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """The folder is the user's to make."""
    path = tmp_path / "none" / "studies.db"
    assert refused(f"sqlite:///{path}", create=True) == (
        f"the folder of {path} does not exist; make it, or choose another --storage"
    )


@pytest.mark.parametrize("create", [True, False])
def test_a_directory_is_no_storage(tmp_path: Path, create: bool) -> None:
    """A directory in place of the file is told as such."""
    message = refused(f"sqlite:///{tmp_path}", create=create)
    assert message == f"{tmp_path} is a directory; a storage is a file, such as studies.db"


@pytest.mark.parametrize("url", ["studies.db", "nosuchdb://host/db", "postgresql+nosuchdriver://host/db"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """A bare file name, and a database or driver that there is not, are refused by name."""
    assert url in refused(url, create=True)


@pytest.mark.parametrize("name", ["{x}.db", "{.db", "}{.db", "a%20b.db", "a b.db", "%2.db"])
def test_a_storage_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Braces, which Optuna takes for a template, and percent signs, which SQLAlchemy takes for characters."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{name}"
    storage = open_storage(url, create=True)
    optuna.create_study(storage=storage, study_name="x")
    assert study_names(open_storage(url, create=False)) == ["x"]
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    """As the system has it, and not in full."""
    message = refused(f"sqlite:///{tmp_path}/{'x' * 300}", create=True)
    assert message.endswith("... can't be used: File name too long; choose another --storage")
    assert len(message) < 300


def _not_sqlite(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 a spreadsheet, say")


def _damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)


def _of_another_program(path: Path) -> None:
    query(path, "CREATE TABLE bookmarks (url TEXT)")


def _of_older_optuna(path: Path) -> None:
    storage = open_storage(f"sqlite:///{path}", create=True)
    optuna.create_study(storage=storage, study_name="old")
    storage.engine.dispose()
    query(path, "PRAGMA journal_mode=DELETE")
    query(path, "UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    query(path, "UPDATE version_info SET library_version = '2.6.0'")


def _of_newer_optuna(path: Path) -> None:
    if not path.exists():
        _of_older_optuna(path)
    query(path, "UPDATE alembic_version SET version_num = 'v99.0.0.a'")


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_not_sqlite, "is not an SQLite database; choose another --storage"),
        (_damaged, "can't be read: (sqlite3.DatabaseError) "),
        (_of_another_program, "holds no studies: (sqlite3.OperationalError) no such table: version_info"),
        (_of_older_optuna, "holds tables of another Optuna version; keep a copy of it."),
        (_of_newer_optuna, "holds tables of another Optuna version; keep a copy of it."),
    ],
)
def test_what_is_no_storage_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], said: str, create: bool
) -> None:
    """Whatever a file holds, a refusal names it and changes no byte of it."""
    path = tmp_path / "studies.db"
    make(path)
    before = path.read_bytes()
    message = refused(f"sqlite:///{path}", create=create)
    assert str(path) in message
    assert said in message
    # One line, and of a damaged file how to mend it.
    assert "\n" not in message.partition("\nThe file is damaged. ")[0]
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["studies.db"]


def test_another_schema_version_comes_with_optunas_advice(tmp_path: Path) -> None:
    """An older schema is told the command that upgrades it; a newer one is told to update Optuna."""
    path = tmp_path / "studies.db"
    _of_older_optuna(path)
    url = f"sqlite:///{path}"
    assert f"optuna storage upgrade --storage {url}" in refused(url, create=True)
    _of_newer_optuna(path)
    assert "optuna storage upgrade" not in refused(url, create=True)


def deny(monkeypatch: pytest.MonkeyPatch, path: Path, mode: int) -> None:
    """Let the checks see a path without a permission: root, whom tests may run as, has them all."""
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda p, m, **kw: not (Path(p) == path and m & mode) and allowed(p, m, **kw)
    )


def test_a_read_only_storage_can_be_read_and_not_written(
    made: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking needs no write permission; a sweep is told at once and not in the middle of it."""
    deny(monkeypatch, made, os.W_OK)
    assert study_names(open_storage(storage_url, create=False)) == ["old"]
    message = refused(storage_url, create=True)
    assert message == f"{made} is read-only; make it writable, or choose another --storage"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only files")
def test_a_file_without_write_permission_can_be_read(made: Path, storage_url: str) -> None:
    """Reading a really read-only file needs no change to it."""
    made.chmod(0o444)
    assert study_names(open_storage(storage_url, create=False)) == ["old"]
    assert "is read-only" in refused(storage_url, create=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder_is_told_to_those_who_read(tmp_path: Path) -> None:
    """A storage that a sweep wrote can't be read there, and it is not said that it holds no studies."""
    folder = tmp_path / "shared"
    folder.mkdir()
    url = f"sqlite:///{folder}/studies.db"
    open_storage(url, create=True).engine.dispose()
    folder.chmod(0o500)
    assert refused(url, create=False) == (
        f"the folder of {folder}/studies.db is read-only, and SQLite has to write there even to read; "
        "copy the file to another folder"
    )


def test_missing_permissions_are_told(
    tmp_path: Path, made: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable file, and a read-only folder without a file, are each told as what they are."""
    with monkeypatch.context() as patch:
        deny(patch, made, os.R_OK)
        assert refused(storage_url, create=False) == f"{made} can't be read; check its permissions"
    deny(monkeypatch, tmp_path, os.W_OK)
    assert refused(f"sqlite:///{tmp_path}/new.db", create=True) == (
        f"the folder of {tmp_path}/new.db is read-only; choose another --storage"
    )


def test_a_refused_database_keeps_its_password_to_itself() -> None:
    """A message about a database that can't be reached holds its address and not its password."""
    message = refused("nosuchdb://me:se@cret@host/db", create=True)
    assert "nosuchdb://me:***@host/db" in message
    assert "cret" not in message


# --- studies -----------------------------------------------------------------------------------------------


def test_an_unknown_study_is_told_with_those_there_are(storage: RDBStorage) -> None:
    """The message suggests the nearest name and lists all of them."""
    with pytest.raises(StudyNotFoundError, match=r"no study 'dense' \(the storage has no studies yet\)"):
        load_study(storage, "dense")
    for name in ("dense", "cnn"):
        optuna.create_study(storage=storage, study_name=name)
    assert study_names(storage) == ["dense", "cnn"]
    assert load_study(storage, "cnn").study_name == "cnn"
    with pytest.raises(StudyNotFoundError) as caught:
        load_study(storage, "dens")
    assert str(caught.value) == "no study 'dens'; did you mean 'dense'? (there are dense, cnn)"


def test_a_new_database_is_whole_or_not_there(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the tables are made, nothing is left in the way of the next run."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fmnist_sweep.storage.creating.use_write_ahead_log", killed)
        with pytest.raises(KeyboardInterrupt):
            open_storage(storage_url, create=True)
    assert list(tmp_path.iterdir()) == []
    assert study_names(open_storage(storage_url, create=True)) == []


def test_a_database_that_another_process_makes_meanwhile_is_kept(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_storage: Path
) -> None:
    """Of two that create it at once, the second takes what the first has made."""
    from fmnist_sweep.storage import creating as module

    original = module.use_write_ahead_log
    path = tmp_path / "studies.db"

    def slow(storage: RDBStorage) -> None:
        original(storage)
        if not path.exists():
            path.write_bytes(empty_storage.read_bytes())
            optuna.create_study(study_name="first", storage=storage_url)

    monkeypatch.setattr(module, "use_write_ahead_log", slow)
    assert study_names(open_storage(storage_url, create=True)) == ["first"]


def test_files_of_a_study_lie_beside_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each study has a folder of its own there, and in the user's cache where the database is no file."""
    monkeypatch.chdir(tmp_path)
    assert side_folder("sqlite:///studies.db", "a b") == tmp_path / "studies.db.checkpoints" / "a b"
    url = "postgresql://me:secret@host/db"
    assert side_folder(url, "a").name == "a"
    assert side_folder(url, "a") != side_folder(f"{url}2", "a")
    assert side_folder(url, "a") == side_folder(url.replace("secret", "other"), "a")


@pytest.mark.parametrize("create", [False, True])
def test_a_pipe_is_no_storage(tmp_path: Path, create: bool) -> None:
    """It would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="is no file; a storage is a file"):
        open_storage(f"sqlite:///{tmp_path / 'pipe'}", create=create)
