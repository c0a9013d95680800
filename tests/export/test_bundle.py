from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fmnist_sweep.core.errors import StorageError, SweepError
from fmnist_sweep.export.bundle import bundle_facts, check_place, write_bundle


def fill(folder: Path) -> None:
    """Write one file."""
    (folder / "model.keras").write_bytes(b"new" * 10_000)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A bundle that is there already."""
    folder = tmp_path / "exports" / "dense"
    write_bundle(folder, {"key": "old"}, lambda new: (new / "model.keras").write_text("old"))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def small_files() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk that is full; the log of the tests is one, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_bundle_is_replaced_whole(old: Path) -> None:
    """Nothing of the old one is left, and nothing beside it."""
    write_bundle(old, {"key": "new"}, fill)
    assert sorted(contents(old)) == ["metrics.json", "model.keras"]
    assert (bundle_facts(old) or {})["key"] == "new"
    assert [path.name for path in old.parent.iterdir()] == ["dense"]


def test_a_bundle_can_be_read_by_others(old: Path) -> None:
    """It is made in a private folder, and is not private in the end."""
    assert old.stat().st_mode & 0o777 == 0o755
    assert (old / "metrics.json").stat().st_mode & 0o777 == 0o644


def test_what_fails_while_it_is_written_leaves_the_old_one(old: Path) -> None:
    """Whatever goes wrong: the old bundle is as it was, and no half of a new one lies about."""
    before = contents(old.parent)

    def broken(folder: Path) -> None:
        fill(folder)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        write_bundle(old, {"key": "new"}, broken)
    assert contents(old.parent) == before


def test_a_place_is_made_with_its_bundle(tmp_path: Path) -> None:
    """Neither looking at the place nor a bundle that fails leaves empty folders."""
    folder = tmp_path / "out" / "exports" / "dense"
    check_place(folder)
    with pytest.raises(ZeroDivisionError):
        write_bundle(folder, {}, lambda _: 1 / 0)
    assert not list(tmp_path.iterdir())
    write_bundle(folder, {}, fill)
    assert [path.name for path in folder.parent.iterdir()] == ["dense"]


def test_a_disk_that_is_full_leaves_the_old_one(old: Path) -> None:
    """The message names the folder and what was wrong."""
    before = contents(old.parent)
    told = "dense can't be written: File too large; choose another --output"
    with pytest.raises(StorageError, match=told), small_files():
        write_bundle(old, {"key": "new"}, fill)
    assert contents(old.parent) == before


def test_what_is_no_bundle_is_never_overwritten(tmp_path: Path) -> None:
    """Neither a folder of the user's, nor one with another metrics.json, nor a file."""
    folder = tmp_path / "dense"
    folder.mkdir()
    for document in ("{}", "no JSON", json.dumps({"format": "another"})):
        (folder / "metrics.json").write_text(document)
        with pytest.raises(SweepError, match="a folder that is no bundle"):
            write_bundle(folder, {}, fill)
    with pytest.raises(SweepError, match="is a file; nothing is overwritten"):
        write_bundle(folder / "metrics.json", {}, fill)
    assert sorted(contents(folder)) == ["metrics.json"]


def test_a_place_that_cannot_be_written_is_told_beforehand(tmp_path: Path) -> None:
    """A file where the folder would have to be made."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"taken.* can't be written"):
        check_place(tmp_path / "taken" / "dense")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_told_beforehand(tmp_path: Path) -> None:
    """Nothing has been trained by then."""
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="can't be written: Permission denied"):
        check_place(tmp_path / "dense")


def test_an_export_that_was_killed_between_two_renames_is_put_right(old: Path) -> None:
    """The old bundle gets its name back, and what was half written is removed by the next."""
    old.rename(old.with_name(".dense.old"))
    (old.parent / ".dense.x.part").mkdir()
    check_place(old)
    assert (bundle_facts(old) or {})["key"] == "old"
    write_bundle(old, {"key": "new"}, fill)
    assert [path.name for path in old.parent.iterdir()] == ["dense"]
