"""What ``model.fit`` is given, kept as it was given: arrays, nested ones, tables, data sets and generators.

A training process opens the same arguments again, its large arrays mapped from files that all trials share.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import GeneratorType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.files import cache_folder, told_as_data_error
from fmnist_sweep.core.jobs import DataRef, Scale
from fmnist_sweep.data.arguments import argument_problems
from fmnist_sweep.data.carried import (
    CallPickler,
    CallUnpickler,
    LoadDataset,
    described,
    users_modules_by_value,
)
from fmnist_sweep.data.groups import group_numbers, group_problems, without_column
from fmnist_sweep.data.trees import class_labels, is_dataset, is_table, is_tensor, leaves, n_rows, row_shape

Array: TypeAlias = npt.NDArray[Any]

SOURCE_PREFIX: Final = "call:"
"""What the name of such data begins with, as a study's settings have it; the digest follows."""

TEST_FOLDER: Final = "test"
"""Where the test part lies, beside the rest: `fmnist_sweep.data.test_set` alone opens it."""

_FILE: Final = "call.pkl"
_FACTS: Final = "facts.json"
_GROUPS: Final = "groups.npy"


@dataclass(frozen=True)
class Call:
    """The arguments of a ``fit``.

    Attributes:
        args: By position: mostly ``x`` and ``y``.
        kwargs: By name; ``epochs`` and ``callbacks`` among them or not.
        test: ``x`` and ``y`` of the test part, or a data set with both: no ``fit`` is called with it. None
            where there is none, and where the arguments were opened for a training.
        groups: One number or text for each row: rows of one group belong together. No ``fit`` is called with
            them; None where there are none.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    test: tuple[Any, ...] | None = None
    groups: Any = None

    @property
    def x(self) -> Any:
        """What the model gets: arrays, or a data set that holds the targets too."""
        return self.args[0] if self.args else self.kwargs.get("x")

    @property
    def y(self) -> Any:
        """The targets; None where ``x`` holds them."""
        return self.args[1] if len(self.args) > 1 else self.kwargs.get("y")

    @property
    def has_validation(self) -> bool:
        """Whether the arguments say what validates."""
        given = self.kwargs.get("validation_data")
        return given is not None or bool(self.kwargs.get("validation_split"))

    @property
    def n_val(self) -> int:
        """How many rows validate by the arguments; 0 where they say nothing, or no number."""
        given, share = self.kwargs.get("validation_data"), self.kwargs.get("validation_split")
        if isinstance(given, tuple | list) and given:
            return n_rows(given[0])
        n = n_rows(self.x)
        # As Keras cuts them off.
        return n - int(n * (1.0 - share)) if given is None and share else 0


def with_groups(call: Call, column: str | None, *, where: str) -> Call:
    """Return a call of which a column of the inputs, where one is named, has become its groups.

    Raises:
        DataError: There is no such column.
    """
    if column is None:
        return call
    if call.groups is not None:
        told = f"split.groups names the column {column!r}, and the data bring groups; leave one of them out"
        raise DataError(where, [told])
    x, of_groups = without_column(call.x, column, where=where)
    test = call.test
    if test is not None:
        test = (without_column(test[0], column, where=where)[0], *test[1:])
    if call.args:
        return replace(call, args=(x, *call.args[1:]), test=test, groups=of_groups)
    return replace(call, kwargs={**call.kwargs, "x": x}, test=test, groups=of_groups)


def keep_call(
    call: Call, *, name: str, columns: Sequence[str] = (), scale: Scale = "auto", epochs: int = 1
) -> DataRef:
    """Keep a fit's arguments where training processes can open them.

    Args:
        call: The arguments.
        name: What to call the data.
        columns: Names of the inputs, where ``x`` was made from the columns of a table; those of a table of
            pandas are known.
        scale: ``"255"`` divides images by 255, and every array of bytes; see `divided`.
        epochs: So many are to be trained: of a data set that never ends the batches of as many are kept, up
            to 4 GiB, and read from their start again where that is not enough.

    Returns:
        The data in a folder of the user's cache that is named after their digest. Equal content has one
        digest, in whatever order a shuffled data set gives it. A data set that never ends is known by the
        form of its batches alone.

    Raises:
        DataError: They can't be carried to another process; the message says which and what to give instead.
    """
    if scale == "255":
        call = divided(call, where=name)
    home = cache_folder() / "calls"
    with told_as_data_error(home):
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=home) as new:
            folder = Path(new, "call")
            folder.mkdir()
            digest = _write(call, folder, name, columns=columns, scale=scale, epochs=epochs)
            kept = home / digest
            if not (kept / _FACTS).exists():
                shutil.rmtree(kept, ignore_errors=True)
                folder.rename(kept)
            elif (kept / _FACTS).read_bytes() != (folder / _FACTS).read_bytes():
                # Of another name, or of an earlier version.
                (folder / _FACTS).replace(kept / _FACTS)
    return open_kept(digest)


def open_kept(digest: str) -> DataRef:
    """Return kept data by their digest.

    Raises:
        DataError: They are no longer there.
    """
    folder = cache_folder() / "calls" / digest
    try:
        facts = json.loads((folder / _FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        told = "are no longer in this machine's cache; call search again with the same data"
        raise DataError(f"{SOURCE_PREFIX}{digest[:12]}", [f"the data {told}"]) from None
    return DataRef(
        name=facts["name"],
        digest=digest,
        input_shape=tuple(facts["input_shape"]),
        class_names=tuple(facts["class_names"]),
        n_train=facts["n_train"],
        directory=str(folder),
        form="call",
        # Kept by an earlier version it does not say; it does once the data are opened from their source.
        validates=facts.get("validates", False),
        n_groups=facts.get("n_groups", 0),
        n_val=facts.get("n_val", 0),
        scale=facts.get("scale", "auto"),
    )


def holds_bytes(data: DataRef) -> bool:
    """Return whether data that are handed to ``fit`` as they are hold images of bytes, 0 to 255."""
    facts = json.loads((Path(data.directory) / _FACTS).read_text("utf-8"))
    return bool(facts.get("bytes", False))


def open_call(folder: Path, load_dataset: LoadDataset) -> Call:
    """Return a fit's arguments as they were given, large arrays mapped: what changes them changes a copy.

    Args:
        folder: `DataRef.directory`.
        load_dataset: Opens a saved `tf.data.Dataset`; this module knows no TensorFlow.
    """
    args, kwargs = open_pickle(folder, load_dataset)
    file = folder / _GROUPS
    groups = np.load(file, mmap_mode="r", allow_pickle=False) if file.exists() else None
    return Call(args, kwargs, groups=groups)


def open_pickle(folder: Path, load_dataset: LoadDataset) -> Any:
    """Return what `keep_call` has written into a folder; the arguments as for `open_call`."""
    with (folder / _FILE).open("rb") as stream:
        return CallUnpickler(stream, folder, load_dataset).load()


def columns_of(folder: Path) -> list[str]:
    """Return the names of the inputs' columns, in their order; empty where the inputs are no table.

    Args:
        folder: `DataRef.directory`.
    """
    # Kept by an earlier version they are not named.
    columns: list[str] = json.loads((folder / _FACTS).read_text("utf-8")).get("columns", [])
    return columns


def _write(call: Call, folder: Path, name: str, *, columns: Sequence[str], scale: Scale, epochs: int) -> str:
    problem = _generator_problem(call)
    problems = [problem] if problem is not None else list(argument_problems(call.x, call.y, call.kwargs))
    problems = problems or [*call_problems(call), *problems_of_test(call)]
    if call.groups is not None:
        problems += group_problems(call.groups, n_rows(call.x) if call.y is not None else 0)
    if problems:
        raise DataError(name, problems)
    users_modules_by_value()
    steps = {
        id(call.kwargs.get("validation_data")): call.kwargs.get("validation_steps"),
        id(call.x): call.kwargs.get("steps_per_epoch"),
    }
    decides = [json.dumps(described([list(call.args), dict(call.kwargs)]), sort_keys=True)]
    decides += _pickle((call.args, dict(call.kwargs)), folder, name, steps, epochs)
    if call.test is not None:
        (folder / TEST_FOLDER).mkdir()
        decides += ["test", *_pickle(call.test, folder / TEST_FOLDER, name, {}, 1)]
    of_groups: dict[str, int] = {}
    if call.groups is not None:
        groups = group_numbers(call.groups)
        np.save(folder / _GROUPS, groups, allow_pickle=False)
        decides += ["groups", hashlib.sha256(groups.tobytes()).hexdigest()]
        of_groups = {"n_groups": int(groups.max()) + 1}
    x, y = call.x, call.y
    if is_table(x):
        columns = [str(column) for column in (x.columns if hasattr(x, "columns") else [x.name])]
    facts = {
        "name": name,
        "input_shape": row_shape(x),
        "class_names": _class_names(y),
        "n_train": n_rows(x),
        "validates": call.has_validation,
        **({"n_val": call.n_val} if call.n_val else {}),
        **of_groups,
        "columns": list(columns),
        **({} if scale == "auto" else {"scale": scale}),
        **({"bytes": True} if scale == "auto" and any(map(_are_bytes, leaves(call.x))) else {}),
    }
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return hashlib.sha256("\n".join(decides).encode()).hexdigest()


def _pickle(
    what: tuple[Any, ...], folder: Path, name: str, steps: Mapping[int, int | None], epochs: int
) -> list[str]:
    """Write something into a folder, and return the digests of its arrays."""
    buffer = io.BytesIO()
    pickler = CallPickler(buffer, folder, name, steps, epochs)
    try:
        pickler.dump(what)
    except (DataError, OSError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        told = "give arrays, a tf.data.Dataset or a keras.utils.PyDataset"
        raise DataError(
            name, [f"the data can't be carried to a training process ({said}); {told}"]
        ) from error
    (folder / _FILE).write_bytes(buffer.getvalue())
    return pickler.digests


def problems_of_test(call: Call) -> list[str]:
    """Return what is wrong with a test part, one line each, beside what trains."""
    if call.test is None:
        return []
    test = Call(call.test)
    if is_dataset(test.x) != is_dataset(call.x) or (test.y is None) != (call.y is None):
        return ["the test part is of another kind than what trains; give both as arrays, or as data sets"]
    problems = call_problems(test, names=("x_test", "y_test"))
    shape, wanted = row_shape(test.x), row_shape(call.x)
    if not problems and shape != wanted:
        problems.append(f"x_test: its rows have shape {tuple(shape)}, those of x_train {tuple(wanted)}")
    return problems


def divided(call: Call, *, where: str) -> Call:
    """Return a call whose images are divided by 255, float32: in what trains, validates and tests alike.

    Images are arrays of three dimensions or more, and all arrays of bytes; what else there is stays as it is.

    Raises:
        DataError: There are none.
    """
    if not any(map(_is_scaled, leaves(call.x))):
        told = "scale: '255' finds no images and no bytes among the inputs to divide; leave it out"
        raise DataError(where, [f"{told}, and scale what a data set yields where it is made"])

    def small(x: Any) -> Any:
        if isinstance(x, Mapping):
            return {key: small(part) for key, part in x.items()}
        if isinstance(x, list | tuple):
            return type(x)(small(part) for part in x)
        return np.asarray(x, np.float32) / np.float32(255) if _is_scaled(x) else x

    kwargs = dict(call.kwargs)
    if "x" in kwargs:
        kwargs["x"] = small(kwargs["x"])
    if isinstance(kwargs.get("validation_data"), list | tuple):
        kwargs["validation_data"] = _first_changed(kwargs["validation_data"], small)
    test = None if call.test is None else _first_changed(call.test, small)
    return replace(call, args=_first_changed(call.args, small), kwargs=kwargs, test=test)


def _first_changed(parts: Sequence[Any], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    return (change(parts[0]), *parts[1:]) if parts else ()


def _is_scaled(leaf: Any) -> bool:
    kind = getattr(getattr(leaf, "dtype", None), "kind", "")
    return isinstance(leaf, np.ndarray) and kind in "iuf" and (leaf.ndim >= 3 or leaf.dtype == np.uint8)


def _are_bytes(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype == np.uint8 and leaf.ndim >= 3


def call_problems(call: Call, *, names: tuple[str, str] = ("x", "y")) -> list[str]:
    """Return everything that is wrong with a fit's arrays, one line each; empty if all is right.

    All of ``x``, ``y`` and the weights have as many rows, at least two; numbers are finite. What is no array
    or table is not looked at.

    Args:
        call: The arguments.
        names: What the messages call ``x`` and ``y``.
    """
    problems: list[str] = []
    n = n_rows(call.x)
    for_x, for_y = names
    parts = {for_x: call.x, for_y: call.y, "sample_weight": call.kwargs.get("sample_weight")}
    for name, tree in parts.items():
        for leaf in leaves(tree):
            if not (isinstance(leaf, np.ndarray) or is_tensor(leaf)):
                continue
            array = np.asarray(leaf)
            if array.dtype.kind == "O" and not all(isinstance(v, str | bytes) for v in array.flat):
                problems.append(f"{name}: is an array of Python objects; give numbers or text")
            elif array.dtype.kind not in "biufSUO" or array.dtype.names is not None:
                problems.append(f"{name}: has dtype {array.dtype}; give numbers or text")
            elif n and (not array.ndim or len(array) != n):
                rows = len(array) if array.ndim else "no"
                problems.append(f"{name}: there are {rows} rows for {n:,} of {for_x}; give one for each")
            elif array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
                some = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
                problems.append(f"{name}: holds NaN or infinite values in {len(bad)} rows (index {some})")
    if isinstance(call.x, np.ndarray) and n < 2:
        problems.append(f"{for_x}: has shape {call.x.shape}; at least 2 rows are needed")
    return problems


def _is_generator(data: Any) -> bool:
    # What Keras's older ImageDataGenerator gives has both: it can be read by number, again and again.
    by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return isinstance(data, GeneratorType | Iterator) and not by_number and not is_dataset(data)


def _generator_problem(call: Call) -> str | None:
    given = call.kwargs.get("validation_data")
    if _is_generator(call.x):
        which = "x is a generator, which can be read once and by one process alone"
    elif _is_generator(given):
        which = "validation_data is a generator, which can be read once and by one process alone"
    else:
        return None
    return f"{which}; give arrays, a tf.data.Dataset or a keras.utils.PyDataset"


def _class_names(y: Any) -> list[str]:
    labels = class_labels(y)
    return [] if labels is None else [str(n) for n in range(int(labels.max(initial=0)) + 1)]
