"""Data sets: find or make one with `open_data`, then load its train and validation images with `load_split`.

Test images are read in one place, `fmnist_sweep.data.test_set`; what opens and verifies the files only
compares digests.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.programs import PREPARE_S
from fmnist_sweep.core.user_code import code_folders, found_file, places_of, shadow_problem
from fmnist_sweep.core.wording import shown
from fmnist_sweep.data.calls import SOURCE_PREFIX, open_kept
from fmnist_sweep.data.fashion_mnist import NAME, find_fashion_mnist
from fmnist_sweep.data.notes import data_notes, scaled_images
from fmnist_sweep.data.own import IMPORT_PATH, prepare_import, prepare_npz
from fmnist_sweep.data.reading import AS_IT_IS, Reading
from fmnist_sweep.data.sources import DATA_SETS, is_added
from fmnist_sweep.data.split import Split, check_split, load_split, probe_indices, split_problems
from fmnist_sweep.data.tables import is_table_file, prepare_table

__all__ = [
    "Reading",
    "Split",
    "check_split",
    "data_notes",
    "find_fashion_mnist",
    "load_split",
    "open_data",
    "prepare_import",
    "prepare_npz",
    "probe_indices",
    "scaled_images",
    "source_problems",
    "split_problems",
]

_LOG = logging.getLogger(__name__)
_ALLOWED = f"{NAME!r}, the path of an .npz, .csv or .parquet file, or an import path package.module:function"


def open_data(
    source: str = NAME,
    *,
    data_dir: Path | None = None,
    say: Callable[[str], None] = _LOG.info,
    folders: Sequence[Path] = (),
    seconds: float = PREPARE_S,
    reading: Reading = AS_IT_IS,
) -> DataRef:
    """Find, verify and, where need be, fetch or convert a data set.

    Args:
        source: ``"fashion-mnist"``, the path of an ``.npz`` file or a table, ``"package.module:function"``,
            or the name of an installed package's data set.
        data_dir: Where Fashion-MNIST is to be found; other sources have no use for it.
        say: Receives one line about each thing that takes time or is out of order.
        folders: Where files and modules of the user's are looked for; without any, in the current folder.
        seconds: How long a function may take.
        reading: What the settings say of how the data are read.

    Returns:
        What a training process needs to map the data set.

    Raises:
        DataError: No such source, or it is missing, damaged or not what it should be; all problems at once.
    """
    problems = source_problems(source, folders) + reading.problems(source)
    if problems:
        raise DataError(source, problems)
    if source.startswith(SOURCE_PREFIX):
        return open_kept(source.removeprefix(SOURCE_PREFIX))
    if source == NAME:
        return replace(find_fashion_mnist(data_dir, say=say), scale=reading.scale)
    if data_dir is not None:
        say(f"{data_dir} is not looked at: --data-dir is for {NAME} only")
    if source.endswith(".npz"):
        return prepare_npz(found_file(Path(source), folders), name=source, say=say, reading=reading)
    if is_table_file(source):
        file = found_file(Path(source), folders)
        return prepare_table(file, reading.target, name=source, groups=reading.groups)
    path = DATA_SETS.path(source) if is_added(source) else source
    return prepare_import(path, say=say, folders=folders, seconds=seconds, reading=reading)


def source_problems(source: str, folders: Sequence[Path] = ()) -> list[str]:
    """Return what can be seen to be wrong with a data source without opening it; empty if nothing is.

    Args:
        source: As `open_data` takes it.
        folders: As for `open_data`.
    """
    if source == NAME or source.startswith(SOURCE_PREFIX):
        return []
    if source.endswith(".npz") or is_table_file(source):
        return _file_problems(source, folders)
    if is_added(source):
        return []
    if IMPORT_PATH.fullmatch(source) is not None:
        shadow = shadow_problem(source, folders or code_folders())
        return [] if shadow is None else [shadow]
    close = difflib.get_close_matches(source.lower().replace("_", "-"), [NAME, "fmnist"])
    hint = f"; did you mean {NAME!r}?" if close else ""
    return [f"{shown(source)} is no data source; allowed are {_ALLOWED}{hint}"]


def _file_problems(source: str, folders: Sequence[Path]) -> list[str]:
    try:
        looked = [place.absolute() for place in places_of(Path(source), folders)]
        if any(place.is_file() for place in looked):
            return []
        folder = next((place for place in looked if place.is_dir()), None)
        if folder is not None:
            return [f"{folder} is a folder; give an .npz file with x_train and y_train, or a table"]
        return [f"there is no file {' or '.join(map(str, looked))}"]
    except (OSError, RuntimeError, ValueError) as error:
        # A name that is too long, a home folder that nobody has, a zero byte.
        return [f"{shown(source)} can't be the path of a file: {getattr(error, 'strerror', None) or error}"]
