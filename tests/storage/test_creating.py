"""New databases: beside nothing of an old one, and on file systems of few abilities."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import optuna
import pytest

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.creating import require_no_leftovers
from fmnist_sweep.storage.opening import check_storage, open_storage
from fmnist_sweep.storage.studies import study_names

SIDE_FILES = ("-wal", "-shm", "-journal")


@pytest.mark.parametrize("suffix", SIDE_FILES)
@pytest.mark.parametrize("empty", [False, True])
def test_what_an_old_database_left_is_not_taken_into_a_new_one(
    tmp_path: Path, storage_url: str, suffix: str, empty: bool
) -> None:
    """Its studies would come back, or the new database be damaged: refused, and all is left as it is."""
    left = tmp_path / f"studies.db{suffix}"
    left.write_bytes(b"of an old database")
    if empty:
        (tmp_path / "studies.db").touch()
    for refuse in (
        lambda: check_storage(storage_url, create=True),
        lambda: open_storage(storage_url, create=True),
    ):
        with pytest.raises(StorageError) as caught:
            refuse()
        assert str(caught.value) == (
            f"{tmp_path}/studies.db {'is empty' if empty else 'does not exist'}, but studies.db{suffix} of an"
            " old database is beside it, and would spoil a new one. If that database was moved, move it to"
            " it; otherwise delete it, or choose another --storage"
        )
    assert left.read_bytes() == b"of an old database"
    assert (tmp_path / "studies.db").exists() == empty


def test_side_files_of_a_link_are_those_of_its_file(tmp_path: Path) -> None:
    """SQLite names them after the file, and so does the guard."""
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    (tmp_path / "real.db-wal").touch()
    with pytest.raises(StorageError, match=r"link\.db does not exist, but real\.db-wal of an old"):
        open_storage(f"sqlite:///{tmp_path}/link.db", create=True)


def test_a_database_in_use_keeps_its_side_files(tmp_path: Path, storage_url: str) -> None:
    """They are its own, and no hindrance to whoever opens it as well."""
    study = optuna.create_study(storage=open_storage(storage_url, create=True), study_name="x")
    assert (tmp_path / "studies.db-wal").exists()
    require_no_leftovers(tmp_path / "studies.db")
    assert study_names(open_storage(storage_url, create=True)) == [study.study_name]


def _no_links(code: int) -> Any:
    def hardlink_to(self: Path, target: Path) -> None:  # noqa: ARG001 - as that of a path
        raise OSError(code, os.strerror(code))

    return hardlink_to


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A rename puts the new database in its place."""
    monkeypatch.setattr(Path, "hardlink_to", _no_links(code))
    assert study_names(open_storage(storage_url, create=True)) == []
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(SIDE_FILES)] == ["studies.db"]


def test_a_database_that_can_not_be_put_in_place_is_told(
    tmp_path: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, and nothing is left."""
    monkeypatch.setattr(Path, "hardlink_to", _no_links(errno.EIO))
    with pytest.raises(StorageError, match=r"studies.db can't be opened: \[Errno 5\] Input/output error"):
        open_storage(storage_url, create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_permissions_will_do(
    tmp_path: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a memory card: whoever mounted it said who may read it."""
    from fmnist_sweep.storage.backup import back_up

    def chmod(self: Path, mode: int) -> None:  # noqa: ARG001 - as that of a path
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    open_storage(storage_url, create=True).engine.dispose()
    monkeypatch.setattr(Path, "chmod", chmod)
    assert back_up(storage_url, tmp_path / "copy.db").path.exists()
