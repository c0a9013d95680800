"""The door to the test images: nothing else in the package reads them.

A sweep never comes here. An export does, once for what it hands out, after it has written into the study that
it will.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.data.fashion_mnist import NAME, TEST_IMAGES, TEST_LABELS
from fmnist_sweep.data.idx import map_idx
from fmnist_sweep.data.split import FloatImages, Labels, scaled


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
    """The test images and labels, in memory.

    Attributes:
        x: Shape ``(n_test, height, width, channels)``, float32; in [0, 1] where the source is bytes.
        y: Shape ``(n_test,)``, int32, class numbers from 0.
    """

    __test__ = False  # pytest would take the name for that of a test class

    x: FloatImages
    y: Labels


def has_test(data: DataRef) -> bool:
    """Return whether a data set has test images, without reading any."""
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
    return TestSet(scaled(x, np.arange(len(y))), y.astype(np.int32))
