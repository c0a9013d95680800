"""A trial's weights, as a search has kept them: found, looked at, and measured anew before they are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import EpochDone, Failed
from fmnist_sweep.core.jobs import DataKey, SplitSpec, TrialJob
from fmnist_sweep.core.kept import Keep, NotKeptError, kept_scores
from fmnist_sweep.core.metrics import measured_metric
from fmnist_sweep.engines.base import OpenEngine
from fmnist_sweep.export.finals import events_of
from fmnist_sweep.search.history import configuration_key
from fmnist_sweep.storage.opening import side_folder
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.weights import WeightsFolder

TOLERANCE: Final = 1e-4
"""How far a score may be from the stored one: sums of floats, in another order on another processor."""


def weights_folder(storage: str, study: str) -> WeightsFolder:
    """Return where a study's weights are kept."""
    return WeightsFolder(side_folder(storage, study, kind="weights"))


def find_kept(study: StoredStudy, trial: StoredTrial, epochs: int, folder: WeightsFolder) -> Path:
    """Return the file with the weights that a trial had after so many epochs.

    A trial that was answered by the curve of an equal one has the weights of that one.

    Args:
        study: The sweep's study.
        trial: A trial of it that has a curve.
        epochs: As many as the model is to have been trained for.
        folder: As `weights_folder` gives it.

    Raises:
        NotKeptError: There are none, or those of another epoch.
    """
    alike = [trial, *(t for t in study.in_state("COMPLETE") if t.number != trial.number and _alike(t, trial))]
    files = [folder.file(one.number) for one in alike]
    file = next((path for path in files if path.exists()), files[0])
    kept = kept_scores(file)
    if kept.epoch != epochs - 1:
        raise NotKeptError(f"the weights of epoch {kept.epoch + 1} were kept, and not of epoch {epochs}")
    curve = trial.curve
    stored = None if curve is None or len(curve) < epochs else curve.epochs[epochs - 1]
    if stored is None or any(stored.val.get(name, value) != value for name, value in kept.val.items()):
        raise NotKeptError("the weights that are kept under its number are those of another training")
    return file


def _alike(one: StoredTrial, other: StoredTrial) -> bool:
    return configuration_key(one.hyperparameters, one.seed) == configuration_key(
        other.hyperparameters, other.seed
    ) and (one.split_seed, one.model_source) == (other.split_seed, other.model_source)


def trial_job(study: StoredStudy, trial: StoredTrial, epochs: int, data: DataKey) -> TrialJob:
    """Return the very training of a trial, for so many epochs, as a job that keeps its last weights."""
    training = study.config["training"]
    kind = study.config.get("split", {}).get("kind")
    return TrialJob(
        trial=trial.number,
        model=str(study.model_path),
        hyperparameters=trial.hyperparameters,
        epochs=epochs,
        fit_epochs=study.asked_epochs(trial),
        seed=trial.seed if trial.seed is not None else int(training["seed"]),
        data=data,
        split=SplitSpec(training["n_val"], training["split_seed"], training["train_size"], kind),
        n_probe=training.get("n_probe"),
        batch_size=training["batch_size"],
        exact_steps=training.get("exact_steps", False),
        metric=study.rule.metric,
        sometimes=tuple(trial.hyperparameters),
        keep=Keep(WeightsFolder(Path()).key(trial.number)),
    )


def restore(job: TrialJob, file: Path, trial: StoredTrial, engine: OpenEngine) -> EpochScores:
    """Let a process give a trial's model the weights that were kept, measure it, and deliver it.

    Args:
        job: As `trial_job` gives it, with what is to be delivered.
        file: Of the weights, in the folder that the engine knows.
        trial: The trial.
        engine: Runs it.

    Returns:
        What was measured.

    Raises:
        NotKeptError: It fails, or the model scores otherwise than the trial's curve says.
    """
    keep = Keep(file.name)
    measured: EpochScores | None = None
    for event in events_of(replace(job, keep=keep, restores=True), engine):
        if isinstance(event, Failed):
            raise NotKeptError(f"its kept weights can't be used: {event.reason}")
        if isinstance(event, EpochDone):
            measured = event.scores
    name = measured_metric(job.metric)
    curve = trial.curve
    if measured is None or curve is None:
        raise NotKeptError("its kept weights could not be measured")
    now, then = measured.val.get(name), curve.epochs[job.epochs - 1].val.get(name)
    if now is None or then is None or abs(now - then) > TOLERANCE * max(1.0, abs(then)):
        raise NotKeptError(f"with its kept weights val_{name} is {now}, and was {then} as it was trained")
    return measured
