"""The door to the test part of the data: nothing else in the package reads it.

A sweep never comes here. An export does, once for what it hands out, after it has written into the study that
it will.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.data.calls import TEST_FOLDER, open_pickle
from fmnist_sweep.data.carried import LoadDataset
from fmnist_sweep.data.fashion_mnist import NAME, TEST_IMAGES, TEST_LABELS
from fmnist_sweep.data.idx import map_idx
from fmnist_sweep.data.split import FloatImages, Labels, scaled


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
    """The test images and labels, in memory.

    Attributes:
        x: Shape ``(n_test, height, width, channels)``, float32; scaled as those that
            train.
        y: Shape ``(n_test,)``, int32, class numbers from 0.
    """

    __test__ = False  # pytest would take the name for that of a test class

    x: FloatImages
    y: Labels


def has_test(data: DataRef) -> bool:
    """Return whether a data set has a test part, without reading it."""
    if data.form == "call":
        return (Path(data.directory) / TEST_FOLDER).is_dir()
    return data.name == NAME or (Path(data.directory) / "x_test.npy").is_file()


def load_test(data: DataRef) -> TestSet:
    """Read the test images. Call this where the reading is recorded, and nowhere else.

    Args:
        data: A verified data set for which `has_test` is true.
    """
    folder = Path(data.directory)
    if data.name == NAME:
        x, y = map_idx(folder / TEST_IMAGES)[..., np.newaxis], map_idx(folder / TEST_LABELS)
    else:
        x = np.load(folder / "x_test.npy", mmap_mode="r", allow_pickle=False)
        y = np.load(folder / "y_test.npy", mmap_mode="r", allow_pickle=False)
    return TestSet(scaled(x, np.arange(len(y)), data.scale), y.astype(np.int32))


def load_test_call(data: DataRef, load_dataset: LoadDataset) -> tuple[Any, Any]:
    """Read the test part of data that are handed to ``fit`` as they are.

    Call this where the reading is recorded, and nowhere else.

    Args:
        data: Kept data for which `has_test` is true.
        load_dataset: As for `fmnist_sweep.data.calls.open_call`.

    Returns:
        ``x`` and ``y``, nested as they were given; of a data set itself and None.
    """
    x, *rest = open_pickle(Path(data.directory) / TEST_FOLDER, load_dataset)
    return x, rest[0] if rest else None
