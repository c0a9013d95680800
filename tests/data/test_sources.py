from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fmnist_sweep.data
from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data import open_data, source_problems
from fmnist_sweep.data.fashion_mnist import FILES, find_fashion_mnist


@pytest.fixture
def npz(in_tmp_path: Path) -> Path:
    path = in_tmp_path / "mine.npz"
    np.savez(path, x_train=np.zeros((8, 2, 2), np.uint8), y_train=np.arange(8) % 2)
    return path


def test_fashion_mnist_is_looked_for_in_the_data_dir(tmp_path: Path) -> None:
    """``data_dir`` is where Fashion-MNIST must be."""
    with pytest.raises(DataError, match="nowhere: 1 problem"):
        open_data("fashion-mnist", data_dir=tmp_path / "nowhere")


def test_an_npz_is_opened_relative_to_the_current_folder(npz: Path) -> None:
    """A relative path is taken from the current folder, and is the data set's name."""
    assert open_data(npz.name).name == "mine.npz"
    assert open_data(str(npz)).digest == open_data(npz.name).digest


def test_an_import_path_is_called(in_tmp_path: Path, npz: Path) -> None:
    """A source with a colon is an import path, in the current folder."""
    (in_tmp_path / "users_data.py").write_text(
        "import numpy as np\n\ndef load():\n    with np.load('mine.npz') as s:\n"
        "        return s['x_train'], s['y_train']\n"
    )
    said: list[str] = []
    assert open_data("users_data:load", say=said.append).digest == open_data(npz.name).digest
    assert said == ["calling users_data:load for its data"]


def test_a_useless_data_dir_is_told(npz: Path) -> None:
    """``data_dir`` beside a user's own data is not dropped silently."""
    said: list[str] = []
    open_data(npz.name, data_dir=Path("folder"), say=said.append)
    assert said == ["folder is not looked at: --data-dir is for fashion-mnist only"]


@pytest.mark.parametrize("source", ["fashion-mnist", "mine.npz", "package.module:function", "m:Class.load"])
def test_allowed_sources_pass(source: str, npz: Path) -> None:
    """Nothing is found against each allowed kind of source."""
    assert npz.exists()
    assert source_problems(source) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("fashion_mnist", "did you mean 'fashion-mnist'?"),
        ("fashon-mnist", "did you mean 'fashion-mnist'?"),
        ("cifar10", "allowed are 'fashion-mnist'"),
        ("", "is no data source"),
        ("package.module:", "is no data source"),
        ("data.xlsx", "is no data source"),
        ("nowhere.npz", "nowhere.npz"),
    ],
)
def test_other_sources_are_told(source: str, told: str, in_tmp_path: Path) -> None:
    """Anything else is a problem that says what is allowed, in the check and when opened."""
    assert in_tmp_path == Path.cwd()
    (problem,) = source_problems(source)
    assert told in problem
    with pytest.raises(DataError) as caught:
        open_data(source)
    assert caught.value.problems == (problem,)


def test_importing_data_is_light() -> None:
    """The package's import brings in neither TensorFlow nor other slow libraries."""
    code = "import sys, fmnist_sweep.data; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "sklearn", "scipy", "pandas", "optuna"} & set(run.stdout.split())


def test_everything_public_has_a_name() -> None:
    """``__all__`` names only what is there."""
    assert all(hasattr(fmnist_sweep.data, name) for name in fmnist_sweep.data.__all__)


def test_a_stand_in_is_no_fashion_mnist(tmp_path: Path, write: Callable[..., Path]) -> None:
    """Files of the right names but another content don't pass as the real data set."""
    with pytest.raises(DataError) as caught:
        find_fashion_mnist(write(tmp_path / "mine"))
    assert len(caught.value.problems) == len(FILES)
