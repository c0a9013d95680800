"""Data sets that are known by name: what can be said of them before they are opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fmnist_sweep.core.registry import Registry
from fmnist_sweep.data.fashion_mnist import CLASS_NAMES, NAME


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data set whose content is known: its files are verified by their digests.

    Attributes:
        name: As a sweep file gives it.
        title: As people write it.
        image_shape: Shape of one image, with its channel axis.
        n_classes: Number of classes.
        scale: What the smallest and the largest number of an image mean.
        script_data: Where a bundle's script finds it.
        val_note: What to beware of in its validation images; measured with the built-in models.
    """

    name: str
    title: str
    image_shape: tuple[int, ...]
    n_classes: int
    scale: str
    script_data: str
    val_note: str


FASHION_MNIST: Final = DataSource(
    name=NAME,
    title="Fashion-MNIST",
    image_shape=(28, 28, 1),
    n_classes=len(CLASS_NAMES),
    scale="0 is black, 1 is white",
    script_data=(
        "DATA is a folder with the four files of Fashion-MNIST, or an .npz file. Without it Keras's own "
        "folder, /usr/share/datasets/fashion-mnist and the cache of fmnist-sweep are looked in, and then "
        "Keras is asked."
    ),
    # docs/test-set.md has the figures.
    val_note=(
        "The validation images come from the training file, and are easier than the test images: models of "
        "this kind score 0.7 to 1.5 points higher on them. A gap of one point to validation is a larger one "
        "to test."
    ),
)

DATA_SETS: Final = Registry(
    "data", "fmnist_sweep.data", {FASHION_MNIST.name: "fmnist_sweep.data.sources:FASHION_MNIST"}
)
"""Each name that a package adds stands for a function that returns arrays, as a sweep file can name one."""


def known_source(name: str) -> DataSource | None:
    """Return the data set of a name, where it is known before it is opened; None for a user's own."""
    return FASHION_MNIST if name == FASHION_MNIST.name else None


def is_added(name: str) -> bool:
    """Return whether a name is that of an installed package's data set."""
    # An import path or a file name is none, and looking through all packages takes a while.
    return known_source(name) is None and name.isidentifier() and name in DATA_SETS.names()
