"""What a training hands over of a model of any task: the model, what it predicts, a few rows to try it on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import keras_tuner
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.metrics import measured_metric
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.hold_out import rows
from fmnist_sweep.data.trees import is_table, leaves
from fmnist_sweep.models.calling import by_name
from fmnist_sweep.models.load import build_model
from fmnist_sweep.models.saving import TOLERANCE, apart
from fmnist_sweep.training.delivery import PREDICTIONS, SOURCE, load_delivered, save_delivered
from fmnist_sweep.training.epoch_measures import part_scores
from fmnist_sweep.training.measured_parts import N_ROWS_AT_ONCE, Part, parts_of
from fmnist_sweep.training.runtime import n_weights

EXAMPLE: Final = "example.npz"
N_EXAMPLES: Final = 8

SEVERAL_MODELS: Final = (
    "its fit trains several models, and which of them is to be handed out is not known; let fit train one"
)

_MOST_NUMBERS: Final = 5_000_000
"""Outputs that are kept for pictures; of larger ones the first rows."""


@dataclass(frozen=True)
class Trained:
    """What one call of a ``fit`` has trained, as it was measured last.

    Attributes:
        model: The model.
        weights: Its weights as they were measured.
        train: What measured the train scores.
        val: What validated.
        val_score: The metric that is scored, on what validated.
        offered: What the HyperModel's fit was called with.
        several: Whether other models were trained as well.
    """

    model: keras.Model
    weights: Sequence[npt.NDArray[Any]]
    train: Part
    val: Part
    val_score: float
    offered: Call
    several: bool = False


def deliver_call(
    trained: Trained, job: PlacedJob, hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters
) -> None:
    """Write a trained model's files into ``job.delivery_folder``.

    ``model.keras`` is the model, not compiled; ``predictions.npz`` holds what the *loaded* file gives for
    what measured it, with the targets; ``example.npz`` a few rows with their outputs; ``source.json`` how
    all that is nested, and whether the data as they were given are what the model takes.

    Raises:
        TrialError: The saved model can't be loaded, predicts something else than the trained one, or it is
            not known which model to hand out.
    """
    folder = job.delivery_folder
    if folder is None:
        raise ValueError(f"trial {job.trial} names no folder to deliver to")
    if trained.several:
        raise TrialError(SEVERAL_MODELS)
    model = trained.model
    model.set_weights(trained.weights)
    needs = save_delivered(model, folder, job)
    # A folder is handed out once the file in it was seen to work.
    loaded = load_delivered(folder, job)
    predicted: dict[str, npt.NDArray[Any]] = {}
    few = rows_of(trained.val, N_EXAMPLES)[0]
    for name, part in (("train", trained.train), ("val", trained.val)):
        x, y = rows_of(part)
        outputs = predict(loaded, x)
        predicted |= flat(f"{name}/outputs", outputs) | flat(f"{name}/y", y)
    outputs, own = predict(loaded, few), predict(model, few)
    if apart(outputs, own) > TOLERANCE:
        raise TrialError("the saved model predicts something else than the trained one")
    np.savez(folder / PREDICTIONS, allow_pickle=False, **predicted)
    np.savez(folder / EXAMPLE, allow_pickle=False, **flat("x", few), **flat("outputs", outputs))
    source = {
        "n_parameters": n_weights(model),
        "learning_rates": None,
        "batch_size": int(job.hyperparameters.get("batch_size", job.batch_size)),
        "custom_objects": {} if needs is None else needs.places,
        "has_lambdas": needs is not None and needs.has_lambdas,
        "model": None,
        "why_not": f"the model is the code of {job.model}",
        "inputs": names_of("x", few),
        "from_logits": bool(getattr(model.loss, "from_logits", False)),
        "prepared": _prepared(trained, job, hypermodel, hp),
    }
    (folder / SOURCE).write_text(json.dumps(source), encoding="utf-8")


def _prepared(
    trained: Trained, job: PlacedJob, hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters
) -> str:
    """Return why the model can't be measured on data as they were given; empty where it can.

    A fit may prepare what it hands to ``model.fit``: then a test part, which no fit sees, is another thing.
    What validates tells: measured as it was given, it has the score that it had in the fit.
    """
    metric = measured_metric(job.metric)
    offered = by_name(trained.model.fit, trained.offered.args, trained.offered.kwargs)
    try:
        fresh = rebuilt(hypermodel, hp, trained.weights, trained.offered)
        val = parts_of(offered, n_probe=1)[1]
        as_given = part_scores(fresh, val, metric, folders=job.places.code)[metric]
    except Exception as error:  # noqa: BLE001 - the model may take nothing of the kind
        return f"the model does not take the data as they were given ({type(error).__name__})"
    if abs(as_given - trained.val_score) <= TOLERANCE * max(1.0, abs(trained.val_score)):
        return ""
    return (
        f"val_{metric} is {trained.val_score:.4g} in fit and {as_given:.4g} on the same data as they "
        "were given: fit prepares them, or compiles the model anew"
    )


def rebuilt(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    weights: Sequence[npt.NDArray[Any]],
    call: Call,
) -> keras.Model:
    """Return a model as it is built and compiled, with weights that were trained.

    Args:
        hypermodel: The HyperModel.
        hp: Its hyperparameters.
        weights: In the order of ``model.weights``.
        call: Data that the model takes, to build one that has no input layer.
    """
    model = build_model(hypermodel, hp)
    if not model.built or len(model.weights) != len(weights):
        model(_first_rows(call.x, 1), training=False)
    model.set_weights(list(weights))
    return model


def _first_rows(x: Any, n: int) -> Any:
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        return rows_of(Part(x), n)[0]
    return as_arrays(rows(x, slice(0, n)))


def predict(model: keras.Model, x: Any) -> Any:
    """Return a model's outputs, nested as it gives them, with dropout off."""
    return keras.tree.map_structure(np.asarray, model.predict(x, batch_size=N_ROWS_AT_ONCE, verbose=0))


