"""Trials of another study: which are taken, and that they are what the study itself would have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from made_studies import stored
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.analysis.ranking import default_trial
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import StudyMismatchError, TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.models.spaces import dense_n_parameters
from fmnist_sweep.search.import_trials import Imported, import_trials, require_importable
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.studies import load_study
from fmnist_sweep.training.testing import FakeTrainer

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2},
    "depth": {"low": 1, "high": 2},
    "activation": {"choices": ["relu", "tanh"]},
    "epochs": {"low": 2, "high": 6},
}
UNCOPIED = {"imported_from", "n_reused_epochs", "run", "seconds", "stopped_early"}


def rising_then_overfitting(job: TrialJob) -> LearningCurve:
    """A curve whose best epoch depends on the configuration and on the score."""
    rate = float(job.hyperparameters["learning_rate"])
    val = [0.5 + rate * 10, 0.6, 0.7 + rate, 0.71, 0.69, 0.72 - rate][: job.epochs]
    return LearningCurve.from_scores(train=[v + 0.02 * e for e, v in enumerate(val)], val=val)


@pytest.fixture
def imported(
    make_config: MakeConfig, sweep: Sweep, data: DataRef, memory: InMemoryStorage
) -> Callable[..., tuple[optuna.Study, optuna.Study, Imported]]:
    """Run a study and import it into a new one: ``imported(old, new)``, each the sections of a sweep."""

    def run(
        old: dict[str, Any], new: dict[str, Any], curves: Any = rising_then_overfitting
    ) -> tuple[optuna.Study, optuna.Study, Imported]:
        random = {"name": "random", "enqueue_default": False}
        shared = {"space": SPACE, "sampler": random, "budget": {"trials": 8}}
        _, source = sweep(make_config(**{**shared, "study": "old", **old}), curves)
        config = make_config(**{**shared, "study": "new", **new})
        require_importable(source, config, data)
        study = open_study(config, data, memory)
        return source, study, import_trials(source, study, config)

    return run


def test_an_imported_default_is_the_default(imported: Any) -> None:
    """The new study may hold all the trials that it was asked for before its own default is run."""
    sampler = {"name": "random", "enqueue_default": True}
    source, study, _ = imported({"sampler": sampler}, {"sampler": sampler, "score": {"penalty": 2.0}})
    found = default_trial(stored(study))
    assert found is not None
    assert found.imported_from == {"study": "old", "trial": 0}
    assert found.configuration == source.trials[0].user_attrs["hyperparameters"]


def without_origin(trial: FrozenTrial) -> tuple[Any, ...]:
    """Return what a trial found, less its number and what tells how it came here."""
    attrs = {k: v for k, v in trial.user_attrs.items() if k not in UNCOPIED}
    return (
        trial.state,
        trial.value,
        trial.params,
        trial.distributions,
        trial.intermediate_values,
        attrs,
        trial.user_attrs.get("stopped_early", False),
    )


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"score": {"penalty": 5.0, "tolerance": 0.0}},
        {"score": {"metric": "cross_entropy"}},
        {"score": {"min_val_accuracy": 0.705}},
        {"space": {**SPACE, "epochs": {"low": 3, "high": 4}}},
        {"space": {**SPACE, "epochs": 6}},
        {"space": {**SPACE, "learning_rate": {"low": 1e-5, "high": 1e-1}, "depth": {"low": 1, "high": 4}}},
        {"training": {"patience": 1}},
        {"training": {"batch_size": 64}},
    ],
    ids=str,
)
def test_an_imported_trial_is_what_training_it_here_would_give(
    *,
    imported: Any,
    make_config: MakeConfig,
    sweep: Sweep,
    data: DataRef,
    memory: InMemoryStorage,
    new: dict[str, Any],
) -> None:
    """Value, scored epoch, curve, parameters and their distributions, whatever changed."""
    source, study, came_of_it = imported({}, new)
    assert (came_of_it.n_taken, dict(came_of_it.left_out)) == (8, {})
    random = {"name": "random", "enqueue_default": False}
    there = make_config(
        **{"space": SPACE, "sampler": random, "study": "trained", "budget": {"trials": 8}, **new}
    )
    for trial in source.trials:
        open_study(there, data, memory).enqueue_trial(trial.params)
    _, trained = sweep(there, rising_then_overfitting)
    assert list(map(without_origin, study.trials)) == list(map(without_origin, trained.trials))
    for trial, origin in zip(study.trials, source.trials, strict=True):
        assert trial.user_attrs["imported_from"] == {"study": "old", "trial": origin.number}
        assert (trial.datetime_start, trial.datetime_complete) == (
            origin.datetime_start,
            origin.datetime_complete,
        )


def test_importing_again_adds_nothing(imported: Any, make_config: MakeConfig) -> None:
    """Each configuration is taken once, also where the old study holds it twice."""
    finite = {"activation": {"choices": ["relu", "tanh"]}, "epochs": 4}
    source, study, came_of_it = imported({"space": finite}, {"space": finite})
    n_different = len({str(trial.params) for trial in source.trials})
    assert came_of_it.n_taken == len(study.trials) == n_different
    config = make_config(study="new", space=finite)
    again = import_trials(source, study, config)
    assert (again.n_taken, str(again)) == (
        0,
        f"0 trials imported; left out: {len(source.trials)} equal to one that is here",
    )
    assert len(study.trials) == n_different


def test_what_does_not_fit_is_left_out_and_counted(imported: Any) -> None:
    """A point outside the new space stays where it is; the counts add up and name their reasons."""
    narrow = {**SPACE, "activation": "relu"}
    source, study, came_of_it = imported({}, {"space": narrow})
    relu = [trial for trial in source.trials if trial.params["activation"] == "relu"]
    assert came_of_it.n_taken == len(relu)
    assert came_of_it.left_out == {"outside the space": 8 - len(relu)}
    assert all("activation" not in trial.params for trial in study.trials)
    assert all(trial.user_attrs["hyperparameters"]["activation"] == "relu" for trial in study.trials)


def test_what_is_off_by_default_may_be_named_or_not(imported: Any) -> None:
    """A study from before the model learned a parameter, and one that searches it, hold trials in common."""
    named = {**SPACE, "label_smoothing": {"low": 0.0, "high": 0.1}, "flip": {}, "schedule": "constant"}
    source, study, came_of_it = imported({}, {"space": named})
    assert came_of_it.n_taken == 8
    off = {"label_smoothing": 0.0, "flip": False, "schedule": "constant"}
    for trial, origin in zip(study.trials, source.trials, strict=True):
        assert trial.user_attrs["hyperparameters"] == {**origin.user_attrs["hyperparameters"], **off}
        assert trial.params == {**origin.params, "label_smoothing": 0.0, "flip": False}


def test_what_is_on_has_to_be_named(imported: Any) -> None:
    """A space without it is no space of those trials; where it is off they are taken."""
    named = {**SPACE, "flip": {"choices": [False, True]}}
    source, study, came_of_it = imported({"space": named}, {})
    n_flipped = sum(trial.params["flip"] for trial in source.trials)
    assert came_of_it.left_out == {"outside the space": n_flipped}
    assert 0 < n_flipped < 8 == n_flipped + len(study.trials)
    _, _, came_of_it = imported({"study": "plain"}, {"study": "strict", "space": {**SPACE, "flip": True}})
    assert came_of_it.n_taken == 0


class Weighing(FakeTrainer):
    """Tells how many weights the dense net would have."""

    @override
    def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
        n_parameters = dense_n_parameters(job.hyperparameters, (28, 28, 1), 10)
        for told in super().fit(job):
            yield replace(told, n_parameters=n_parameters) if isinstance(told, Started) else told


def test_a_trial_of_too_many_weights_is_left_out(imported: Any) -> None:
    """The new study would not have trained it; at the limit it would."""
    one_layer = dense_n_parameters({"depth": 1}, (28, 28, 1), 10)
    source, study, came_of_it = imported({}, {"max_model_size": one_layer}, Weighing(rising_then_overfitting))
    n_deep = sum(trial.params["depth"] == 2 for trial in source.trials)
    assert came_of_it.left_out == {"larger than max_model_size": n_deep}
    assert [trial.params["depth"] for trial in study.trials] == [1] * (8 - n_deep)
    assert 0 < n_deep < 8


def test_failed_and_unfinished_trials_stay(
    sweep: Sweep, make_config: MakeConfig, data: DataRef, memory: InMemoryStorage
) -> None:
    """There is no result to take, nor is there in what another tool told."""

    def curves(job: TrialJob) -> LearningCurve:
        if job.trial == 1:
            raise TrialError("no")
        return rising_then_overfitting(job)

    random = {"name": "random", "enqueue_default": False}
    _, source = sweep(make_config(study="old", sampler=random, budget={"trials": 3}), curves)
    source.ask()
    source.tell(source.ask(), 0.5)
    config = make_config(study="new", sampler=random)
    came_of_it = import_trials(source, open_study(config, data, memory), config)
    assert came_of_it.n_taken == 2
    assert came_of_it.left_out == {"failed": 1, "not finished": 1, "not run by fmnist-sweep": 1}


def test_a_curve_that_is_too_short_is_left_out(imported: Any) -> None:
    """A study of more epochs would have trained on; so would one of more patience."""
    longer = {**SPACE, "epochs": {"low": 2, "high": 7}}
    _, study, came_of_it = imported({}, {"space": longer})
    assert study.trials == []
    assert came_of_it.left_out == {"trained for too few epochs": 8}


def test_a_trial_that_patience_ended_is_taken_by_a_study_of_as_much_patience(
    imported: Any, make_config: MakeConfig, data: DataRef, memory: InMemoryStorage
) -> None:
    """Where the same epoch would have been the last it is complete; a study without patience goes on."""
    source, study, came_of_it = imported({"training": {"patience": 1}}, {"training": {"patience": 1}})
    assert came_of_it.n_taken == 8
    assert any(trial.user_attrs["stopped_early"] for trial in study.trials)
    assert [without_origin(t) for t in study.trials] == [without_origin(t) for t in source.trials]
    none = make_config(study="patient", space=SPACE)
    left_out = import_trials(source, open_study(none, data, memory), none).left_out
    stopped = sum(trial.user_attrs.get("stopped_early", False) for trial in source.trials)
    assert left_out["trained for too few epochs"] == stopped > 0


def test_a_pruned_trial_stays_pruned(imported: Any, curve: Callable[..., LearningCurve]) -> None:
    """Its value is its last report under the new rule; where it has all epochs it is complete."""

    def by_number(job: TrialJob) -> LearningCurve:
        val = (0.3, 0.2, 0.1, 0.0, 0.0, 0.0) if job.trial == 3 else (0.5, 0.6, 0.7, 0.8, 0.8, 0.8)
        return curve(*val, train=[v + 0.1 for v in val])

    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1}
    source, study, _ = imported({"pruner": pruner}, {"score": {"penalty": 0.0}}, by_number)
    assert source.trials[3].state is study.trials[3].state is TrialState.PRUNED
    assert study.trials[3].intermediate_values == {0: 0.3, 1: 0.2}
    assert study.trials[3].value == 0.2
    assert study.best_trial.number != 3


def test_a_pruned_trial_with_all_epochs_is_complete(
    imported: Any, curve: Callable[..., LearningCurve]
) -> None:
    """A study of fewer epochs would not have stopped it."""

    def by_number(job: TrialJob) -> LearningCurve:
        return curve(*((0.1,) * 6 if job.trial == 3 else (0.5,) * 6))

    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1}
    source, study, _ = imported({"pruner": pruner}, {"space": {**SPACE, "epochs": 2}}, by_number)
    assert source.trials[3].state is TrialState.PRUNED
    assert study.trials[3].state is TrialState.COMPLETE
    assert study.trials[3].user_attrs["n_epochs"] == 2


def test_sampled_epochs_are_the_most_that_are_allowed(imported: Any) -> None:
    """Between the rules "best" and "last" a curve stands for the longest run that it holds."""
    last = {"score": {"epoch_rule": "last"}, "space": {**SPACE, "epochs": {"low": 2, "high": 5}}}
    _, study, came_of_it = imported({}, last)
    assert came_of_it.n_taken == 8
    for trial in study.trials:
        attrs = trial.user_attrs
        assert trial.params["epochs"] == attrs["n_epochs"] == attrs["epoch"] + 1 == 5


def test_imported_trials_count_and_are_not_trained_again(
    imported: Any, make_config: MakeConfig, sweep: Sweep
) -> None:
    """The budget of trials counts them, the budget of epochs does not; an equal draw is answered."""
    _, study, _ = imported({}, {})
    jobs: list[TrialJob] = []

    def curves(job: TrialJob) -> LearningCurve:
        jobs.append(job)
        return rising_then_overfitting(job)

    shared = {"study": "new", "space": SPACE, "sampler": {"name": "tpe", "enqueue_default": False}}
    study.enqueue_trial(study.trials[0].params)
    stop, study = sweep(make_config(**shared, budget={"trials": 10, "epochs": 100}), curves)
    assert stop is Stop.TRIALS
    assert len(study.trials) == 10
    assert [job.trial for job in jobs] == [9]
    stop, study = sweep(make_config(**shared, budget={"trials": 50, "epochs": 6}), curves)
    assert stop is Stop.EPOCHS
    assert len(study.trials) == 10


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"model": "cnn", "space": {"epochs": 4}}, "model: the study has 'dense', now 'cnn'"),
        ({"training": {"seed": 7}}, "training.seed: the study has 0, now 7"),
        ({"training": {"n_probe": 7}}, "training.n_probe: the study has 10000, now 7"),
        ({"training": {"split_seed": 7}}, "training.split_seed: the study has None, now 7"),
    ],
)
def test_a_study_of_other_curves_is_refused_with_the_differences(
    make_config: MakeConfig, sweep: Sweep, data: DataRef, sections: dict[str, Any], line: str
) -> None:
    """Where no trial can be taken, the reason is told before a study is made."""
    _, source = sweep(make_config(budget={"trials": 1}))
    with pytest.raises(StudyMismatchError) as caught:
        require_importable(source, make_config(study="new", **sections), data)
    assert f"  {line}" in str(caught.value).splitlines()


def test_other_sources_are_refused(
    make_config: MakeConfig, sweep: Sweep, data: DataRef, memory: InMemoryStorage
) -> None:
    """The study itself, other images, and what another tool made."""
    _, source = sweep(make_config(budget={"trials": 1}))
    with pytest.raises(StudyMismatchError, match="can't be imported into itself"):
        require_importable(source, make_config(), data)
    with pytest.raises(StudyMismatchError, match="data: the study has content da7ada7ada7a, now 0123"):
        require_importable(source, make_config(study="new"), replace(data, digest="0123456789abcdef"))
    optuna.create_study(storage=memory, study_name="other")
    with pytest.raises(StudyMismatchError, match="was not made by fmnist-sweep"):
        require_importable(load_study(memory, "other"), make_config(), data)
