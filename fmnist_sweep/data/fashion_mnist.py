"""Find Fashion-MNIST on this machine, or fetch it; every file is verified by its digest every time."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.files import cache_folder, told_as_data_error
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.data.fetch import FETCHERS, Fetcher, FetchError, keras_folder
from fmnist_sweep.data.idx import IdxFile, file_problem, is_mappable, locate, unpack

Say: TypeAlias = Callable[[str], None]

NAME: Final = "fashion-mnist"
CLASS_NAMES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
N_TRAIN: Final = 60_000
TRAIN_IMAGES: Final = "train-images-idx3-ubyte"
TRAIN_LABELS: Final = "train-labels-idx1-ubyte"
TEST_IMAGES: Final = "t10k-images-idx3-ubyte"
TEST_LABELS: Final = "t10k-labels-idx1-ubyte"
FILES: Final = (
    IdxFile(
        TRAIN_IMAGES,
        (N_TRAIN, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile(
        TRAIN_LABELS,
        (N_TRAIN,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    IdxFile(
        TEST_IMAGES,
        (10_000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile(
        TEST_LABELS,
        (10_000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
SYSTEM_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
DATA_DIR_VARIABLE: Final = "FMNIST_DATA_DIR"

_LOG = logging.getLogger(__name__)


def find_fashion_mnist(
    data_dir: Path | None = None,
    *,
    download: bool = True,
    say: Say = _LOG.info,
    files: Sequence[IdxFile] = FILES,
    fetchers: Sequence[Fetcher] = FETCHERS,
) -> DataRef:
    """Find Fashion-MNIST, verify it, and fetch it if it is nowhere on this machine.

    Looked through in this order: ``data_dir``, or else ``FMNIST_DATA_DIR``; the user's cache; Keras's
    cache; ``/usr/share/datasets/fashion-mnist``. Uncompressed files are used where they lie, gzipped ones
    are unpacked into the user's cache.

    Args:
        data_dir: The only folder to look in, if one is given: a mistake in it is an error, not a reason
            to look elsewhere.
        download: Whether to fetch what is not on this machine.
        say: Receives one line about each thing that takes time or is out of order.
        files: What the data set consists of, train images first.
        fetchers: Ways to fetch it, tried in order.

    Returns:
        The data set in a folder of uncompressed idx files, each verified just now.

    Raises:
        DataError: ``data_dir`` does not hold the data set, or it can be had nowhere; it names every file
            that is wrong or every way that was tried.
    """
    cache = cache_folder() / NAME
    with told_as_data_error(cache):
        folder = (
            _open_given(data_dir, cache, files)
            or _search(cache, files, say)
            or _fetch(cache, files, fetchers if download else (), say)
        )
    return DataRef(
        name=NAME,
        directory=str(folder.resolve()),
        digest=hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest(),
        input_shape=(*files[0].shape[1:], 1),
        class_names=CLASS_NAMES,
        n_train=files[0].shape[0],
    )


def _open_given(data_dir: Path | None, cache: Path, files: Sequence[IdxFile]) -> Path | None:
    """Open the folder that the user named, if they named one."""
    origin = ""
    if data_dir is None:
        if not os.environ.get(DATA_DIR_VARIABLE):
            return None
        data_dir, origin = Path(os.environ[DATA_DIR_VARIABLE]), f" (from {DATA_DIR_VARIABLE})"
    folder = data_dir.expanduser()
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder}{origin}", [f"{found}; give a folder that holds {_names(files)}"])
    try:
        return _open(folder, cache, files)
    except DataError as error:
        raise DataError(f"{folder}{origin}", error.problems) from None


def _search(cache: Path, files: Sequence[IdxFile], say: Say) -> Path | None:
    """Open the first usual place that holds the data set whole."""
    for folder in _places(cache):
        if not locate(folder, files):
            continue
        try:
            return _open(folder, cache, files)
        except DataError as error:
            say(f"passed over {error}")
    return None


def _fetch(cache: Path, files: Sequence[IdxFile], fetchers: Sequence[Fetcher], say: Say) -> Path:
    places = ", ".join(str(place) for place in _places(cache))
    failures = [f"whole in none of {places}; put {_names(files)} into a folder and pass it with --data-dir"]
    for fetcher in fetchers:
        say(f"fetching Fashion-MNIST (31 MB) by {fetcher.name}")
        try:
            with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
                folder = _open(fetcher.fetch(Path(work)), cache, files, in_place=False)
        except (FetchError, DataError) as error:
            reason = "; ".join(error.problems) if isinstance(error, DataError) else str(error)
            failures.append(f"{fetcher.name} failed: {reason}")
            say(failures[-1])
        else:
            say(f"Fashion-MNIST is verified and kept in {folder}")
            return folder
    raise DataError("Fashion-MNIST", failures)


def _places(cache: Path) -> tuple[Path, Path, Path]:
    keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return cache, keras_folder(keras_home), SYSTEM_FOLDER


def _open(folder: Path, cache: Path, files: Sequence[IdxFile], *, in_place: bool = True) -> Path:
    """Verify the files of a folder and return where they can be mapped: there, or unpacked in the cache."""
    located = locate(folder, files)
    if len(located) == len(files) and not (in_place and all(is_mappable(*item) for item in located.items())):
        unpack(located, cache)
        return cache
    problems = []
    for file in files:
        problem = (
            file_problem(file, located[file])
            if file in located
            else f"{file.name}: is missing, plain and as .gz; all {len(files)} files are needed"
        )
        if problem is not None:
            problems.append(problem)
    if problems:
        raise DataError(str(folder), problems)
    return folder


def _names(files: Sequence[IdxFile]) -> str:
    return ", ".join(file.name for file in files) + " (plain or as .gz)"
