"""The models of trials, handed over: with the weights that were kept, or trained once more."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist_sweep import data as data_sets
from fmnist_sweep.api.options import Say
from fmnist_sweep.api.studies import require_model
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.events import Failed
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.kept import NotKeptError, Weights, kept_weights
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.programs import PREPARE_S
from fmnist_sweep.core.wording import counted
from fmnist_sweep.data.calls import Call, open_call
from fmnist_sweep.engines.opening import open_engine
from fmnist_sweep.export.finals import events_of
from fmnist_sweep.export.kept import find_kept, restore, trial_job, weights_folder
from fmnist_sweep.search.model_source import require_same_model
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


def models_of(
    study: StoredStudy,
    trials: Sequence[StoredTrial],
    *,
    storage: str,
    say: Say,
    data: DataRef | None = None,
    hypermodel: Any = None,
) -> Iterator[Any]:
    """Yield the `keras.Model` of each trial as it was after its scored epoch.

    Args:
        study: A sweep's study.
        trials: Trials of it that were scored.
        storage: Where it is.
        say: Is told of each whether its weights were kept, or why it is trained anew.
        data: The sweep's data; None finds them as an export does.
        hypermodel: What builds the models; None loads what the study names.

    Raises:
        SweepError: The study is no sweep, its model was edited, its data are gone, or a training failed.
    """
    require_model(study)
    if not study.is_ours:
        raise SweepError(f"study {study.name!r} was not made by fmnist-sweep: its model is not known")
    if hypermodel is None:
        require_same_model(study, n_parameters=None)
    data = _data_of(study, say) if data is None else data
    for trial in trials:
        weights = _weights_of(study, trial, storage=storage, say=say, data=data)
        yield _built(study, trial, data, weights, hypermodel)


def _weights_of(study: StoredStudy, trial: StoredTrial, *, storage: str, say: Say, data: DataRef) -> Weights:
    epochs = trial.scored_after
    job = trial_job(study, trial, epochs, data.key)
    folder = weights_folder(storage, study.name)
    try:
        file = find_kept(study, trial, epochs, folder)
        places = Places.of(data, code=study.folders, weights=folder.path)
        with open_engine("local", 1, places=places) as engine:
            restore(job, file, trial, engine)
        weights = kept_weights(file)
    except NotKeptError as error:
        say(f"Trial {trial.number} is trained anew, for {counted(epochs, 'epoch')}: {error}.")
    else:
        say(f"Trial {trial.number} has the weights that were kept of it after epoch {epochs}.")
        return weights
    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
        places = Places.of(data, code=study.folders, weights=Path(work))
        with open_engine("local", 1, places=places) as engine:
            for event in events_of(job, engine):
                if isinstance(event, Failed):
                    raise SweepError(f"training trial {job.trial} once more failed: {event.reason}")
        try:
            return kept_weights(Path(work, job.keep.name if job.keep else ""))
        except NotKeptError as error:
            raise SweepError(f"training trial {job.trial} once more gave no weights: {error}") from error


def _built(study: StoredStudy, trial: StoredTrial, data: DataRef, weights: Weights, hypermodel: Any) -> Any:
    """Build a trial's model in this process, and give it its weights."""
    carrying = importlib.import_module("fmnist_sweep.models.carrying")
    if data.form == "call":
        call = open_call(Path(data.directory), _load_dataset)
    else:
        call = Call((np.zeros((1, *data.input_shape), np.float32),))
    if hypermodel is None:
        load = importlib.import_module("fmnist_sweep.models.load")
        shape, n_classes = data.input_shape, data.n_classes
        hypermodel = load.load_model(
            study.model_path, input_shape=shape, n_classes=n_classes, folders=study.folders
        )
    model = carrying.build_on(hypermodel, trial.hyperparameters, call)
    model.set_weights(weights)
    return model


def _data_of(study: StoredStudy, say: Say) -> DataRef:
    return data_sets.open_data(
        study.config["data"],
        say=say,
        folders=study.folders,
        seconds=study.config.get("budget", {}).get("prepare_seconds", PREPARE_S),
        reading=data_sets.Reading.of(study.config),
    )


def _load_dataset(path: str) -> Any:
    return importlib.import_module("tensorflow").data.Dataset.load(path)
