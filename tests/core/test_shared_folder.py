"""A folder that several machines see, through pyarrow."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.core.shared_folder import SharedFolder, folder_problems, safe_folder


@pytest.mark.parametrize("name", ["plain", "my folder", "a#b?c", "100 %", "größe"])
def test_files_are_written_read_renamed_listed_and_removed(tmp_path: Path, name: str) -> None:
    """Whatever the folder is called; it is made with its first file, and nothing half-written is left."""
    folder = SharedFolder(f"file://{tmp_path / name}".replace("%", "%25"), "ab12/my study")
    assert folder.read("x") is None
    assert folder.sizes() == {}
    folder.write("x", b"first")
    folder.write("x", b"second")
    assert (tmp_path / name / "ab12" / "my study" / "x").read_bytes() == b"second"
    folder.write("y", b"")
    assert folder.rename("x", "y")
    assert not folder.rename("x", "y")
    assert folder.sizes() == {"y": 6}
    assert folder.read("y") == b"second"
    for _ in range(2):
        folder.remove("y")
    assert folder.sizes() == {}
    assert folder.trouble() == ""
    assert not list((tmp_path / name / "ab12" / "my study").iterdir())


def test_escapes_stand_for_characters(tmp_path: Path) -> None:
    """As `Path.as_uri` writes them."""
    SharedFolder((tmp_path / "a b#c%").as_uri()).write("x", b"1")
    assert (tmp_path / "a b#c%" / "x").read_bytes() == b"1"


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    """In a line, for reading and for writing."""
    (tmp_path / "file").touch()
    folder = SharedFolder(f"file://{tmp_path}/file/inside")
    assert "Not a directory" in folder.trouble()
    assert "\n" not in folder.trouble()


def test_keys_are_shown_nowhere() -> None:
    """An object store's address may hold them, and what pyarrow says repeats it."""
    url = "s3://me:geheim@bucket/folder?endpoint_override=127.0.0.1:1&scheme=http&wrong=1"
    assert safe_folder(url) == "s3://***@bucket/folder"
    folder = SharedFolder(url, "study")
    assert str(folder) == "s3://***@bucket/folder/study"
    assert folder.trouble()
    assert "geheim" not in folder.trouble()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "is no address of a folder"),
        ("/shared", "'/shared' is no address of a folder that nodes share; allowed are 'file:///FOLDER'"),
        ("fs3://bucket/x", "is no address of a folder"),
        ("http://me:geheim@host/x", "'http://***@host/x' is no address of a folder"),
        ("file://shared/x", "names no whole path; write file:///FOLDER, with three slashes"),
        ("file:///", "names no folder"),
        ("s3://", "names no folder"),
    ],
)
def test_other_addresses_are_refused(url: str, told: str) -> None:
    """With what is allowed."""
    (problem,) = folder_problems(url)
    assert told in problem


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the least that is installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (problem,) = folder_problems("s3://bucket/x")
    assert "pip install 'fmnist-sweep[ray]'" in problem
