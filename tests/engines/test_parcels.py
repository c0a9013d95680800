"""Folders that travel: whole or not at all, and the same where they arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.engines.cluster import parcels
from fmnist_sweep.engines.cluster.agent import Agent, AgentSpec
from fmnist_sweep.engines.cluster.parcels import (
    DamagedParcelError,
    Parcel,
    ParcelFile,
    code_files,
    is_there,
    parcel_of,
    pieces,
    unpack,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of several sizes, one of them empty."""
    for name, content in {"a.npy": b"0123456789", "deep/b.npy": b"xyz", "c.txt": b""}.items():
        path = tmp_path / "origin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "origin"


@pytest.mark.parametrize("size", [1, 3, 10, 13, 100])
def test_a_folder_arrives_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However its files fall into pieces."""
    monkeypatch.setattr(parcels, "PIECE_BYTES", size)
    parcel = parcel_of(folder, key="data")
    sent = list(pieces(parcel))
    assert b"".join(sent) == b"0123456789xyz"
    assert max(map(len, sent)) <= size
    unpack(parcel, sent, tmp_path / "there")
    assert is_there(parcel, tmp_path / "there")
    assert parcel_of(tmp_path / "there", key="data").files == parcel.files


@pytest.mark.parametrize("sent", [[b"0123456789xyZ"], [b"0123"], []], ids=["changed", "cut off", "nothing"])
def test_what_arrives_damaged_is_not_kept(folder: Path, tmp_path: Path, sent: list[bytes]) -> None:
    """Nothing is left of it."""
    with pytest.raises(DamagedParcelError):
        unpack(parcel_of(folder), sent, tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


def test_what_was_damaged_since_is_replaced(folder: Path, tmp_path: Path) -> None:
    """A cache that lost a file, or has another one, is no copy."""
    parcel = parcel_of(folder)
    unpack(parcel, pieces(parcel), tmp_path / "there")
    (tmp_path / "there" / "a.npy").write_bytes(b"9876543210")
    assert not is_there(parcel, tmp_path / "there")
    unpack(parcel, pieces(parcel), tmp_path / "there")
    assert is_there(parcel, tmp_path / "there")


def test_no_file_lands_outside_its_folder(tmp_path: Path) -> None:
    """Whatever a parcel says."""
    parcel = Parcel("key", "/nowhere", (ParcelFile("../evil", 1, "digest"),))
    with pytest.raises(DamagedParcelError, match="outside"):
        unpack(parcel, [b"x"], tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_code_is_what_a_model_needs(tmp_path: Path) -> None:
    """Modules, small texts and carried models; no data, environments, studies or caches."""
    taken = ["net.py", "parts/layers.py", "parts/names.json", "model_of_dense.pkl"]
    left = [
        "studies.db",
        "data.npz",
        ".venv/x.py",
        "env/pyvenv.cfg",
        "env/lib.py",
        "__pycache__/net.py",
        "w.pkl",
    ]
    for name in [*taken, *left]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in code_files(tmp_path)) == sorted(taken)


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants their home folder on every node."""
    monkeypatch.setattr(parcels, "_MAX_FILES", 1)
    for name in ("a.py", "b.py"):
        (tmp_path / name).touch()
    with pytest.raises(EngineError, match="start the sweep in a folder of its own"):
        code_files(tmp_path)


def test_data_go_to_a_node_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the sender's folder can't be seen they are kept, and found again as long as they are whole."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = parcel_of(folder, key="digest")
    sent = Parcel(here.key, "/nowhere", here.files)
    spec = AgentSpec(1, "none:Trainer", ())

    def lacking(parcel: Parcel) -> list[str]:
        agent = Agent(spec)
        try:
            missing = agent.lacks([parcel])
            if missing:
                agent.receive(parcel, pieces(here))
                assert agent.lacks([parcel]) == []
        finally:
            agent.close()
        return missing

    assert lacking(here) == []
    assert lacking(sent) == ["digest"]
    assert lacking(sent) == []
    (kept,) = tmp_path.rglob("nodes/digest/a.npy")
    kept.write_bytes(b"damaged...")
    assert lacking(sent) == ["digest"]
