"""A user's own data set, from an ``.npz`` file or a function: checked, then kept as mappable arrays."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.files import cache_folder, new_file, told_as_data_error
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.programs import PREPARE_S, out_of_time, run_program
from fmnist_sweep.data.calls import keep_call, open_kept
from fmnist_sweep.data.checks import are_images, canonical
from fmnist_sweep.data.groups import GROUPS
from fmnist_sweep.data.npz import VALIDATION, call_of, read_npz
from fmnist_sweep.data.reading import AS_IT_IS, Reading

Array: TypeAlias = npt.NDArray[Any]
Say: TypeAlias = Callable[[str], None]

IMPORT_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

_CALL_IMPORT: Final = "fmnist_sweep.data.call_import"

_LOG = logging.getLogger(__name__)


def prepare_npz(
    path: Path, *, name: str | None = None, say: Say = _LOG.info, reading: Reading = AS_IT_IS
) -> DataRef:
    """Check the arrays of an ``.npz`` file and keep them where training processes can map them.

    Args:
        path: A file with ``x_train``, ``y_train`` and, if wanted, ``x_test``, ``y_test``; see
            `fmnist_sweep.data.checks.array_problems` for what they may hold. Other arrays are ignored.
        name: What to call the data set; the path if None.
        say: Receives a line where a part of the file is not used.
        reading: What the settings say of it.

    Returns:
        The data set in a folder of the user's cache that is named after its content's digest.

    Raises:
        DataError: The file can't be read, or its arrays are not what they should be.
    """
    path = path.expanduser()
    arrays, name = read_npz(path, reading=reading), str(path) if name is None else name
    if not are_images(arrays):
        return keep_call(call_of(arrays), name=name, scale=reading.scale)
    if GROUPS in arrays or (reading.kind == "given" and "x_val" in arrays):
        # Scaled here: what is handed to a fit is handed on as it is kept.
        by_255 = reading.scale == "255" or (reading.scale == "auto" and arrays["x_train"].dtype == np.uint8)
        how = "divided by 255" if by_255 else "as they are"
        say(f"Note: {name}: images with groups or with x_val are handed to fit, {how}")
        return keep_call(call_of(arrays), name=name, scale="255" if by_255 else reading.scale)
    unused = [key for key in VALIDATION if arrays.pop(key, None) is not None]
    if unused:
        say(
            f"Note: {name}: {' and '.join(unused)} are not used: of images with class numbers, "
            "training.n_val of x_train validate"
        )
    return replace(_keep(arrays, name=name), scale=reading.scale)


def prepare_import(
    path: str,
    *,
    say: Say = _LOG.info,
    folders: Sequence[Path] = (),
    seconds: float = PREPARE_S,
    reading: Reading = AS_IT_IS,
) -> DataRef:
    """Call a user's function, check the arrays that it returns and keep them as `prepare_npz` does.

    The function runs in a process of its own, so it may import anything, and in the current folder.

    Args:
        path: ``"package.module:function"``. The function takes no arguments and returns
            ``(x_train, y_train)``, ``(x_train, y_train, x_test, y_test)`` or, as Keras's data sets do,
            ``((x_train, y_train), (x_test, y_test))``.
        say: Receives one line before the function is called, and one where it takes long.
        folders: Where modules of the user's are looked for; without any, in the current folder.
        seconds: How long it may take.
        reading: What the settings say of the data.

    Returns:
        The data set in a folder of the user's cache that is named after its content's digest.

    Raises:
        DataError: There is no such function, it raises, takes longer than it may, or its arrays are not what
            they should be.
    """
    if IMPORT_PATH.fullmatch(path) is None:
        raise DataError(path, ["is no import path; give package.module:function"])
    say(f"calling {path} for its data")
    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
        arrays_file, problem_file = Path(work, "arrays.npz"), Path(work, "problem.txt")
        kept_file = Path(work, "kept.txt")
        files = [str(arrays_file), str(kept_file), str(problem_file)]
        arguments = [path, *files, json.dumps(asdict(reading)), *map(str, folders)]
        what = f"calling {path} for its data"
        done = run_program(_CALL_IMPORT, arguments, seconds=seconds, what=what, say=say)
        if done.code is None:
            raise DataError(path, [out_of_time("the function gave no data", done, seconds)])
        if problem_file.exists():
            raise DataError(path, [problem_file.read_text(encoding="utf-8")])
        if kept_file.exists():
            return open_kept(kept_file.read_text(encoding="utf-8"))
        # A function that calls sys.exit leaves neither file, whatever its exit code.
        if done.code != 0 or not arrays_file.exists():
            end = (done.stderr.strip().splitlines() or ["it printed no message"])[-1]
            raise DataError(path, [f"its process ended with exit code {done.code}: {end}"])
        return replace(_keep(read_npz(arrays_file, where=path), name=path), scale=reading.scale)


def _keep(arrays: Mapping[str, Array], *, name: str) -> DataRef:
    """Store checked arrays in the user's cache under their digest."""
    arrays = canonical(arrays)
    digest = _digest(arrays)
    folder = cache_folder() / "own" / digest
    with told_as_data_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for key, array in arrays.items():
            _store(folder / f"{key}.npy", array)
    x_train, y_train = arrays["x_train"], arrays["y_train"]
    return DataRef(
        name=name,
        directory=str(folder.resolve()),
        digest=digest,
        input_shape=x_train.shape[1:],
        class_names=tuple(str(label) for label in range(int(y_train.max()) + 1)),
        n_train=len(x_train),
    )


def _digest(arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for key, array in arrays.items():
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _store(path: Path, array: Array) -> None:
    """Write an array, unless it is there already and undamaged."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        if np.array_equal(np.load(path, mmap_mode="r", allow_pickle=False), array):
            return
    with new_file(path) as stream:
        np.save(stream, array, allow_pickle=False)
