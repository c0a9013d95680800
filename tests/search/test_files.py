from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from clusters import KeepingTrainer

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.kept import Keep, kept_scores
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.weights import WeightsFolder

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

SPACE: dict[str, Any] = {"activation": {"choices": ["relu", "tanh", "elu"]}, "epochs": {"low": 1, "high": 4}}
POINTS: dict[str, Any] = {"name": "grid", "enqueue_default": False}


@pytest.fixture
def weights(tmp_path: Path) -> WeightsFolder:
    """A folder of weights, not there yet."""
    return WeightsFolder(tmp_path / "weights")


@pytest.fixture
def keeping(make_config: MakeConfig) -> SweepConfig:
    """A sweep of three points that keeps the weights of two."""
    return make_config(space=SPACE, sampler=POINTS, keep_models=2, budget={"trials": 3})


def engine_of(trainer: Any, weights: WeightsFolder) -> InlineEngine:
    """Return an engine that knows where weights are kept."""
    return InlineEngine(trainer, places=Places(weights=weights.path))


class Varied(KeepingTrainer):
    """The keeping trainer; the activation decides how good a model is."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield the curve of a peak."""
        peak = {"relu": 0.9, "tanh": 0.8, "elu": 0.85}[str(job.hyperparameters["activation"])]
        object.__setattr__(job, "hyperparameters", {**job.hyperparameters, "accuracy_peak": peak})
        yield from super().fit(job)


def kept(weights: WeightsFolder) -> list[str]:
    """Return the names of the files."""
    return sorted(path.name for path in weights.path.iterdir()) if weights.path.exists() else []


def best_names(study: optuna.Study, n: int) -> list[str]:
    """Return the names of the files of the best trials."""
    trials = sorted(StoredStudy.of(study).in_state("COMPLETE"), key=lambda trial: trial.rank)
    return sorted(f"trial-{trial.number}.npz" for trial in trials[:n])


def test_the_weights_of_the_best_trials_are_kept(
    sweep: Sweep, keeping: SweepConfig, weights: WeightsFolder
) -> None:
    """Each as it was after its scored epoch; those of a trial that is no more among the best go."""
    _, study = sweep(keeping, engine=engine_of(Varied(), weights), weights=weights)
    assert kept(weights) == best_names(study, 2)
    for trial in StoredStudy.of(study).in_state("COMPLETE"):
        if weights.file(trial.number).exists():
            scores = kept_scores(weights.file(trial.number))
            assert scores.epoch == trial.epoch
            assert scores.val["accuracy"] == trial.scores["val_accuracy"]
    assert 0 < weights.size() < 10_000


def test_keeping_changes_nothing_else(sweep: Sweep, make_config: MakeConfig, weights: WeightsFolder) -> None:
    """Study, digest and curves are those of a sweep that keeps none; and that one writes nothing."""
    off = make_config(space=SPACE, sampler=POINTS, budget={"trials": 3})
    on = make_config(space=SPACE, sampler=POINTS, budget={"trials": 3}, keep_models=2)
    assert off.digest == on.digest
    assert "keep_models" not in off.to_dict()
    told = []
    for config, folder in ((on, weights), (off, None)):
        storage = optuna.storages.InMemoryStorage()
        _, study = sweep(config, engine=engine_of(Varied(), weights), weights=folder, storage=storage)
        told.append([(t.params, t.value, t.user_attrs["curve"]) for t in study.trials])
        if folder is not None:
            for file in kept(weights):
                (weights.path / file).unlink()
    assert told[0] == told[1]
    assert kept(weights) == []


def test_a_trial_that_is_put_back_keeps_its_weights(
    sweep: Sweep, keeping: SweepConfig, weights: WeightsFolder, tmp_path: Path
) -> None:
    """An interrupted run leaves them for the next one, which ends with those of the best."""
    interrupted = threading.Event()

    class Interrupting(Varied):
        def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
            for n, step in enumerate(super().fit(job)):
                yield step
                if (job.trial, n) == (1, 2):
                    interrupted.set()

    options: dict[str, Any] = {"weights": weights, "checkpoints": CheckpointFolder(tmp_path / "checkpoints")}
    storage = optuna.storages.InMemoryStorage()
    engine = engine_of(Interrupting(), weights)
    stop, _ = sweep(keeping, engine=engine, interrupted=interrupted, storage=storage, **options)
    assert stop is Stop.INTERRUPTED
    assert kept(weights) == ["trial-0.npz", "trial-1.npz"]
    # Of a study of that name that is gone.
    (weights.path / "trial-77.npz").write_bytes(b"")
    (weights.path / ".trial-77.npz-abcdefgh.part").write_bytes(b"")
    _, study = sweep(keeping, engine=engine_of(Varied(), weights), storage=storage, **options)
    assert kept(weights) == best_names(study, 2)


def test_failed_and_pruned_trials_keep_nothing(
    sweep: Sweep, make_config: MakeConfig, weights: WeightsFolder
) -> None:
    """Theirs go once the job is gone."""

    class Failing(Varied):
        def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
            for n, step in enumerate(super().fit(job)):
                yield step
                if n == 2:
                    raise ValueError("a mistake")

    config = make_config(space=SPACE, sampler=POINTS, keep_models=2, budget={"trials": 2})
    _, study = sweep(config, engine=engine_of(Failing(), weights), weights=weights)
    assert {trial.state.name for trial in study.trials} == {"FAIL"}
    assert kept(weights) == []


def test_a_job_says_which_epoch_is_kept(
    sweep: Sweep, make_config: MakeConfig, weights: WeightsFolder
) -> None:
    """The sweep's own rule, its epochs and its patience: the process decides by them."""
    jobs: list[TrialJob] = []

    class Listening(Varied):
        def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
            jobs.append(job)
            return super().fit(job)

    space = {**SPACE, "epochs": {"low": 2, "high": 4}}
    config = make_config(
        space=space, sampler=POINTS, keep_models=1, budget={"trials": 1}, training={"patience": 2}
    )
    sweep(config, engine=engine_of(Listening(), weights), weights=weights)
    keep = jobs[0].keep
    assert isinstance(keep, Keep)
    assert (keep.rule, keep.allowed, keep.patience) == (config.score_rule, (1, 2, 3), 2)
