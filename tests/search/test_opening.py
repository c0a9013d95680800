from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import StudyMismatchError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.search.run import Sweep
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study
from fmnist_sweep.training.testing import FakeTrainer

MakeConfig = Callable[..., SweepConfig]


def test_a_new_study_says_where_it_comes_from(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """Config, digests, data, versions and the allowed epochs are stored before the first trial."""
    config = make_config(space={"depth": {}, "epochs": {"low": 2, "high": 4}})
    study = open_study(config, data, storage)
    attrs = load_study(storage, "tiny").user_attrs
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert attrs["config"] == config.to_dict()
    assert attrs["config_digest"] == config.digest
    assert attrs["data_digest"] == data.digest
    assert attrs["data"] == {
        "name": "tiny",
        "input_shape": [2, 2, 1],
        "class_names": ["a", "b"],
        "n_train": 60_000,
    }
    assert attrs["model_path"] == "fmnist_sweep.models:DenseModel"
    assert attrs["allowed_epochs"] == [1, 2, 3]
    assert attrs["versions"]["optuna"] == optuna.__version__
    assert set(attrs["versions"]) >= {"tensorflow", "keras", "keras-tuner", "numpy", "fmnist-sweep"}


def test_under_the_rule_last_every_epoch_is_allowed(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """The list of allowed epochs is for the rule "best" alone."""
    config = make_config(score={"epoch_rule": "last"}, space={"depth": {}, "epochs": {"low": 2, "high": 4}})
    assert open_study(config, data, storage).user_attrs["allowed_epochs"] is None


def test_the_default_configuration_waits_first(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """Trial 0 is the hand-tuned baseline, unless the sweep file says otherwise."""
    study = open_study(make_config(space={"depth": {}, "units_2": {}, "epochs": 3}), data, storage)
    assert study.user_attrs["default_trial"] == 0
    assert [t.state for t in study.trials] == [TrialState.WAITING]
    assert study.trials[0].system_attrs["fixed_params"] == {"depth": 2, "units_2": 200}
    without = make_config(study="without", sampler={"enqueue_default": False})
    study = open_study(without, data, storage)
    assert "default_trial" not in study.user_attrs
    assert study.trials == []


def test_opening_again_adds_nothing(make_config: MakeConfig, data: DataRef, storage: RDBStorage) -> None:
    """A study that is opened again keeps its one default trial and its settings."""
    first = open_study(make_config(), data, storage)
    again = open_study(make_config(), data, storage)
    assert again._study_id == first._study_id
    assert len(again.trials) == 1


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize(
    ("sections", "line"),
    [
        (
            {"space": {"depth": {}, "epochs": 3}},
            "space.epochs.value: the study has 4, now 3",
        ),
        ({"score": {"penalty": 2.0}}, "score.penalty: the study has 0.0, now 2.0"),
        ({"training": {"seed": 7}}, "training.seed: the study has 0, now 7"),
        ({"training": {"n_val": 100}}, "training.n_val: the study has 5000, now 100"),
        ({"training": {"split_seed": 7}}, "training.split_seed: the study has None, now 7"),
        ({"model": "cnn", "space": {"epochs": 4}}, "model: the study has 'dense', now 'cnn'"),
        ({"data": "package.module:load"}, "data: the study has 'fashion-mnist', now 'package.module:load'"),
    ],
)
def test_a_study_of_other_settings_is_refused_with_the_differences(
    make_config: MakeConfig,
    data: DataRef,
    storage: RDBStorage,
    sections: dict[str, Any],
    line: str,
) -> None:
    """Trials that can't be compared never share a study; the message lists what differs and how to go on."""
    open_study(make_config(), data, storage)
    before = dict(load_study(storage, "tiny").user_attrs)
    with pytest.raises(StudyMismatchError) as caught:
        open_study(make_config(**sections), data, storage)
    said = str(caught.value).splitlines()
    assert said[0] == "study 'tiny' exists with other settings:"
    assert f"  {line}" in said
    mend = ["Choose another name with --study, or put the settings back."]
    if sections.keys() <= {"space", "score"}:
        mend.append("Or bring its trials over to a new study: --study NEW --import-from tiny")
    assert said[-len(mend) :] == mend
    assert load_study(storage, "tiny").user_attrs == before


def test_a_fit_of_one_call_is_measured_on_as_many_rows_as_validate(
    make_config: MakeConfig, data: DataRef
) -> None:
    """Unless the file says on how many; compiled steps keep their 10,000, and studies their digest."""
    plain, named = make_config(), make_config(training={"n_probe": 10_000})
    assert plain.n_probe == 10_000
    assert plain.to_dict() == named.to_dict()
    calls = [
        replace(plain, data=replace(data, form="call")),
        replace(plain, model_space=replace(plain.model_space, metrics=("loss",))),
        make_config(score={"metric": "mae"}),
    ]
    for config in calls:
        assert config.n_probe is None
        assert "n_probe" not in config.to_dict()["training"]
    assert replace(named, data=calls[0].data).n_probe == 10_000


def test_a_study_goes_on_with_the_probe_that_it_was_made_with(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """One that began with 10,000 rows for each fit keeps them, and says it: no study mixes two probes."""
    call, said = replace(data, form="call"), list[str]()
    config = replace(make_config(), data=call)
    open_study(replace(make_config(training={"n_probe": 10_000}), data=call), call, storage)
    sweep = Sweep(config, say=said.append)
    sweep.open(call, storage)
    assert (sweep.config.n_probe, config.n_probe) == (10_000, None)
    assert said == ["Note: study 'tiny' goes on with training.n_probe = 10000, as it began."]
    fresh = Sweep(replace(config, file=config.file.model_copy(update={"study": "new"})), say=said.append)
    fresh.open(call, storage)
    fresh.open(call, storage)
    assert (fresh.config.n_probe, len(said)) == (None, 1)
    explicit = make_config(study="new", training={"n_probe": 10_000})
    with pytest.raises(StudyMismatchError, match=r"training\.n_probe: the study has 'nothing', now 10000"):
        Sweep(replace(explicit, data=call)).open(call, storage)
    with pytest.raises(StudyMismatchError, match=r"training\.n_probe: the study has 10000, now 'nothing'"):
        Sweep(fresh.config, import_from="tiny").open(call, storage)


def test_a_study_of_the_earlier_default_is_told_how_it_goes_on(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """A study keeps the penalty that it was scored with, and a file that names none is told of it."""
    open_study(make_config(score={"penalty": 1.0}), data, storage)
    with pytest.raises(StudyMismatchError, match=r"--set score\.penalty=1, or in the sweep file, it goes on"):
        open_study(make_config(), data, storage)
    assert open_study(make_config(score={"penalty": 1}), data, storage).study_name == "tiny"


def test_how_a_study_chooses_may_be_said_anew_at_any_time(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """It decides nothing of a trial; a file that says nothing leaves it as it is, also in an old study."""

    def within(**score: float) -> float:
        opened = open_study(make_config(score={"penalty": 0.0, **score}), data, storage)
        return StoredStudy.of(opened).rule.within_se

    assert within() == 0.25
    assert [within(within_se=1.0), within(), within(within_se=0), within()] == [1.0, 1.0, 0.0, 0.0]
    digest = StoredStudy.of(load_study(storage, "tiny")).config_digest
    assert digest == make_config(score={"penalty": 0.0, "within_se": 3.0}).digest


def test_other_data_under_the_same_name_are_refused(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """The content counts, not the name of the data set."""
    open_study(make_config(), data, storage)
    with pytest.raises(StudyMismatchError, match="data: the study has content da7ada7ada7a, now 0123456789"):
        open_study(make_config(), replace(data, digest="0123456789abcdef"), storage)


def test_where_the_data_lie_does_not_matter(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """The same content in another folder goes on with the study."""
    open_study(make_config(), data, storage)
    open_study(make_config(), replace(data, directory="/elsewhere"), storage)


def test_a_study_of_another_tool_is_refused(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """A study that a sweep did not make is left alone."""
    other = optuna.create_study(storage=storage, study_name="tiny", direction="maximize")
    other.tell(other.ask(), 1.0)
    with pytest.raises(StudyMismatchError, match="study 'tiny' was not made by fmnist-sweep"):
        open_study(make_config(), data, storage)
    assert load_study(storage, "tiny").user_attrs == {}


def test_sampler_pruner_and_budget_may_change(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage
) -> None:
    """They decide which trials come next, not what a trial gives; the stored config follows them."""
    open_study(make_config(), data, storage)
    changed = make_config(
        sampler={"name": "random", "seed": 9}, pruner={"name": "hyperband"}, budget={"trials": 99}
    )
    study = open_study(changed, data, storage)
    Search.of(changed, data, study, InlineEngine(FakeTrainer({})))
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    assert load_study(storage, "tiny").user_attrs["config"] == changed.to_dict()


@pytest.mark.parametrize("n_steps", range(11))
def test_a_study_whose_maker_was_killed_is_made_whole(
    make_config: MakeConfig, data: DataRef, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    """Whichever step of making it was the last, the next run finds no half study, and one first trial."""
    done = 0

    def stop_after(original: Any) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            if done == n_steps:
                raise KeyboardInterrupt
            done += 1
            return original(*args, **kwargs)

        return step

    with monkeypatch.context() as killed:
        for name in ("set_user_attr", "set_metric_names", "enqueue_trial"):
            killed.setattr(optuna.Study, name, stop_after(getattr(optuna.Study, name)))
        with pytest.raises(KeyboardInterrupt):
            open_study(make_config(), data, storage)
    study = open_study(make_config(), data, storage)
    assert study.user_attrs["config_digest"] == make_config().digest
    assert study.user_attrs["default_trial"] == 0
    assert len(study.trials) == 1
    assert study.metric_names == ["score"]
