"""What a user should know of the data before a sweep, though nothing is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from fmnist_sweep.core.jobs import DataRef, Scale, SplitSpec
from fmnist_sweep.data.calls import holds_bytes
from fmnist_sweep.data.fashion_mnist import N_TRAIN, NAME

_LARGEST_SCALED: Final = 10
"""Floats that someone scaled or standardised are hardly ever larger; unscaled bytes are."""


def scaled_images(data: DataRef | None, scale: Scale = "auto") -> Literal["bytes", "floats"] | None:
    """Return why a model gets images in 0..1: bytes are scaled on loading, floats may be so; None if not.

    Args:
        data: The data set; None stands for Fashion-MNIST, not opened.
        scale: What is done to its images.
    """
    if scale == "255":
        # Of whatever they were.
        return "floats"
    if scale == "none" and (data is None or data.name == NAME):
        return None
    if data is None or data.name == NAME:
        return "bytes"
    if data.form == "call":
        return None
    images = np.load(Path(data.directory) / "x_train.npy", mmap_mode="r", allow_pickle=False)
    if images.dtype == np.uint8:
        return "bytes" if scale == "auto" else None
    return "floats" if images.min() >= 0 and images.max() <= 1 else None


def data_notes(data: DataRef | None, split: SplitSpec, *, n_probe: int | None) -> list[str]:
    """Return what is worth a line of its own before a sweep; nothing is changed by it.

    Args:
        data: The data set; None stands for Fashion-MNIST, not opened.
        split: A split that can be made of it.
        n_probe: Number of training images that are to measure the train scores; None for as many as validate.
    """
    notes: list[str] = []
    if data is not None and data.form == "call":
        if holds_bytes(data):
            told = f"data {data.name}: arrays of bytes are handed on as they are, 0 to 255"
            notes.append(f"{told}; scale = '255' in a sweep file divides them, or a Rescaling layer does")
        return notes
    if data is not None and data.scale != "auto":
        done = "not scaled" if data.scale == "none" else "divided by 255, whatever they are"
        notes.append(f"data {data.name}: images are {done}, as scale = {data.scale!r} says")
    elif data is not None and data.name != NAME:
        # Kept arrays are bytes, which are scaled as they are loaded, or floats.
        images = np.load(Path(data.directory) / "x_train.npy", mmap_mode="r", allow_pickle=False)
        low, high = (0, 0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))
        if max(-low, high) > _LARGEST_SCALED:
            notes.append(
                f"data {data.name}: float images with values from {low:g} to {high:g} are taken as they are; "
                "hand over uint8, which is scaled to 0..1, or set scale = '255', which divides them"
            )
    n = (N_TRAIN if data is None else data.n_train) - split.n_val
    n_train = n if split.train_size is None else split.train_size
    # Of a split that can't be made the run says more.
    if n_probe is not None and 0 < n_train < n_probe:
        notes.append(
            f"training.n_probe is {n_probe:,}; all {n_train:,} training images measure the train scores"
        )
    return notes
