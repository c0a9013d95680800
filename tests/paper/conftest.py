"""The paper's experiments on made-up curves: nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from made_paper import SWEEPS, TINY, add_test, made_curve
from made_studies import stored

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.search.loop import Search
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.training.testing import FakeTrainer
from original_study.experiments import Experiment, experiments
from original_study.results import Results, read_results


@pytest.fixture
def data() -> DataRef:
    """A data set of the size of Fashion-MNIST that nothing opens."""
    return DataRef("fashion-mnist", "da7a" * 16, (28, 28, 1), tuple("abcdefghij"), 60_000, "/nowhere")


@pytest.fixture(scope="session")
def read() -> tuple[Experiment, ...]:
    """All experiments with three seeds: their files are read once."""
    return tuple(experiments(TINY, folder=SWEEPS))


@pytest.fixture
def wanted(read: tuple[Experiment, ...]) -> dict[str, Experiment]:
    """All experiments with three seeds, by name."""
    # Each its own: one that was opened knows its data.
    return {e.name: replace(e) for e in read}


@pytest.fixture
def run(data: DataRef, workers: Any) -> Callable[..., optuna.Study]:
    """Run an experiment: ``run(experiment, storage, curve)`` returns its study; jobs are kept in ``jobs``."""

    def go(
        experiment: Experiment,
        storage: optuna.storages.BaseStorage,
        curve: Callable[[TrialJob], LearningCurve] = made_curve,
        *,
        jobs: list[TrialJob] | None = None,
        **options: Any,
    ) -> optuna.Study:
        study = experiment.open(data, storage)
        engine = workers(FakeTrainer(curve))
        with ownership(study) as owner:
            plan = experiment.plan(study)
            Search.of(experiment.config, data, study, engine, plan=plan, run=owner.run).run(**options)
        if jobs is not None:
            jobs += engine.submitted
        return study

    return go


@pytest.fixture
def results(
    wanted: dict[str, Experiment], run: Callable[..., optuna.Study], memory: optuna.storages.BaseStorage
) -> Results:
    """What made-up studies of all experiments say."""
    for experiment in wanted.values():
        study = run(experiment, memory)
        if experiment.name.endswith("-final"):
            add_test(study)
    studies = {
        e.study_name: stored(optuna.load_study(study_name=e.study_name, storage=memory))
        for e in wanted.values()
    }
    return read_results(studies, prefix=TINY.prefix)
