"""A data set of a few bytes in the form of Fashion-MNIST, and a machine that holds no data yet."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fmnist_sweep
from fmnist_sweep.data import fashion_mnist
from fmnist_sweep.data.idx import IdxFile

N_TRAIN, N_TEST, SIDE, N_CLASSES = 40, 20, 4, 10


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every place that is looked in at an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("FMNIST_DATA_DIR", raising=False)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the temporary folder the current one; child processes still find the package."""
    package = str(Path(fmnist_sweep.__file__).parents[1])
    # An empty part of it would be the current folder.
    paths = filter(None, [package, os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def contents() -> dict[str, bytes]:
    """Uncompressed idx content by file name, train images first."""
    rng = np.random.default_rng(0)
    made = {}
    for part, n in (("train", N_TRAIN), ("t10k", N_TEST)):
        images = rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8) % N_CLASSES
        made[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, *images.shape) + images.tobytes()
        made[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, n) + labels.tobytes()
    return made


@pytest.fixture
def files(contents: dict[str, bytes]) -> tuple[IdxFile, ...]:
    """What is expected of `contents`."""

    def described(name: str, content: bytes) -> IdxFile:
        n_dims = content[3]
        shape = struct.unpack(f">{n_dims}I", content[4 : 4 + 4 * n_dims])
        return IdxFile(name, shape, hashlib.sha256(content).hexdigest())

    return tuple(described(name, content) for name, content in contents.items())


@pytest.fixture
def write(contents: dict[str, bytes]) -> Callable[..., Path]:
    """Write the data set into a folder: ``write(folder)`` or ``write(folder, compress=True)``."""

    def write_contents(folder: Path, *, compress: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write_contents
