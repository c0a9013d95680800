"""A file with a damaged page: every command says how to go on, and what it says works."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy.exc
from made_studies import add_trial, empty_study, params_of, scripted_curve

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.backup import back_up
from fmnist_sweep.storage.mending import last_backup
from fmnist_sweep.storage.opening import open_storage, storage_in_use

Command = Callable[..., tuple[int, str, str]]

N_TRIALS = 12


@pytest.fixture
def file(tmp_path: Path, sqlite_storage: optuna.storages.RDBStorage) -> Path:
    """An SQLite storage, closed, in which a page with the curves of some trials of ``dense`` is damaged."""
    study = empty_study(sqlite_storage)
    for i in range(N_TRIALS):
        add_trial(
            study, params_of(i), scripted_curve(0.9, 0.01, n_epochs=3), fail_detail=f"<{i}>" + "x" * 900
        )
    sqlite_storage.remove_session()
    sqlite_storage.engine.dispose()
    path = tmp_path / "studies.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    page = content.index(b"<6>") // size * size
    content[page : page + size] = b"\x07\xff\x80\xaa" * (size // 4)
    path.write_bytes(content)
    return path


def test_how_to_mend_a_damaged_page_is_told(command: Command, file: Path) -> None:
    """By commands that read, and by a backup, which is not made; the last one is named."""
    for words in (("trials", "dense"), ("backup",)):
        code, _, err = command(*words)
        assert code == 2
        lines = err.splitlines()
        assert "database disk image is malformed" in lines[0]
        assert lines[1].startswith("The file is damaged. What can still be read of it is saved")
        assert lines[2].startswith(
            "  sqlite3 studies.db .dump | sed 's/^ROLLBACK; -- due to errors$/COMMIT;/'"
        )
        assert "then copy studies-mended.db to studies.db: the same command goes on." in lines[3]
        assert len(lines) == 4
    for name in ("studies-2026-11-26-093000.db", "studies-2026-11-27-093000.db", "studies-saved.db"):
        (file.parent / name).touch()
    assert last_backup(file) == file.parent / "studies-2026-11-27-093000.db"
    with pytest.raises(
        StorageError, match=r"The last backup beside it is \S+/studies-2026-11-27-093000.db\. "
    ):
        back_up(f"sqlite:///{file}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 shell here: apt-get install sqlite3")
def test_what_is_told_mends_it(command: Command, file: Path) -> None:
    """Followed to the letter; the trials of the other pages have all that they had."""
    _, _, err = command("trials", "dense")
    # As a user types it, in the folder of the command.
    subprocess.run(err.splitlines()[2], shell=True, check=True, cwd=file.parent)  # noqa: S602
    for path in file.parent.glob("studies.db*"):
        path.rename(path.with_name(f"away-{path.name}"))
    shutil.copy(file.parent / "studies-mended.db", file)
    code, _, err = command("trials", "dense")
    assert code == 0, err
    study = optuna.load_study(study_name="dense", storage=open_storage(f"sqlite:///{file}", create=True))
    assert len(study.trials) == N_TRIALS
    whole = [trial for trial in study.trials if {"curve", "epoch", "gap"} <= trial.user_attrs.keys()]
    assert N_TRIALS - 4 <= len(whole) < N_TRIALS
    assert command("backup")[0] == 0


@pytest.mark.parametrize(
    ("told", "is_damage"),
    [
        ("Could not decode to UTF-8 column 'value_json' with text 'x'", True),
        ("database is locked", False),
    ],
)
def test_a_text_that_is_none_is_damage_as_well(
    storage_url: str, sqlite_storage: optuna.storages.RDBStorage, told: str, is_damage: bool
) -> None:
    """Python says so without a number; SQLAlchemy's line on its query is left out."""
    del sqlite_storage
    error = optuna.exceptions.StorageInternalError()
    flush = "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block)"
    error.__cause__ = sqlalchemy.exc.OperationalError("SELECT 1", (), sqlite3.OperationalError(told))
    error.__cause__.add_detail(flush)
    with pytest.raises(StorageError) as caught, storage_in_use(storage_url):
        raise error
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{storage_url} can no longer be used: (sqlite3.OperationalError) {told}"
    assert lines[1].startswith("The file is damaged. " if is_damage else "What was written before is kept; ")
