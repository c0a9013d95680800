"""What a training process hands over: the model as it is to be used, its predictions, its source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import DataRef, Scale
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.data import load_split
from fmnist_sweep.models.building import BuiltInModel
from fmnist_sweep.models.inference import inference_model
from fmnist_sweep.models.own_objects import OwnObjects
from fmnist_sweep.models.saving import TOLERANCE, SavingError, load, save
from fmnist_sweep.models.source import NotWritableError, model_source
from fmnist_sweep.training.runtime import load_hypermodel, n_weights, predictor

MODEL: Final = "model.keras"
PREDICTIONS: Final = "predictions.npz"
SOURCE: Final = "source.json"
WEIGHTS: Final = "weights.npz"


def learning_rate(model: keras.Model) -> float:
    """Return the learning rate that an optimizer is at."""
    # Kept in float32: the shortest number that gives the same bits.
    return float(str(np.float32(model.optimizer.learning_rate.numpy())))


def deliver(
    model: keras.Model,
    job: PlacedJob,
    images: DataRef,
    *,
    from_logits: bool,
    learning_rates: Sequence[float],
) -> None:
    """Write a trained model's files into ``job.delivery_folder``.

    ``model.keras`` is the inference model; ``predictions.npz`` holds its probabilities and the labels of all
    train and validation images, as the *loaded* file gives them; ``source.json`` the Python that builds it.

    Args:
        model: The model.
        job: Its job.
        images: The data as it was given them.
        from_logits: Whether it gives logits.
        learning_rates: Those of its epochs.

    Raises:
        TrialError: The saved model can't be loaded, or predicts something else than the trained one.
    """
    folder = job.delivery_folder
    if folder is None:
        raise ValueError(f"trial {job.trial} names no folder to deliver to")
    folder.mkdir(parents=True, exist_ok=True)
    final = inference_model(
        model, job.data.input_shape, from_logits=from_logits, flip_average=job.flip_average
    )
    needs = save_delivered(final, folder, job)
    split = load_split(images, job.split)
    # A folder is handed out once the file in it was seen to work.
    loaded = load_delivered(folder, job)
    val = predictor(loaded, split.x_val)()
    trained = predictor(model, split.x_val)()
    if job.flip_average:
        trained = (trained + predictor(model, split.x_val[:, :, ::-1])()) / 2
    if from_logits:
        trained = _softmax(trained)
    if np.abs(val - trained).max() > TOLERANCE:
        raise TrialError("the saved model predicts something else than the trained one")
    np.savez(
        folder / PREDICTIONS,
        train=predictor(loaded, split.x_train)(),
        y_train=split.y_train,
        val=val,
        y_val=split.y_val,
    )
    (folder / SOURCE).write_text(
        json.dumps(_source(model, job, images.scale, learning_rates, needs)), encoding="utf-8"
    )


def deliver_weights(weights: Sequence[npt.NDArray[Any]], job: PlacedJob) -> None:
    """Write a trained model's weights, in the order of ``model.weights``, into ``job.delivery_folder``."""
    folder = job.delivery_folder
    if folder is None:
        raise ValueError(f"trial {job.trial} names no folder to deliver to")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / WEIGHTS, allow_pickle=False, **{str(i): w for i, w in enumerate(weights)})


def save_delivered(final: keras.Model, folder: Path, job: PlacedJob) -> OwnObjects | None:
    """Save a model as it is to be used, and return what it needs of the user's own; None for a model of ours.

    Raises:
        TrialError: It can't be saved.
    """
    module = module_of(job)
    if module is None:
        final.save(folder / MODEL)
        return None
    try:
        return save(final, folder / MODEL, module)
    except SavingError as error:
        raise TrialError(str(error)) from error


def load_delivered(folder: Path, job: PlacedJob) -> keras.Model:
    """Load the model of a folder that `deliver` wrote; what is the user's own comes from their own module."""
    load_hypermodel(job)
    return load(folder / MODEL, module_of(job))


def scale_of(folder: Path, job: PlacedJob) -> Scale:
    """Return what was done to the images that the model of a folder was given."""
    source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    scale: Scale = source.get("scale", job.data.scale)
    return scale


def module_of(job: PlacedJob) -> str | None:
    """Return the name of the module of a user's own model; None for a model of ours."""
    module = job.model.partition(":")[0]
    return None if is_ours(module) else module


def _source(
    model: keras.Model,
    job: PlacedJob,
    scale: Scale,
    learning_rates: Sequence[float],
    needs: OwnObjects | None,
) -> dict[str, Any]:
    # A schedule of Keras's own stands with the optimizer.
    own = isinstance(model.optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)  # noqa: SLF001
    changes = len(set(learning_rates)) > 1 and not own
    facts: dict[str, Any] = {
        "n_parameters": n_weights(model),
        "learning_rates": list(learning_rates) if changes else None,
        "batch_size": int(job.hyperparameters.get("batch_size", job.batch_size)),
        "custom_objects": {} if needs is None else needs.places,
        "has_lambdas": needs is not None and needs.has_lambdas,
        **({} if scale == "auto" else {"scale": scale}),
    }
    hypermodel = load_hypermodel(job)
    if not isinstance(hypermodel, BuiltInModel):
        return {**facts, "model": None, "why_not": f"the model is the code of {job.model}"}
    if changes:
        # What the source names is where the training began.
        model.optimizer.learning_rate = learning_rates[0]
    try:
        return {**facts, "model": asdict(model_source(model, seed=job.seed))}
    except NotWritableError as error:
        return {**facts, "model": None, "why_not": str(error)}


def _softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: npt.NDArray[Any] = shifted / shifted.sum(axis=1, keepdims=True)
    return softmax
