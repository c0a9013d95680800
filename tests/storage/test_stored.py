from __future__ import annotations

from typing import Any

import optuna
import pytest
from made_studies import (
    add_confirmation,
    add_trial,
    empty_study,
    params_of,
    scripted_curve,
    stored,
)
from optuna.trial import TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

TRIAL_DEFAULTS: dict[str, Any] = {
    "configuration": None,
    "seed": None,
    "split_seed": None,
    "has_own_split": False,
    "candidate": None,
    "repeat": None,
    "imported_from": None,
    "curve": None,
    "epoch": None,
    "scores": {},
    "gap": None,
    "n_epochs": None,
    "n_reused_epochs": 0,
    "n_parameters": None,
    "seconds": None,
    "peak_memory_mb": None,
    "stopped_early": False,
    "n_retries": 0,
    "fail_reason": None,
    "fail_words": "no reason was stored",
    "is_ours": False,
}
STUDY_DEFAULTS: dict[str, Any] = {
    "is_ours": False,
    "is_sweep": False,
    "is_confirmation": False,
    "draws_trials": True,
    "is_interrupted": False,
    "owner": {},
    "direction": "minimize",
    "kind": None,
    "read_only": None,
    "config": {},
    "config_digest": None,
    "rule": ScoreRule(penalty=1.0),
    "size_limit": None,
    "allowed_epochs": None,
    "model_path": None,
    "data": {},
    "data_digest": None,
    "versions": {},
    "machine": {},
    "default_trial": None,
    "confirms": None,
    "candidates": None,
    "n_repeats": 0,
    "linked": None,
    "readings": (),
    "export": None,
    "bundles": (),
    "paper_test": None,
    "trials": (),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the storage's methods that are asked for a study's attributes or trials, call by call."""
    asked: list[str] = []

    def listening(name: str) -> None:
        reading = getattr(optuna.storages.InMemoryStorage, name)

        def read(*args: Any, **options: Any) -> Any:
            asked.append(name)
            return reading(*args, **options)

        monkeypatch.setattr(optuna.storages.InMemoryStorage, name, read)

    for name in ("get_study_user_attrs", "get_all_trials"):
        listening(name)
    return asked


def test_a_trial_says_what_its_attributes_hold() -> None:
    """Each under its own name, in the stored form; state and parameters are Optuna's."""
    study, curve = empty_study(None), scripted_curve(0.88, 0.03)
    origin = {"study": "old", "trial": 3}
    more: dict[str, Any] = {
        "n_retries": 1,
        "n_reused_epochs": 2,
        "split_seed": 5,
        "candidate": "trial 3",
        "repeat": 0,
    }
    add_trial(study, params_of(0), curve, **more, imported_from=origin)
    frozen, (trial,) = study.trials[0], stored(study).trials
    attrs = frozen.user_attrs
    assert (trial.number, trial.state) == (0, "COMPLETE")
    assert trial.value == trial.score == frozen.value
    assert (trial.params, trial.distributions) == (frozen.params, frozen.distributions)
    assert (trial.datetime_start, trial.datetime_complete) == (
        frozen.datetime_start,
        frozen.datetime_complete,
    )
    assert trial.curve == curve
    assert trial.hyperparameters == trial.configuration == attrs["hyperparameters"]
    assert trial.scored_after == attrs["epoch"] + 1
    assert trial.scores == {k: attrs[k] for k in attrs if k.startswith(("val_", "train_"))}
    assert len(trial.scores) == 4
    same = ("seed", "epoch", "gap", "n_epochs", "n_parameters", "seconds", "peak_memory_mb", *more)
    assert {name: getattr(trial, name) for name in same} == {name: attrs[name] for name in same}
    assert (trial.imported_from, trial.has_own_split, trial.is_ours) == (origin, True, True)


def test_a_trial_of_another_tool_has_none_of_it() -> None:
    """What another tool told has a value, and what it drew stands for a configuration."""
    study = empty_study(None)
    number = study.ask({"depth": optuna.distributions.IntDistribution(1, 3)}).number
    study.tell(number, 0.5)
    (trial,) = stored(study).trials
    assert {name: getattr(trial, name) for name in TRIAL_DEFAULTS} == TRIAL_DEFAULTS
    assert (trial.state, trial.score) == ("COMPLETE", 0.5)
    assert trial.hyperparameters == trial.params
    with pytest.raises(KeyError):
        _ = trial.scored_after


def test_a_study_of_another_program_has_none_of_it() -> None:
    """It can be looked at all the same."""
    found = stored(optuna.create_study(study_name="foreign"))
    assert {name: getattr(found, name) for name in STUDY_DEFAULTS} == STUDY_DEFAULTS
    assert found.name == "foreign"


def test_a_trial_that_trained_no_epoch_has_no_curve() -> None:
    """Whether nothing is stored or an empty curve."""
    study = empty_study(None)
    add_trial(study, params_of(0), None, state=TrialState.FAIL, fail_reason="oom")
    add_trial(study, params_of(0), LearningCurve(()), state=TrialState.RUNNING)
    assert "curve" in study.trials[1].user_attrs
    assert [t.curve for t in stored(study).trials] == [None, None]
    assert [t.fail_words for t in stored(study).trials] == ["oom", "no reason was stored"]


def test_only_a_complete_trial_has_a_score(study: optuna.Study) -> None:
    """What Optuna gives as a pruned trial's value is its last report."""
    found = stored(study)
    (pruned, *_) = found.in_state("PRUNED")
    assert pruned.value is not None
    assert {t.state for t in found.trials if t.score is not None} == {"COMPLETE"}
    assert {t.state for t in found.trials if not t.is_finished} == {"RUNNING", "WAITING"}


def test_a_trial_of_several_objectives_has_no_value() -> None:
    """Another program may have told it; it is shown without one."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trial(optuna.create_trial(values=[0.5, 3.0]))
    assert [(t.state, t.value) for t in stored(study).trials] == [("COMPLETE", None)]


def test_a_trial_that_has_just_ended_is_as_the_study_holds_it(study: optuna.Study) -> None:
    """The storage isn't asked for it; its split is told beside what was written."""
    frozen = study.trials[0]
    told = StoredTrial.told(
        0, "COMPLETE", frozen.value, frozen.user_attrs, split=SplitSpec(n_val=10_000, seed=9, train_size=None)
    )
    kept = StoredTrial.of(frozen)
    assert (told.number, told.state, told.score, told.configuration) == (
        0,
        "COMPLETE",
        kept.score,
        kept.configuration,
    )
    assert (kept.has_own_split, told.has_own_split, told.split_seed) == (False, True, 9)


def test_a_curve_is_built_when_it_is_asked_for(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and never for whoever asks for anything else."""
    built: list[Any] = []
    building = LearningCurve.from_attribute

    def build(attribute: Any) -> LearningCurve:
        built.append(attribute)
        return building(attribute)

    monkeypatch.setattr(LearningCurve, "from_attribute", build)
    first, *others = stored(study).trials
    assert all(t.is_ours or t.scores is not None or t.n_epochs for t in others)
    assert built == []
    assert first.curve is first.curve
    assert len(built) == 1


def test_a_study_is_read_once(study: optuna.Study, reads: list[str]) -> None:
    """Its attributes at once, its trials with the first of them, whatever is asked for after that."""
    found = stored(study)
    assert reads == ["get_study_user_attrs"]
    for name in STUDY_DEFAULTS.keys() - {"trials", "linked"}:
        getattr(found, name)
    assert reads == ["get_study_user_attrs"]
    assert found.trials is found.trials
    found.in_state("COMPLETE")
    assert reads == ["get_study_user_attrs", "get_all_trials"]


def test_a_study_that_was_looked_at_stays_as_it_was(study: optuna.Study) -> None:
    """Another look sees what was written and what was told since."""
    before = stored(study)
    n = len(before.trials)
    study.set_user_attr("read_only", "for a test")
    add_trial(study, params_of(1), scripted_curve(0.9, 0.01))
    assert (before.read_only, len(before.trials)) == (None, n)
    assert (before.again().read_only, len(before.again().trials)) == ("for a test", n + 1)


def test_a_sweep_and_its_confirmation_know_each_other(study: optuna.Study) -> None:
    """The sweep finds the study that repeats its candidates, which says whose they are."""
    assert stored(study).linked is None
    add_confirmation(study, {"trial 1": [0.9, 0.91], "default": [0.89, 0.9]})
    sweep, linked = stored(study), stored(study).linked
    assert linked is not None
    assert (linked.name, linked.confirms, linked.n_repeats) == (f"{sweep.name}-confirm", sweep.name, 2)
    assert [c["label"] for c in linked.candidates or ()] == ["trial 1", "default"]
    assert (linked.is_confirmation, linked.is_sweep, linked.draws_trials) == (True, False, False)
    assert (sweep.is_confirmation, sweep.is_sweep, sweep.draws_trials) == (False, True, True)


@pytest.mark.parametrize(
    ("score", "penalty"),
    [({}, 1.0), ({"tolerance": 0.02}, 1.0), ({"penalty": 0.5}, 0.5), ({"penalty": 0.0}, 0.0)],
)
def test_stored_settings_keep_the_penalty_that_scored_them(
    study: optuna.Study, score: dict[str, float], penalty: float
) -> None:
    """Settings that name no penalty mean its default when they were written, not that of today."""
    study.set_user_attr("config", {**study.user_attrs["config"], "score": score})
    assert stored(study).rule.penalty == penalty


def test_a_study_in_a_file_reads_as_one_in_memory(sqlite_study: optuna.Study) -> None:
    """What a database gives back is what was stored."""
    found = stored(sqlite_study)
    assert (found.data["n_train"], found.rule, found.default_trial) == (60_000, ScoreRule(penalty=1.0), 0)
    assert found.trials[0] == StoredTrial.of(sqlite_study.trials[0])
    assert hash(found.trials[0]) == hash(StoredTrial.of(sqlite_study.trials[0]))
    assert isinstance(found, StoredStudy)


def test_a_finished_trial_is_looked_at_once(sqlite_study: optuna.Study) -> None:
    """It never changes: another look finds what was made of it. A running one is looked at anew."""
    first, second = (StoredStudy.of(sqlite_study) for _ in range(2))
    same = {a.number for a, b in zip(first.trials, second.trials, strict=True) if a is b}
    assert same == {t.number for t in first.trials if t.is_finished}
    assert len(same) < len(first.trials)
    fresh = optuna.load_study(study_name=sqlite_study.study_name, storage=sqlite_study._storage)
    assert StoredStudy.of(fresh).trials[0] is first.trials[0]
