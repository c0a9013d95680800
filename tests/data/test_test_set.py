"""The door to the test images."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fmnist_sweep
from fmnist_sweep.data import find_fashion_mnist, prepare_npz
from fmnist_sweep.data.idx import IdxFile
from fmnist_sweep.data.test_set import has_test, load_test

DOORS = {"load_test", "load_test_call"}
PACKAGE = Path(fmnist_sweep.__file__).parent


def test_one_module_goes_through_the_door() -> None:
    """Test images are read where an export lets its models predict, and nowhere else."""
    reads = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & DOORS:
                reads.add(path.relative_to(PACKAGE).as_posix())
            # Nobody else knows the files' names, but for those who verify them.
            if isinstance(node, ast.Constant) and node.value == "x_test.npy":
                assert path.name == "test_set.py"
            # Those of other data lie in a folder of their own.
            if isinstance(node, ast.Name) and node.id == "TEST_FOLDER":
                assert path.name in ("test_set.py", "calls.py")
    assert reads == {"training/test_reading.py"}


def test_fashion_mnists_test_images_are_its_own(
    write: Callable[..., Path], files: tuple[IdxFile, ...], tmp_path: Path
) -> None:
    """They come from the t10k files, in [0, 1] and in their order."""
    data = find_fashion_mnist(write(tmp_path / "data"), files=files)
    assert has_test(data)
    test = load_test(data)
    assert test.x.shape == (20, 4, 4, 1)
    assert test.x.dtype == np.float32
    assert 0 <= test.x.min() < test.x.max() <= 1
    assert test.y.tolist() == [*range(10), *range(10)]


def test_own_data_may_have_test_images(tmp_path: Path) -> None:
    """An .npz file brings x_test and y_test along, or has none."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (12, 5, 5), dtype=np.uint8), np.arange(12) % 3
    np.savez(tmp_path / "with.npz", x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])
    np.savez(tmp_path / "without.npz", x_train=images, y_train=labels)
    test = load_test(prepare_npz(tmp_path / "with.npz"))
    assert test.x.shape == (6, 5, 5, 1)
    assert (test.x[..., 0] * 255).round().tolist() == images[:6].tolist()
    assert test.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert not has_test(prepare_npz(tmp_path / "without.npz"))
