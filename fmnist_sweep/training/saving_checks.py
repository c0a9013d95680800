"""See whether a model can be saved and loaded, before hours go into training it, and by what alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.user_code import import_users, is_library
from fmnist_sweep.data import load_split
from fmnist_sweep.data.calls import open_call
from fmnist_sweep.models.calling import NO_FIT, Tasting
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.models.inference import inference_model
from fmnist_sweep.models.load import build_model
from fmnist_sweep.models.saving import TOLERANCE, SavingError, apart, require_savable
from fmnist_sweep.training.call_delivery import EXAMPLE, SEVERAL_MODELS, names_of, predict, rows_of
from fmnist_sweep.training.delivery import MODEL, PREDICTIONS, SOURCE, module_of, scale_of
from fmnist_sweep.training.measured_parts import Part
from fmnist_sweep.training.runtime import failing_as, load_hypermodel, n_weights, predictor, set_up_tensorflow

_N_IMAGES: Final = 16


class SavingCheck:
    """A trainer that trains nothing: it builds a job's model, saves it, loads it and compares the two."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Check; `Started` is all that is told.

        Raises:
            TrialError: What `deliver` would do can't be done; the text names the class and the remedy.
        """
        set_up_tensorflow()
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(job.seed)
        if job.data.form == "call":
            yield Started(job.trial, _check_call(job))
            return
        with failing_as("loading the data"):
            images = load_split(job.data_ref, job.split).x_train[:_N_IMAGES]
        with failing_as("build of the model"):
            model = build_model(load_hypermodel(job), filled(job.hyperparameters))
            model(images, training=False)
        module = module_of(job)
        if module is not None:
            try:
                final = inference_model(model, job.data.input_shape, from_logits=False)
                require_savable(final, images, module)
            except SavingError as error:
                raise TrialError(str(error)) from error
        yield Started(job.trial, n_weights(model))


class OwnCodeCheck:
    """A trainer that trains nothing: it loads what a job delivered with the code of a bundle alone.

    The job's places name the bundle's folder of code, and no other.
    """

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Check; `Started` is all that is told.

        Raises:
            TrialError: The model can't be loaded so, or predicts something else.
        """
        set_up_tensorflow()
        folder = job.delivery_folder
        if folder is None:
            raise ValueError(f"trial {job.trial} names no folder that was delivered to")
        # Nothing that only this machine has may stand in for what is missing.
        sys.path[:] = [entry for entry in sys.path if entry and is_library(Path(entry) / "module.py")]
        source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        with failing_as("import of the code"):
            objects = {key: _imported(place, job) for key, place in source["custom_objects"].items()}
        with failing_as("loading the model"):
            safe = not source["has_lambdas"]
            model = keras.models.load_model(
                folder / MODEL, custom_objects=objects, compile=False, safe_mode=safe
            )
            given, wanted = _predicted(model, folder, source, job)
        if apart(given, wanted) > TOLERANCE:
            raise TrialError("the model that is loaded with it predicts something else")
        yield Started(job.trial, n_weights(model))


def _predicted(
    model: keras.Model, folder: Path, source: Mapping[str, Any], job: PlacedJob
) -> tuple[Any, Any]:
    """Return what a loaded model gives, and what was delivered of it."""
    if job.data.form == "call":
        with np.load(folder / EXAMPLE, allow_pickle=False) as stored:
            x = keras.tree.map_structure(lambda name: stored[name], source["inputs"])
            outputs = predict(model, x)
            return outputs, keras.tree.map_structure(lambda name: stored[name], names_of("outputs", outputs))
    with np.load(folder / PREDICTIONS, allow_pickle=False) as stored:
        wanted = stored["val"]
    images = replace(job.data_ref, scale=scale_of(folder, job))
    return predictor(model, load_split(images, job.split).x_val)(), wanted


def _check_call(job: PlacedJob) -> int:
    """Train on two batches, save the model, load it and compare; return its number of weights.

    The fit is called, since it alone says what its model takes.
    """
    with failing_as("loading the data"):
        call = open_call(Path(job.data_ref.directory), tf.data.Dataset.load)
    with failing_as("build of the model"):
        hypermodel = load_hypermodel(job)
        hp = filled(job.hyperparameters)
        hp.values["epochs"] = job.epochs
        model = build_model(hypermodel, hp)
    tasting = Tasting(call, job.split)
    with failing_as("training of the model"):
        tasting.taste(hypermodel, hp, model)
    if not tasting.called:
        raise TrialError(NO_FIT)
    if len(tasting.models) > 1:
        raise TrialError(SEVERAL_MODELS)
    (trained,) = tasting.models
    module = module_of(job)
    if module is not None:
        x = tasting.given["x"]
        few, _ = rows_of(Part(x, tasting.given.get("y")), _N_IMAGES)
        try:
            require_savable(trained, few, module)
        except SavingError as error:
            raise TrialError(str(error)) from error
    return n_weights(trained)


def _imported(place: str, job: PlacedJob) -> Any:
    module, _, name = place.partition(":")
    found: Any = import_users(module, job.places.code)
    for part in name.split("."):
        found = getattr(found, part)
    return found
