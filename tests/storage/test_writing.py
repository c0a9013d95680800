from __future__ import annotations

from dataclasses import asdict
from typing import Any

import optuna
import pytest
from made_studies import add_trial, empty_study, params_of, scripted_curve, stored
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import DataRef, SplitSpec
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage import writing
from fmnist_sweep.storage.lease.process import Owner

DATA = DataRef(
    name="fashion-mnist",
    directory="/nowhere",
    digest="da7a" * 16,
    input_shape=(28, 28, 1),
    class_names=("Shirt", "Coat"),
    n_train=60_000,
)


@pytest.fixture
def new(storage_url: str) -> optuna.Study:
    """An empty study in a file: a database takes less than memory does."""
    return optuna.create_study(storage=storage_url, study_name="new", direction="maximize")


def test_what_a_study_begins_with_comes_back(new: optuna.Study) -> None:
    """Under the names that every stored study has; it is whole once its digest is written."""
    config = {"model": "dense", "score": {"penalty": 2.0}, "max_model_size": 1000}
    writing.write_beginning(
        new,
        model_path="fmnist_sweep.models:DenseModel",
        config=config,
        data=DATA,
        allowed_epochs=[2, 3],
        versions={"keras": "3"},
        kind="confirm",
        confirms="dense",
    )
    found = stored(new)
    assert not found.is_ours
    assert set(found.attributes) == {
        "model_path", "config", "data_digest", "data", "allowed_epochs", "versions", "kind", "confirms",
    }  # fmt: skip
    assert (found.config, found.rule, found.size_limit) == (config, ScoreRule(penalty=2.0), 1000)
    assert found.data == {
        "name": "fashion-mnist",
        "input_shape": [28, 28, 1],
        "class_names": ["Shirt", "Coat"],
        "n_train": 60_000,
    }
    assert (found.data_digest, found.model_path) == (DATA.digest, "fmnist_sweep.models:DenseModel")
    assert (found.allowed_epochs, found.versions) == ([2, 3], {"keras": "3"})
    assert (found.kind, found.confirms) == ("confirm", "dense")
    writing.write_digest(new, "c0ffee")
    assert (found.again().is_ours, found.again().config_digest) == (True, "c0ffee")


def test_a_sweep_has_neither_kind_nor_link(new: optuna.Study) -> None:
    """Where they are absent, that they are is what tells a sweep."""
    writing.write_beginning(new, model_path="m", config={}, data=DATA, allowed_epochs=None, versions={})
    assert not {"kind", "confirms"} & set(stored(new).attributes)
    assert stored(new).draws_trials


def test_what_is_written_into_a_study_comes_back(new: optuna.Study) -> None:
    """One function for each thing, one name for each."""
    reading = {
        "when": "2026-01-01",
        "what": "trial 4",
        "trial": 4,
        "key": "k",
        "n_models": 5,
        "reason": "export",
        "complete": False,
    }
    owner, machine = asdict(Owner.this_process()), {"cpu": "a CPU", "n_cores": 2}
    candidate: dict[str, Any] = {
        "label": "default",
        "trial": None,
        "hyperparameters": {},
        "epochs": 3,
        "sweep_score": None,
    }
    writing.write_config(new, {"model": "cnn"})
    writing.write_default_trial(new, 4)
    writing.write_owner(new, owner)
    writing.write_machine(new, machine)
    writing.write_n_repeats(new, 5)
    writing.write_candidates(new, [candidate])
    writing.write_readings(new, [reading])
    writing.write_paper_test(new, [{"test_accuracy": 0.9}])
    found = stored(new)
    assert found.attributes == {
        "config": {"model": "cnn"},
        "default_trial": 4,
        "owner": owner,
        "machine": machine,
        "n_repeats": 5,
        "candidates": [candidate],
        "test_readings": [reading],
        "paper_test": [{"test_accuracy": 0.9}],
    }
    assert (found.default_trial, found.machine, found.n_repeats) == (4, machine, 5)
    assert (found.owner, found.candidates, found.readings) == (owner, [candidate], (reading,))
    assert found.paper_test == [{"test_accuracy": 0.9}]


