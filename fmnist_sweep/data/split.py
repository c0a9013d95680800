"""Part the training images into train and validation. The test images are never read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef, Scale, SplitSpec
from fmnist_sweep.data.fashion_mnist import CLASS_NAMES, N_TRAIN, NAME, TRAIN_IMAGES, TRAIN_LABELS
from fmnist_sweep.data.groups import HOW
from fmnist_sweep.data.idx import map_idx

FloatImages: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int32]
Indices: TypeAlias = npt.NDArray[np.int64]

_WHITE: Final = 255
_N_AT_ONCE: Final = 1024
_N_SHOWN: Final = 5

_GIVEN: Final = (
    "x_val and y_val in an .npz file; 'validation_data' in the mapping that a function returns, or a second "
    "data set"
)

ALIGNMENT: Final = 64
"""In bytes: what TensorFlow's kernels want at most, EIGEN_MAX_ALIGN_BYTES with AVX-512."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The images and labels of one split, in memory.

    Attributes:
        x_train: Shape ``(n_train, height, width, channels)``, float32; in [0, 1] where the source is bytes,
            unless the data are not to be scaled.
        y_train: Shape ``(n_train,)``, int32, class numbers from 0.
        x_val: As ``x_train``, for the validation images.
        y_val: As ``y_train``, for the validation images.
    """

    x_train: FloatImages
    y_train: Labels
    x_val: FloatImages
    y_val: Labels


def load_split(data: DataRef, split: SplitSpec) -> Split:
    """Load the train and validation images of a split.

    Args:
        data: A verified data set.
        split: How to part its training images.

    Returns:
        Disjoint train and validation sets; equal arguments give equal arrays, in the same order.

    Raises:
        ConfigError: The split can't be made of this data set.
    """
    x, y = _map_train(data)
    problems = _problems(y, data.n_classes, split)
    if problems:
        raise ConfigError(f"the split of {data.name}", problems)
    train, val = split_indices(y, split)
    return Split(
        scaled(x, train, data.scale),
        y[train].astype(np.int32),
        scaled(x, val, data.scale),
        y[val].astype(np.int32),
    )


def check_split(data: DataRef, split: SplitSpec) -> list[str]:
    """Return why a split can't be made of a data set, one line each; empty if it can.

    Only the labels are read.
    """
    return [] if data.form == "call" else _problems(_map_train(data)[1], data.n_classes, split)


def split_problems(data: DataRef | None, split: SplitSpec) -> list[str]:
    """Return what `check_split` would, as far as numbers alone tell it: no file is read.

    Args:
        data: The data set; None stands for Fashion-MNIST, not opened.
        split: How to part its training images.
    """
    if data is not None and data.form == "call":
        return []
    n, n_classes = (N_TRAIN, len(CLASS_NAMES)) if data is None else (data.n_train, data.n_classes)
    return _size_problems(n, n_classes, split)


def kind_problems(data: DataRef | None, split: SplitSpec) -> list[str]:
    """Return why a kind of split, if one is asked for, can't act on a data set; empty where it can."""
    validates = data is not None and data.validates
    if split.kind == "given" and not validates:
        return [f"split.kind: 'given' needs data that say what validates: {_GIVEN}"]
    if split.kind not in (None, "given") and validates:
        mend = "leave it out, or write 'given'"
        return [f"split.kind: {split.kind!r} can't act, since the data say themselves what validates; {mend}"]
    if split.kind == "groups" and (data is None or not data.n_groups):
        return [f"split.kind: 'groups' needs data that name them: {HOW}"]
    return []


def split_indices(labels: npt.NDArray[Any], split: SplitSpec) -> tuple[Indices, Indices]:
    """Return which images train and which validate.

    Without a seed the first ``n_val`` images validate. With one, validation images are drawn at random,
    stratified: each class gets its share to within one image. A kind goes before that; one that draws takes
    0 where there is no seed. ``train_size`` keeps a stratified subset of the others, drawn with the same
    seed, or with 0 where there is none.

    Args:
        labels: Shape ``(n,)``, class numbers from 0.
        split: A split that `check_split` has nothing against.

    Returns:
        Train and validation indices, int64, each ascending; disjoint, and complete unless ``train_size``
        is given.
    """
    # In numpy rather than with scikit-learn, whose import costs every training process 2 s and 130 MB,
    # and which refuses to leave out fewer images than there are classes.
    rng = np.random.default_rng(0 if split.seed is None else split.seed)
    everything = np.arange(len(labels), dtype=np.int64)
    kind = split.kind or ("first" if split.seed is None else "stratified")
    if kind == "first":
        val = everything[: split.n_val]
    elif kind == "last":
        val = everything[len(labels) - split.n_val :]
    elif kind == "random":
        val = np.sort(rng.permutation(everything)[: split.n_val])
    else:
        val = stratified(labels, split.n_val, rng)
    train = np.setdiff1d(everything, val, assume_unique=True)
    if split.train_size is not None:
        train = train[stratified(labels[train], split.train_size, rng)]
    return train, val