def rows_of(part: Part, n: int | None = None) -> tuple[Any, Any]:
    """Return inputs and targets of a part as arrays.

    Args:
        part: Arrays, or batches.
        n: So many rows at the most; None takes as many as can well be kept.
    """
    if part.is_arrays:
        kept = slice(0, _n_kept(part.y) if n is None else n)
        return as_arrays(rows(part.x, kept)), as_arrays(rows(part.y, kept))
    batches: list[tuple[Any, Any]] = []
    n_rows = 0
    for x, y in _batches(part):
        batches.append((x, y))
        n_rows += len(next(leaves(x)))
        n = _n_kept(y) if n is None else n
        if n_rows >= n:
            break
    shapes = [[leaf.shape[1:] for leaf in leaves(batch)] for batch in batches]
    # Sequences may be as long as the longest of their batch: then one batch stands for all.
    alike = batches if all(shape == shapes[0] for shape in shapes) else batches[:1]
    x, y = keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:n], *alike)
    return x, y


def _n_kept(y: Any) -> int:
    """Return of how many rows the targets are kept."""
    size = sum(max(1, int(np.prod(np.shape(leaf)[1:]))) for leaf in leaves(y))
    return max(1, _MOST_NUMBERS // max(1, size))


def _batches(part: Part) -> Iterator[tuple[Any, Any]]:
    data = part.x
    if isinstance(data, tf.data.Dataset) or not hasattr(data, "__len__"):
        elements: Iterator[Any] = iter(data)
    else:
        elements = (data[i] for i in range(len(data) if part.steps is None else part.steps))
    for element in elements:
        x, y, *_ = keras.utils.unpack_x_y_sample_weight(element)
        yield keras.tree.map_structure(np.asarray, x), keras.tree.map_structure(np.asarray, y)


def as_arrays(tree: Any) -> Any:
    """Return nested tables and arrays as nested arrays; a column of pandas gets an axis, as in Keras."""
    if isinstance(tree, Mapping):
        return {key: as_arrays(part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(as_arrays(part) for part in tree)
    array = np.asarray(tree)
    column = is_table(tree) and array.ndim == 1
    return array[:, np.newaxis] if column else array


def flat(name: str, tree: Any) -> dict[str, npt.NDArray[Any]]:
    """Return nested arrays by their place, such as ``"x/left"``; text in a form that needs no pickle."""
    if isinstance(tree, Mapping):
        return {k: v for key, part in tree.items() for k, v in flat(f"{name}/{key}", part).items()}
    if isinstance(tree, list | tuple):
        return {k: v for i, part in enumerate(tree) for k, v in flat(f"{name}/{i}", part).items()}
    if tree is None:
        return {}
    array = np.asarray(tree)
    return {name: array.astype(str) if array.dtype.kind == "O" else array}


def names_of(name: str, tree: Any) -> Any:
    """Return nested arrays with the name that `flat` gives it in place of each."""
    if isinstance(tree, Mapping):
        return {key: names_of(f"{name}/{key}", part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return [names_of(f"{name}/{i}", part) for i, part in enumerate(tree)]
    return name


def weights_in(folder: Path) -> list[npt.NDArray[Any]]:
    """Return the weights that a training has delivered into a folder."""
    with np.load(folder / "weights.npz", allow_pickle=False) as kept:
        return [kept[str(i)] for i in range(len(kept.files))]
