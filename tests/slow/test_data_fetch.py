"""Fetch the real Fashion-MNIST into an empty cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data import fashion_mnist, find_fashion_mnist, load_split
from fmnist_sweep.data.fetch import FETCHERS, download_debian_package
from fmnist_sweep.data.idx import locate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="Debian's package needs apt-get"),
]


def test_the_real_data_set_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without the data set it is fetched, verified, and found again without fetching."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("FMNIST_DATA_DIR", raising=False)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    said: list[str] = []
    data = find_fashion_mnist(say=said.append)
    assert said[0] == f"fetching Fashion-MNIST (31 MB) by {FETCHERS[0].name}"
    assert data.directory == str(tmp_path / "cache" / "fmnist-sweep" / "fashion-mnist")
    assert find_fashion_mnist(download=False) == data

    split = load_split(data, SplitSpec())
    assert split.y_val[:5].tolist() == [9, 0, 0, 3, 0]
    total = split.x_train.sum(dtype=np.float64) + split.x_val.sum(dtype=np.float64)
    # The mean pixel of the published training images.
    assert total * 255 / (60_000 * 28 * 28) == pytest.approx(72.9404, abs=1e-4)


def test_debians_package_comes_without_package_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where apt knows no packages yet, lists are fetched into the work folder alone."""
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    (tmp_path / "apt.conf").write_text(f'Dir::State::lists "{lists}";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    work = tmp_path / "work"
    work.mkdir()
    folder = download_debian_package(work)
    assert len(locate(folder, fashion_mnist.FILES)) == 4
    assert [path.name for path in lists.iterdir()] == ["partial"]
