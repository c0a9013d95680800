"""A trial's model, trained once more and handed over."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.events import Failed, Finished
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.data.calls import open_call
from fmnist_sweep.engines.opening import open_engine
from fmnist_sweep.storage.stored import StoredTrial

_DELIVERY: Final = "model"


def trained_model(trial: StoredTrial, config: SweepConfig, data: DataRef, hypermodel: Any = None) -> Any:
    """Train a trial's configuration once more, in a process of its own, and return the model here.

    Args:
        trial: A trial that was scored.
        config: The sweep's settings.
        data: Its data.
        hypermodel: What builds the model; None loads what the settings name.

    Raises:
        SweepError: The training failed.
    """
    carrying = importlib.import_module("fmnist_sweep.models.carrying")
    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
        job = TrialJob(
            trial=trial.number,
            model=config.model_space.path,
            hyperparameters=trial.hyperparameters,
            epochs=trial.scored_after,
            fit_epochs=config.file.training.fit_epochs or int(trial.params.get("epochs", config.epochs[-1])),
            seed=trial.seed if trial.seed is not None else 0,
            data=data.key,
            split=config.split,
            n_probe=config.n_probe,
            batch_size=config.file.training.batch_size,
            deliver_to=_DELIVERY,
            metric=config.file.score.metric,
        )
        places = Places.of(data, deliveries=Path(work), code=config.folders)
        _to_its_end(job, places)
        builder = _loaded(config) if hypermodel is None else hypermodel
        call = open_call(Path(data.directory), _load_dataset)
        model = carrying.build_on(builder, trial.hyperparameters, call)
        carrying.set_weights(model, Path(work, _DELIVERY))
    return model


def _to_its_end(job: TrialJob, places: Places) -> None:
    with open_engine("local", 1, places=places) as engine:
        engine.submit(job)
        while engine.running:
            for event in engine.events(1.0):
                if isinstance(event, Failed):
                    raise SweepError(f"training trial {job.trial} once more failed: {event.reason}")
                if isinstance(event, Finished):
                    return


def _loaded(config: SweepConfig) -> Any:
    load = importlib.import_module("fmnist_sweep.models.load")
    shape, n_classes = config.images
    return load.load_model(
        config.model_space.path, input_shape=shape, n_classes=n_classes, folders=config.folders
    )


def _load_dataset(path: str) -> Any:
    return importlib.import_module("tensorflow").data.Dataset.load(path)
