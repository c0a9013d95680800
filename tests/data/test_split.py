from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef, Scale, SplitKind, SplitSpec
from fmnist_sweep.data.fashion_mnist import find_fashion_mnist
from fmnist_sweep.data.idx import IdxFile
from fmnist_sweep.data.own import prepare_npz
from fmnist_sweep.data.reading import Reading
from fmnist_sweep.data.split import ALIGNMENT, check_split, load_split, probe_indices, split_indices
from fmnist_sweep.data.test_set import load_test

Labels = npt.NDArray[np.uint8]
SCALES: tuple[Scale, ...] = ("auto", "none", "255")


@pytest.fixture
def data(tmp_path: Path, files: tuple[IdxFile, ...], write: Callable[..., Path]) -> DataRef:
    """Give 40 training images in ten classes, without any test image on the disk."""
    found = find_fashion_mnist(write(tmp_path / "mine"), files=files, fetchers=())
    for path in Path(found.directory).glob("t10k*"):
        path.unlink()
    return found


def images_of(contents: dict[str, bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(contents["train-images-idx3-ubyte"][16:], np.uint8).reshape(40, 4, 4, 1)


def own_data(tmp_path: Path, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> DataRef:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=x, y_train=y)
    return prepare_npz(path)


def test_the_default_split_is_the_reports(data: DataRef, contents: dict[str, bytes]) -> None:
    """Without a seed the first images validate and the rest train, in file order."""
    split = load_split(data, SplitSpec(n_val=10))
    images = images_of(contents)
    np.testing.assert_array_equal(split.x_val, images[:10] / np.float32(255))
    np.testing.assert_array_equal(split.x_train, images[10:] / np.float32(255))
    assert split.y_val.tolist() == list(range(10))
    assert split.y_train.tolist() == [*range(10)] * 3


def test_arrays_are_ready_for_keras(data: DataRef) -> None:
    """Images are float32 in [0, 1] with a channel axis, labels are int32."""
    split = load_split(data, SplitSpec(n_val=10, seed=3))
    for x, y in ((split.x_train, split.y_train), (split.x_val, split.y_val)):
        assert (x.dtype.name, y.dtype.name) == ("float32", "int32")
        assert x.shape == (len(y), 4, 4, 1)
        assert x.min() >= 0
        assert 0.9 < x.max() <= 1


def test_images_keep_their_labels(data: DataRef, contents: dict[str, bytes]) -> None:
    """A reshuffle moves an image and its label together."""
    label_of = {image.tobytes(): n % 10 for n, image in enumerate(images_of(contents) / np.float32(255))}
    split = load_split(data, SplitSpec(n_val=10, seed=3, train_size=15))
    for x, y in ((split.x_train, split.y_train), (split.x_val, split.y_val)):
        assert [label_of[image.tobytes()] for image in x] == y.tolist()


def test_equal_splits_give_equal_arrays(data: DataRef) -> None:
    """The same specification gives the same arrays in the same order."""
    spec = SplitSpec(n_val=10, seed=7, train_size=20)
    first, second = load_split(data, spec), load_split(data, spec)
    for name in ("x_train", "y_train", "x_val", "y_val"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_large_sets_are_loaded_whole(tmp_path: Path) -> None:
    """Loading piece by piece loses no image, also where the last piece is not full."""
    x = np.arange(2500, dtype=np.float32).reshape(2500, 1, 1)
    split = load_split(own_data(tmp_path, x, np.arange(2500) % 2), SplitSpec(n_val=2))
    np.testing.assert_array_equal(split.x_train.ravel(), np.arange(2, 2500))


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_images_begin_where_tensorflow_wants_them(kind: type, tmp_path: Path) -> None:
    """Whatever their source is of, training images can become a tensor without a copy."""
    for n in range(4, 40, 5):
        x: npt.NDArray[Any] = np.zeros((n, 3, 5), kind)
        split = load_split(own_data(tmp_path, x, np.arange(n) % 2), SplitSpec(n_val=2))
        assert split.x_train.ctypes.data % ALIGNMENT == 0
        assert split.x_train.flags.c_contiguous


def test_own_floats_are_not_scaled(tmp_path: Path) -> None:
    """Float images are taken as they are, bytes are divided by 255."""
    y = np.arange(8) % 2
    floats = load_split(own_data(tmp_path, np.full((8, 2, 2), 7.5), y), SplitSpec(n_val=2))
    assert (floats.x_train == 7.5).all()
    assert floats.x_train.dtype == np.float32
    whites = load_split(own_data(tmp_path, np.full((8, 2, 2), 255, np.uint8), y), SplitSpec(n_val=2))
    assert (whites.x_train == 1).all()


def test_the_reports_split_of_the_published_labels() -> None:
    """The default specification asks for the report's first 5,000 of 60,000 images."""
    train, val = split_indices(np.arange(60_000) % 10, SplitSpec())
    assert (train[0], train[-1], len(train)) == (5000, 59_999, 55_000)
    assert (val[0], val[-1], len(val)) == (0, 4999, 5000)


@st.composite
def labels_and_splits(draw: st.DrawFn) -> tuple[Labels, SplitSpec]:
    n_classes = draw(st.integers(2, 6))
    counts = draw(st.lists(st.integers(2, 60), min_size=n_classes, max_size=n_classes))
    labels = np.repeat(np.arange(n_classes, dtype=np.uint8), counts)
    np.random.default_rng(draw(st.integers(0, 99))).shuffle(labels)
    n_val = draw(st.integers(1, len(labels) - 1))
    return labels, SplitSpec(n_val=n_val, seed=draw(st.none() | st.integers(0, 2**32)))


@given(labels_and_splits())
def test_a_split_is_a_partition(drawn: tuple[Labels, SplitSpec]) -> None:
    """Every image is in exactly one part, and validation has the size that was asked for."""
    labels, spec = drawn
    train, val = split_indices(labels, spec)
    assert len(val) == spec.n_val
    assert sorted([*train, *val]) == list(range(len(labels)))


@given(labels_and_splits())
def test_a_seeded_split_is_stratified(drawn: tuple[Labels, SplitSpec]) -> None:
    """Each class has its share of both parts, to within one image."""
    labels, spec = drawn
    assume(spec.seed is not None)
    n_classes = labels.max() + 1
    for indices in split_indices(labels, spec):
        shares = np.bincount(labels, minlength=n_classes) * len(indices) / len(labels)
        assert (np.abs(np.bincount(labels[indices], minlength=n_classes) - shares) < 1).all()


@given(labels_and_splits(), st.data())
def test_train_size_keeps_a_stratified_subset(drawn: tuple[Labels, SplitSpec], more: st.DataObject) -> None:
    """``train_size`` takes that many of the training images, stratified, and leaves validation alone."""
    labels, spec = drawn
    train, val = split_indices(labels, spec)
    size = more.draw(st.integers(1, len(train)))
    smaller = SplitSpec(n_val=spec.n_val, seed=spec.seed, train_size=size)
    some, same_val = split_indices(labels, smaller)
    np.testing.assert_array_equal(same_val, val)
    assert len(some) == size
    assert set(some) <= set(train)
    n_classes = labels.max() + 1
    shares = np.bincount(labels[train], minlength=n_classes) * size / len(train)
    assert (np.abs(np.bincount(labels[some], minlength=n_classes) - shares) < 1).all()


@pytest.mark.parametrize(
    ("kind", "rows"), [("first", [0, 1, 2, 3, 4]), ("last", [15, 16, 17, 18, 19]), ("random", None)]
)
def test_the_kind_of_split_says_which_images_validate(kind: SplitKind, rows: list[int] | None) -> None:
    """Whatever the seed, unless the kind draws; what is drawn at random is not stratified."""
    labels = np.repeat([0, 1], 10)
    found = [split_indices(labels, SplitSpec(5, seed, kind=kind))[1].tolist() for seed in range(20)]
    if rows is not None:
        assert found == [rows] * 20
    else:
        assert {int(np.count_nonzero(labels[val])) for val in found} > {2, 3}
        assert all(len(set(val)) == 5 for val in found)


@given(labels_and_splits())
def test_the_seed_decides_the_split(drawn: tuple[Labels, SplitSpec]) -> None:
    """The same specification gives the same indices."""
    labels, spec = drawn
    for first, second in zip(split_indices(labels, spec), split_indices(labels, spec), strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_seeds_give_other_splits() -> None:
    """Five seeds give five different validation sets."""
    labels = np.arange(100) % 10
    drawn = {tuple(split_indices(labels, SplitSpec(n_val=20, seed=seed))[1]) for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (SplitSpec(n_val=0), "n_val is 0; allowed: 10 to 30"),
        (SplitSpec(n_val=9), "n_val is 9"),
        (SplitSpec(n_val=31), "n_val is 31"),
        (SplitSpec(n_val=-5, seed=1), "n_val is -5"),
        (SplitSpec(), "n_val is 5000"),
        (SplitSpec(n_val=10, train_size=31), "train_size is 31; allowed: 10 to 30"),
        (SplitSpec(n_val=10, train_size=9), "train_size is 9"),
        (SplitSpec(n_val=10, train_size=0), "train_size is 0"),
    ],
)
def test_impossible_splits_are_told(spec: SplitSpec, told: str, data: DataRef) -> None:
    """A split that the data set does not allow is an error with the allowed range."""
    assert any(told in problem for problem in check_split(data, spec))
    with pytest.raises(ConfigError, match=told):
        load_split(data, spec)


@pytest.mark.parametrize("spec", [SplitSpec(n_val=10), SplitSpec(n_val=30, seed=1, train_size=10)])
def test_the_edges_are_allowed(spec: SplitSpec, data: DataRef) -> None:
    """The smallest validation and training parts that hold each class are possible."""
    assert check_split(data, spec) == []
    assert set(load_split(data, spec).y_train) == set(range(10))


def test_sorted_files_need_a_seed(tmp_path: Path) -> None:
    """Where the first images are all of one class, the default split is refused and a seed proposed."""
    data = own_data(tmp_path, np.zeros((40, 2, 2), np.uint8), np.repeat([0, 1], 20))
    (problem,) = check_split(data, SplitSpec(n_val=10))
    assert "no image of class 1 is among the 10 that validate" in problem
    assert "set seed" in problem
    assert check_split(data, SplitSpec(n_val=10, seed=0)) == []


def test_test_images_stay_behind_the_door(tmp_path: Path) -> None:
    """A split loads although the test files are gone, so it never reads them."""
    x, y = np.zeros((40, 2, 2), np.uint8), np.arange(40) % 2
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    data = prepare_npz(path)
    for kept in Path(data.directory).glob("*test*"):
        kept.unlink()
    assert len(load_split(data, SplitSpec(n_val=10)).x_val) == 10


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_probe_is_evenly_spaced(n_train: int, n_probe: int) -> None:
    """Probe images are distinct and in range, and steps between them differ by one at most."""
    probe = probe_indices(n_train, n_probe)
    assert len(probe) == min(n_train, n_probe)
    assert probe.dtype == np.int64
    assert probe[0] == 0
    assert probe[-1] < n_train
    steps = np.diff(np.append(probe, n_train))
    assert steps.min() >= 1
    assert np.ptp(steps) <= 1


def test_a_large_probe_is_the_whole_training_set() -> None:
    """No more images are taken than there are."""
    assert probe_indices(5, 10_000).tolist() == [0, 1, 2, 3, 4]


def test_what_is_scaled_is_for_the_settings_to_say(tmp_path: Path) -> None:
    """Bytes stay as they are, or whatever there is is divided; in the test part likewise."""
    x, y = np.full((8, 2, 2), 255, np.uint8), np.arange(8) % 2
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    found = {}
    for scale in SCALES:
        data = prepare_npz(tmp_path / "mine.npz", reading=Reading(scale=scale))
        found[scale] = (load_split(data, SplitSpec(n_val=2)).x_train.max(), load_test(data).x.max())
    assert found == {"auto": (1, 1), "none": (255, 255), "255": (1, 1)}
    floats = replace(own_data(tmp_path, np.full((8, 2, 2), 255.0), y), scale="255")
    assert load_split(floats, SplitSpec(n_val=2)).x_val.max() == 1
