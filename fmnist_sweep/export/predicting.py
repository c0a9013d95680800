"""What a bundle's model predicts for the rows of a file, by the bundle's own script."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmnist_sweep.analysis.frames import to_csv
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.files import new_file, write_atomically
from fmnist_sweep.core.wording import shown_list
from fmnist_sweep.data.tables import ENDINGS, inputs_to_predict, is_table_file
from fmnist_sweep.export.bundle import FACTS, bundle_facts
from fmnist_sweep.export.outputs import shares_of
from fmnist_sweep.export.script import PREDICT
from fmnist_sweep.export.trying import run_predict

Array: TypeAlias = npt.NDArray[Any]

_MOST_COLUMNS: Final = 1000
_FORMS: Final = f".npz, .npy, {' or '.join(ENDINGS)}"


@dataclass(frozen=True)
class Predicted:
    """What a bundle's model has predicted.

    Attributes:
        n_rows: Rows that were predicted.
        path: The file that holds the predictions.
        columns: Its columns; of an ``.npz`` file the names of its arrays.
    """

    n_rows: int
    path: Path
    columns: tuple[str, ...]


def predict(
    bundle: Path,
    data: Path,
    output: Path,
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Predicted:
    """Predict the rows of a file with a bundle's model, and write what it gives.

    Nothing prepares the rows but the bundle's own ``predict.py``, which runs in a process of its own.

    Args:
        bundle: The folder that an export has written. Its code is run.
        data: An ``.npz`` file with the inputs by the names that the bundle's ``example.npz`` has for them, or
            with one array; an ``.npy`` file; or a table, whose columns are found by their names.
        output: A ``.csv`` file to write: for classes ``class`` and the probability of each, ``p_NAME``; for
            yes or no ``class`` and ``p_1``; for numbers ``value``; columns of several outputs begin with
            their names. An ``.npz`` file gets the model's outputs as they are.
        force: Replace a file that is there.
        say: Takes a line for the user, once all is checked.

    Raises:
        SweepError: There is no bundle, its model can't be loaded here, the rows are not what it takes, or
            the file can't be written; nothing is written then.
    """
    facts = bundle_facts(bundle)
    problems = [] if facts is not None else [_no_bundle(bundle)]
    problems += _place_problems(output, force=force)
    if not data.is_file():
        problems.append(f"{data} is {'a folder' if data.is_dir() else 'not there'}; give one of {_FORMS}")
    elif data.suffix.lower() not in (".npz", ".npy", *ENDINGS):
        problems.append(f"{data} has another ending than {_FORMS}")
    if facts is not None and not (bundle / PREDICT).is_file():
        problems.append(_no_script(bundle, facts))
    if problems or facts is None:
        raise SweepError("\n".join(problems))
    inputs = _inputs(bundle, facts, data)
    n_rows = len(next(iter(inputs.values())))
    say(f"predicting {n_rows:,} rows with {bundle / PREDICT}; to import TensorFlow takes some seconds")
    outputs = _predicted(bundle, facts, inputs, str(data))
    if output.suffix.lower() == ".npz":
        with new_file(output) as stream:
            np.savez(stream, allow_pickle=False, **outputs)
        return Predicted(n_rows, output, tuple(outputs))
    table = _table(facts, outputs)
    write_atomically(output, to_csv(table))
    return Predicted(n_rows, output, tuple(map(str, table.columns)))


def _no_bundle(folder: Path) -> str:
    what = "holds no bundle of fmnist-sweep" if folder.is_dir() else "is no folder"
    return f"{folder} {what} ({FACTS} is missing); fmnist-sweep export STUDY writes one"


def _no_script(bundle: Path, facts: Mapping[str, Any]) -> str:
    if facts.get("custom_objects"):
        parts = ", ".join(facts["custom_objects"].values())
        return f"{bundle} has no {PREDICT}: the model needs {parts}, whose code could not be carried along"
    again = f"fmnist-sweep export {facts['study']} --force"
    return f"{bundle} has no {PREDICT}: an earlier release wrote it; {again} writes it anew, without training"


def _place_problems(output: Path, *, force: bool) -> list[str]:
    if output.suffix.lower() not in (".csv", ".npz"):
        return [f"--output: {output} has another ending than .csv or .npz"]
    if output.is_dir():
        return [f"--output: {output} is a folder; name a file in it, such as predictions.csv"]
    if output.exists() and not force:
        return [f"--output: {output} is there already; choose another, or --force replaces it"]
    return [] if output.parent.is_dir() else [f"--output: there is no folder {output.parent}"]


def _inputs(bundle: Path, facts: Mapping[str, Any], data: Path) -> dict[str, Array]:
    """Return the rows of a file by the names of the model's inputs."""
    shapes = _shapes(bundle, facts)
    if is_table_file(data.name):
        return _of_table(facts, data, shapes)
    try:
        # Unpickling would run whatever code the file holds.
        stored = np.load(data, allow_pickle=False)
        arrays = {"x": stored} if isinstance(stored, np.ndarray) else dict(stored)
    except Exception as error:
        raise SweepError(f"{data} can't be read: {' '.join(str(error).split())[:200]}") from error
    wanted = list(shapes) if shapes else ["x"]
    if len(wanted) == 1 and len(arrays) == 1:
        arrays = dict(zip(wanted, arrays.values(), strict=True))
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise SweepError(
            f"{data} holds {shown_list(list(arrays)) or 'nothing'}; the model takes {shown_list(wanted)}: "
            f"{shown_list(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        )
    inputs = {name: arrays[name] for name in wanted}
    lengths = {name: len(array) if array.ndim else 0 for name, array in inputs.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        told = ", ".join(f"{name} {n:,}" for name, n in lengths.items())
        raise SweepError(f"{data}: each input needs the same number of rows, 1 or more; there are: {told}")
    return inputs


def _shapes(bundle: Path, facts: Mapping[str, Any]) -> Mapping[str, list[int]]:
    """Return the shape of one row of each input; empty where that is not known."""
    if facts.get("form") != "call":
        return {"x": list(facts["data"]["input_shape"])}
    if "inputs" in facts:
        found: Mapping[str, list[int]] = facts["inputs"]
        return found
    # Of an earlier release; the example may have been removed.
    try:
        with np.load(bundle / "example.npz", allow_pickle=False) as stored:
            return {name: list(stored[name].shape[1:]) for name in stored.files if name.startswith("x")}
    except (OSError, ValueError):
        return {}


def _of_table(facts: Mapping[str, Any], data: Path, shapes: Mapping[str, list[int]]) -> dict[str, Array]:
    if len(shapes) > 1 and all(shape in ([], [1]) for shape in shapes.values()):
        # Each input is a column, which is called as the input is.
        names = {name: name.split("/", 1)[1] for name in shapes}
        columns = inputs_to_predict(data, list(names.values()))
        return {name: columns[:, i : i + 1].reshape(-1, *shapes[name]) for i, name in enumerate(names)}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes.values()):
        told = ", ".join(f"{name} of shape {_shape(shape)}" for name, shape in shapes.items())
        raise SweepError(f"{data}: no table holds what the model takes ({told}); give an .npz file")
    (name, shape), *_ = [*shapes.items(), ("x", list[int]())]
    n_columns = shape[0] if shape else None
    return {name: inputs_to_predict(data, facts["data"].get("columns", ()), n_columns)}


def _predicted(
    bundle: Path, facts: Mapping[str, Any], inputs: Mapping[str, Array], source: str
) -> dict[str, Array]:
    """Return the model's outputs by their places, as the bundle's script gives them."""
    is_call = facts.get("form") == "call"
    ending = ".npz" if is_call else ".npy"
    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as folder:
        given, made = Path(folder, f"inputs{ending}"), Path(folder, f"outputs{ending}")
        if is_call:
            np.savez(given, allow_pickle=False, **inputs)
        else:
            np.save(given, inputs["x"], allow_pickle=False)
        try:
            run_predict(bundle, str(given), "--save", str(made))
        except SweepError as error:
            shapes = _shapes(bundle, facts)
            told = [
                f"{name} has rows of shape {_shape(rows)}, those of the training {_shape(shape)}"
                for name, shape in shapes.items()
                if (rows := list(inputs[name].shape[1:])) != shape
            ]
            why = "; ".join(told) if told else f"{bundle / PREDICT} {error}"
            raise SweepError(f"{source} can't be predicted: {why}") from None
        stored = np.load(made, allow_pickle=False)
        return {"outputs": stored} if isinstance(stored, np.ndarray) else dict(stored)


def _shape(shape: Any) -> str:
    return f"({', '.join(map(str, shape))})"


def _table(facts: Mapping[str, Any], outputs: Mapping[str, Array]) -> pd.DataFrame:
    """Return a row for each that was predicted."""
    is_call = facts.get("form") == "call"
    kinds = facts.get("outputs", {}) if is_call else {"": "classes"}
    columns: dict[str, Any] = {}
    for place, values in outputs.items():
        name = place.partition("/")[2]
        flat = values.reshape(len(values), -1)
        if values.ndim > 2 or flat.shape[1] > _MOST_COLUMNS:
            shape = _shape(values.shape)
            raise SweepError(
                f"{place} has shape {shape}, which is no table; --output predictions.npz keeps it"
            )
        before = f"{name.replace('/', '_')}_" if len(outputs) > 1 else ""
        found = _columns(kinds.get(name, ""), flat, facts)
        columns |= {f"{before}{column}": told for column, told in found.items()}
    return pd.DataFrame(columns)


def _columns(kind: str, values: Array, facts: Mapping[str, Any]) -> dict[str, Any]:
    shares = shares_of(kind, values, from_logits=bool(facts.get("from_logits")))
    width = values.shape[1]
    if kind == "classes":
        names = facts["data"].get("class_names") or [str(i) for i in range(width)]
        chosen = [names[i] for i in shares.argmax(axis=1)]
        return {"class": chosen} | {f"p_{name}": shares[:, i] for i, name in enumerate(names)}
    if kind == "binary":
        return {"class": (shares[:, 0] > 0.5).astype(int), "p_1": shares[:, 0]}
    if kind == "labels":
        return {f"label_{i}": (shares[:, i] > 0.5).astype(int) for i in range(width)} | {
            f"p_{i}": shares[:, i] for i in range(width)
        }
    return {"value" if width == 1 else f"value_{i}": values[:, i] for i in range(width)}
