"""What is said of data with which nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fmnist_sweep.core.jobs import DataRef, Scale, SplitSpec
from fmnist_sweep.data.notes import data_notes, scaled_images
from fmnist_sweep.data.own import prepare_npz

BYTES = np.random.default_rng(0).integers(0, 256, (12, 5, 4), dtype=np.uint8)
SPLIT = SplitSpec(n_val=3)


def kept(tmp_path: Path, images: npt.NDArray[Any]) -> DataRef:
    np.savez(tmp_path / "mine.npz", allow_pickle=False, x_train=images, y_train=np.arange(12) % 3)
    return prepare_npz(tmp_path / "mine.npz", name="mine.npz")


def test_floats_of_the_size_of_bytes_are_told(tmp_path: Path) -> None:
    """They are taken as they are, where bytes are scaled: the line says from where to where they go."""
    images = BYTES.astype(np.float64)
    images[0, 0, 0], images[1, 1, 1] = 0, 255
    (note,) = data_notes(kept(tmp_path, images), SPLIT, n_probe=9)
    assert note == (
        "data mine.npz: float images with values from 0 to 255 are taken as they are; "
        "hand over uint8, which is scaled to 0..1, or set scale = '255', which divides them"
    )


@pytest.mark.parametrize("images", [BYTES, BYTES / 255, (BYTES - 127.0) / 64], ids=["uint8", "0..1", "std"])
def test_bytes_and_scaled_floats_are_no_news(images: npt.NDArray[Any], tmp_path: Path) -> None:
    """Nor are floats that somebody standardised."""
    assert data_notes(kept(tmp_path, images), SPLIT, n_probe=9) == []


@pytest.mark.parametrize(("train_size", "n_probe", "n_train"), [(None, 10, 9), (6, 7, 6)])
def test_a_probe_of_more_images_than_train_is_told(
    train_size: int | None, n_probe: int, n_train: int, tmp_path: Path
) -> None:
    """All of them measure then; a probe of just as many is no news."""
    split = SplitSpec(n_val=3, train_size=train_size)
    data = kept(tmp_path, BYTES)
    told = f"training.n_probe is {n_probe}; all {n_train} training images measure the train scores"
    assert data_notes(data, split, n_probe=n_probe) == [told]
    assert data_notes(data, split, n_probe=n_train) == []


def test_fashion_mnist_is_told_of_without_being_opened() -> None:
    """Its number of images is known."""
    (note,) = data_notes(None, SplitSpec(), n_probe=60_000)
    assert note == "training.n_probe is 60,000; all 55,000 training images measure the train scores"
    assert data_notes(None, SplitSpec(), n_probe=55_000) == []


def test_what_the_settings_have_done_to_images_is_told(tmp_path: Path) -> None:
    """Of images that are not handed to a fit; bytes that are handed on as they are are told too."""
    data = kept(tmp_path, BYTES)
    told: list[tuple[Scale, str]] = [("none", "are not scaled"), ("255", "divided by 255, whatever they are")]
    for scale, said in told:
        (note,) = data_notes(replace(data, scale=scale), SPLIT, n_probe=9)
        assert said in note
    one_hot = np.eye(3)[np.arange(12) % 3]
    np.savez(tmp_path / "mine.npz", x_train=BYTES, y_train=one_hot)
    (note,) = data_notes(prepare_npz(tmp_path / "mine.npz", name="mine.npz"), SPLIT, n_probe=9)
    assert "arrays of bytes are handed on as they are, 0 to 255" in note


@pytest.mark.parametrize(
    ("scale", "of_bytes", "unopened"),
    [("auto", "bytes", "bytes"), ("none", None, None), ("255", "floats", "floats")],
)
def test_images_are_known_to_be_scaled(
    scale: Scale, of_bytes: str | None, unopened: str | None, tmp_path: Path
) -> None:
    """A model that scales once more is told of by that."""
    assert scaled_images(kept(tmp_path, BYTES), scale) == of_bytes
    assert scaled_images(None, scale) == unopened