def probe_indices(n_train: int, n_probe: int) -> Indices:
    """Return which training images measure the train scores: evenly spaced, the same every time.

    Args:
        n_train: Number of training images of the split.
        n_probe: Number of images wanted, at least 1; all training images are taken if there are no more.

    Returns:
        Shape ``(min(n_probe, n_train),)``, int64, ascending.

    Example:
        >>> probe_indices(10, 4).tolist()
        [0, 2, 5, 7]
    """
    n = min(n_probe, n_train)
    return np.arange(n, dtype=np.int64) * n_train // n


def stratified(labels: npt.NDArray[Any], n: int, rng: np.random.Generator) -> Indices:
    """Draw ``n`` indices, ascending; each class gets its share of them, rounded up or down."""
    counts = np.bincount(labels)
    shares = counts * n / len(labels)
    quotas = shares.astype(np.int64)
    # Images left over by rounding down go to the classes that lost most; ties to the lower class number.
    lost_most = np.argsort(quotas - shares, kind="stable")
    quotas[lost_most[: n - quotas.sum()]] += 1
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:quota] for label, quota in enumerate(quotas)]
    return np.sort(np.concatenate(drawn))


def _size_problems(n: int, n_classes: int, split: SplitSpec) -> list[str]:
    left = n - split.n_val
    if not n_classes <= split.n_val <= n - n_classes:
        allowed = f"{n_classes} to {n - n_classes}" if n >= 2 * n_classes else "none"
        why = f"{n} images in {n_classes} classes, each of which must be both in train and in validation"
        return [f"n_val is {split.n_val}; allowed: {allowed} ({why})"]
    if split.train_size is not None and not n_classes <= split.train_size <= left:
        why = f"one image for each class, up to the {n} images less n_val = {split.n_val}"
        return [f"train_size is {split.train_size}; allowed: {n_classes} to {left} ({why})"]
    return []


def _problems(labels: npt.NDArray[Any], n_classes: int, split: SplitSpec) -> list[str]:
    problems = _size_problems(len(labels), n_classes, split)
    if problems:
        return problems
    for part, indices in zip(("train", "validate"), split_indices(labels, split), strict=True):
        absent = np.flatnonzero(np.bincount(labels[indices], minlength=n_classes) == 0)
        if len(absent):
            some = ", ".join(map(str, absent[:_N_SHOWN])) + (", ..." if len(absent) > _N_SHOWN else "")
            mend = (
                "the images seem to be sorted by class: set seed for a stratified split"
                if split.seed is None and split.train_size is None
                else "take more images, or join rare classes"
            )
            problems.append(f"no image of class {some} is among the {len(indices)} that {part}; {mend}")
    return problems


def _map_train(data: DataRef) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    folder = Path(data.directory)
    if data.name == NAME:
        return map_idx(folder / TRAIN_IMAGES)[..., np.newaxis], map_idx(folder / TRAIN_LABELS)
    x = np.load(folder / "x_train.npy", mmap_mode="r", allow_pickle=False)
    return x, np.load(folder / "y_train.npy", mmap_mode="r", allow_pickle=False)


def images_are_bytes(data: DataRef) -> bool:
    """Return whether the images of a data set are bytes."""
    return bool(_map_train(data)[0].dtype == np.uint8)


def scaled(x: npt.NDArray[Any], indices: Indices, how: Scale = "auto") -> FloatImages:
    """Return some images as float32.

    Args:
        x: All images.
        indices: Which.
        how: ``"auto"`` divides those of bytes by 255, ``"255"`` any, ``"none"`` none.
    """
    divided = how == "255" or (how == "auto" and x.dtype == np.uint8)
    scale = np.float32(_WHITE if divided else 1)
    scaled = aligned((len(indices), *x.shape[1:]))
    # Piece by piece, so that no second copy of all images is ever in memory.
    for start in range(0, len(indices), _N_AT_ONCE):
        piece = slice(start, start + _N_AT_ONCE)
        np.divide(x[indices[piece]], scale, out=scaled[piece])
    return scaled


def aligned(shape: tuple[int, ...]) -> FloatImages:
    """Return an empty array that begins where TensorFlow can take it over without a copy."""
    n_bytes = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    buffer = np.empty(n_bytes + ALIGNMENT, np.uint8)
    begin = -buffer.ctypes.data % ALIGNMENT
    return buffer[begin : begin + n_bytes].view(np.float32).reshape(shape)
