from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import optuna
import pytest

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.training.testing import FakeTrainer

N_EPOCHS = 100
N_TRIALS = 6


def long_curve(job: TrialJob) -> LearningCurve:
    """Return a curve of its own for each trial, every number of which is an object of its own."""
    val = [0.8 + (1000 * job.trial + epoch) / 1e6 for epoch in range(job.epochs)]
    return LearningCurve.from_scores(train=val, val=val)


def kept_by_the_package() -> int:
    """Return how many bytes that were allocated in the package's own modules are still alive."""
    gc.collect()
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/fmnist_sweep/*")])
    return sum(trace.size for trace in ours.traces)


@pytest.mark.slow
def test_the_parent_holds_no_curve_twice(
    data: DataRef,
    sqlite_storage: optuna.storages.RDBStorage,
    make_config: Callable[..., SweepConfig],
) -> None:
    """A run's storage holds the curves of finished trials; a search, still alive, holds no second copy."""
    config = make_config(
        space={"learning_rate": {"low": 1e-4, "high": 1e-2}, "epochs": N_EPOCHS},
        budget={"trials": N_TRIALS},
    )
    study = open_study(config, data, sqlite_storage)
    with ownership(study):
        search = Search.of(config, data, study, InlineEngine(FakeTrainer(long_curve)))
        tracemalloc.start()
        try:
            before = kept_by_the_package()
            one = long_curve(TrialJob(0, "dense", {}, N_EPOCHS, 0, data)).to_attribute()
            size_of_one = kept_by_the_package() - before
            del one
            before = kept_by_the_package()
            search.run()
            kept = kept_by_the_package() - before
        finally:
            tracemalloc.stop()
    assert search.progress().n_complete == N_TRIALS
    assert size_of_one > 8 * 4 * N_EPOCHS
    assert kept < size_of_one * N_TRIALS * 1.5
