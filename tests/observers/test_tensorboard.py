"""What TensorBoard's own reader finds of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import EpochDone, Started
from fmnist_sweep.core.jobs import DataRef, Hyperparameters, SplitSpec, TrialJob
from fmnist_sweep.core.progress import EndedTrial, Stop
from fmnist_sweep.observers.opening import open_observers


@pytest.mark.slow
def test_tensorboard_reads_back_curves_and_hyperparameters(tmp_path: Path, data: DataRef) -> None:
    """By epoch from 1, with gap and score by the study's rule; a trial that failed has its curve alone."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    curve = LearningCurve.from_scores(train=[0.7, 0.9], val=[0.6, 0.7])
    rule = {"metric": "accuracy", "penalty": 1.0, "tolerance": 0.1}
    (observer,) = open_observers({"tensorboard": {"folder": str(tmp_path)}})
    observer.on_start("tiny", {"score": rule})
    for number, state, value in ((0, "COMPLETE", 0.6), (1, "FAIL", None)):
        point: Hyperparameters = {"learning_rate": 0.01, "activation": "relu", "batch_norm": True}
        job = TrialJob(number, "dense", point, 2, 0, data, SplitSpec(10), n_probe=20, batch_size=8)
        observer.on_event(Started(number, 100), job)
        for scores in curve.epochs:
            observer.on_event(EpochDone(number, scores), job)
        observer.on_trial_end(EndedTrial(number, state, value, ""), job, curve)
    observer.on_end(Stop.TRIALS)

    found = {}
    for path in sorted((tmp_path / "tiny").iterdir()):
        found[path.name] = EventAccumulator(str(path))
        found[path.name].Reload()
    told = {
        tag: [(e.step, round(e.value, 3)) for e in found["trial-000"].Scalars(tag)]
        for tag in found["trial-000"].Tags()["scalars"]
    }
    assert told["val/accuracy"] == [(1, 0.6), (2, 0.7)]
    assert told["train/accuracy"] == [(1, 0.7), (2, 0.9)]
    assert told["gap"] == [(1, 0.1), (2, 0.2)]
    assert told["score"] == [(1, 0.6), (2, 0.6)]
    assert told["hparam/score"] == [(2, 0.6)]
    content = found["trial-000"].PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["learning_rate"].number_value == pytest.approx(0.01)
    assert start.hparams["activation"].string_value == "relu"
    assert start.hparams["state"].string_value == "COMPLETE"
    failed = found["trial-001"].Tags()["scalars"]
    assert "val/accuracy" in failed
    assert "hparam/score" not in failed