def test_a_bundle_replaces_the_one_of_its_folder(new: optuna.Study) -> None:
    """The study keeps what its last bundle says, and a few numbers of each."""
    told = {"trial": 1, "confirmed": False, "mean": {}, "written": "2026-01-01T00:00:00+00:00"}
    more = {"model": {}, "seeds": [1], "confusion": {}, "class_names": []}
    for folder, epochs in (("a", 1), ("b", 2), ("a", 3)):
        entry = {**told, "epochs": epochs, "folder": folder}
        summary = {**told, **more, "epochs": epochs, "name": folder}
        writing.write_export(new, {**summary, "curve": LearningCurve(()).to_attribute()}, entry)
    found = stored(new)
    assert found.export is not None
    assert (found.export["name"], found.export["epochs"]) == ("a", 3)
    assert [(one["folder"], one["epochs"]) for one in found.bundles] == [("b", 2), ("a", 3)]
    assert {"export", "bundles"} == set(found.attributes)


def result(curve: LearningCurve, **more: Any) -> dict[str, Any]:
    """Return what a trial of this curve stores."""
    return writing.result_attributes(
        hyperparameters={"depth": 2}, curve=curve, n_parameters=1000, seed=7, seconds=1.23456, **more
    )


def test_what_became_of_a_trial_comes_back(new: optuna.Study) -> None:
    """All of it before its state."""
    curve, rule = scripted_curve(0.88, 0.03, n_epochs=4), ScoreRule()
    scored, trial = rule.scored(curve), new.ask()
    writing.write_run(trial, "a run")
    writing.write_draw(trial, writing.repeat_attributes(1, "default"), split=SplitSpec(n_val=5000, seed=9))
    writing.write_n_reused_epochs(trial, 4)
    writing.write_n_retries(trial, 2)
    told = result(curve, peak_memory_mb=640.06, n_reused_epochs=3)
    writing.write_result(trial, writing.scored_attributes(scored, told, stopped_early=True))
    new.tell(trial, 0.5)
    (found,) = stored(new).trials
    assert set(found.attributes) == {
        *scored, "run", "candidate", "repeat", "split_seed", "n_retries", "n_reused_epochs",
        "hyperparameters", "seed", "seconds", "n_epochs", "n_parameters", "peak_memory_mb", "curve",
        "stopped_early",
    }  # fmt: skip
    assert (found.curve, found.configuration, found.seed) == (curve, {"depth": 2}, 7)
    assert (found.candidate, found.repeat, found.split_seed) == ("default", 1, 9)
    assert (found.n_retries, found.n_reused_epochs, found.n_epochs) == (2, 3, 4)
    assert (found.seconds, found.peak_memory_mb, found.n_parameters) == (1.235, 640.1, 1000)
    assert (found.epoch, found.gap, found.stopped_early) == (scored["epoch"], scored["gap"], True)


def test_a_trial_that_failed_keeps_what_it_came_to(new: optuna.Study) -> None:
    """Without an epoch there is no curve, and what isn't known of it is left out."""
    trial = new.ask()
    told = writing.failed_attributes(result(LearningCurve(())), reason="oom", detail="Traceback")
    writing.write_draw(trial, {})
    writing.write_result(trial, told)
    new.tell(trial, state=TrialState.FAIL)
    (found,) = stored(new).trials
    assert set(found.attributes) == {
        "hyperparameters", "seed", "seconds", "n_epochs", "n_parameters", "fail_reason", "fail_detail",
    }  # fmt: skip
    assert (found.fail_reason, found.n_epochs, found.curve, found.has_own_split) == ("oom", 0, None, False)


def test_a_trial_is_taken_over_with_its_origin(new: optuna.Study) -> None:
    """What its training took comes along; scores and curve are this study's, and cost it nothing."""
    other = empty_study(None)
    add_trial(other, params_of(0), scripted_curve(0.88, 0.03), split_seed=3)
    (source,), curve = stored(other).trials, scripted_curve(0.88, 0.03, n_epochs=4)
    made = writing.taken_trial(
        source,
        "dense",
        value=0.5,
        is_whole=True,
        params={"depth": 2},
        distributions={"depth": IntDistribution(1, 3)},
        reports={0: 0.4, 1: 0.5},
        scored=ScoreRule().scored(curve),
        hyperparameters={"depth": 2},
        curve=curve,
        stopped_early=False,
    )
    writing.write_repeat(made, 2, source)
    new.add_trial(made)
    (found,) = stored(new).trials
    assert found.imported_from == {"study": "dense", "trial": 0}
    assert (found.state, found.value, found.curve, found.params) == ("COMPLETE", 0.5, curve, {"depth": 2})
    assert (found.n_epochs, found.n_reused_epochs, found.stopped_early) == (4, 4, False)
    took = ("seed", "seconds", "n_parameters", "peak_memory_mb", "datetime_start", "datetime_complete")
    assert [getattr(found, name) for name in took] == [getattr(source, name) for name in took]
    assert (found.repeat, found.split_seed) == (2, 3)
