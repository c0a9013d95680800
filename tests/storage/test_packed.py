"""Finished trials as a long run keeps them: in little room, and with the same answers."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from fmnist_sweep.storage.bulk_reads import BulkStorage
from fmnist_sweep.storage.held import holding
from fmnist_sweep.storage.packed import PackedTrial

MAX_BYTES = 2000
"""What a finished trial of ten epochs may take; whole it takes some 4,000."""


@pytest.fixture
def whole() -> FrozenTrial:
    """A trial with all that one can have, and what JSON has no standard for."""
    return create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        params={"rate": 0.01},
        distributions={"rate": optuna.distributions.FloatDistribution(0.001, 1, log=True)},
        user_attrs={"curve": {"val": [0.1, float("inf"), -0.25]}, "text": "µ\ud800", "none": None},
        system_attrs={"completed_rung_0": 0.1},
        intermediate_values={0: 0.1, 2: float("-inf"), 7: 1 / 3},
    )


@pytest.fixture
def packed(whole: FrozenTrial) -> PackedTrial:
    """The same, packed."""
    return PackedTrial.of(whole, whole.distributions)


def is_packed(trial: FrozenTrial) -> bool:
    """Return whether nothing of a trial was unpacked yet."""
    return isinstance(trial, PackedTrial) and "_user_attrs" not in vars(trial)


def test_a_packed_trial_answers_as_the_whole_one(whole: FrozenTrial, packed: PackedTrial) -> None:
    assert packed == whole
    assert whole == packed
    assert packed == PackedTrial.of(whole, whole.distributions)
    assert packed != create_trial(value=1.0)
    assert packed.user_attrs == whole.user_attrs
    assert packed.system_attrs == whole.system_attrs
    assert list(packed.intermediate_values.items()) == list(whole.intermediate_values.items())
    assert packed.last_step == 7
    assert repr(packed) == repr(whole)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = packed.other


def through_pickle(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial as another process gets it."""
    found: FrozenTrial = pickle.loads(pickle.dumps(trial))  # noqa: S301 - our own
    return found


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle])
def test_a_copy_is_whole_and_its_own(
    copied: Callable[[FrozenTrial], FrozenTrial], whole: FrozenTrial, packed: PackedTrial
) -> None:
    one = copied(packed)
    assert type(one) is FrozenTrial
    assert one == whole
    one.user_attrs["new"] = one.params["new"] = 1
    one.distributions.clear()
    assert is_packed(packed)
    assert packed == whole


def test_a_deep_copy_of_what_was_read_is_its_own(packed: PackedTrial) -> None:
    packed.user_attrs["curve"]["val"].append(1.0)
    one = copy.deepcopy(packed)
    one.user_attrs["curve"]["val"].append(2.0)
    assert packed.user_attrs["curve"]["val"][3:] == [1.0]


def train(study: optuna.Study, n: int) -> None:
    """Run trials as a sweep does, ten epochs each."""
    for _ in range(n):
        trial = study.ask()
        value = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_int("units", 1000, 2000)
        trial.suggest_categorical("activation", ["relu", "tanh"])
        for step in range(10):
            trial.report(value + step / 3, step)
        names = ("train_accuracy", "train_cross_entropy", "val_accuracy", "val_cross_entropy", "seconds")
        trial.set_user_attr("curve", {name: [round(value + i / 7, 6) for i in range(10)] for name in names})
        study.tell(trial, value)


def test_a_finished_trial_takes_little_room(storage: BulkStorage) -> None:
    """The memory of a run must not grow with the curves of its trials."""
    study = optuna.create_study(study_name="one", storage=storage, sampler=optuna.samplers.RandomSampler(1))
    with holding(study):
        train(study, 10)
        tracemalloc.start()
        try:
            train(study, 10)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            train(study, 50)
            gc.collect()
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        trials = study.get_trials(deepcopy=False)
        assert all(map(is_packed, trials))
        assert len({id(trial.distributions) for trial in trials}) == 1
        assert (after - before) / 50 < MAX_BYTES
        # Copies, as a user's callback has them, leave it so.
        assert all(len(trial.user_attrs["curve"]["seconds"]) == 10 for trial in study.trials)
        assert all(map(is_packed, trials))


@pytest.mark.parametrize("pruner", [MedianPruner(n_startup_trials=2), SuccessiveHalvingPruner()])
def test_pruners_see_what_finished_trials_reported(storage: BulkStorage, pruner: BasePruner) -> None:
    """Decision by decision as over a storage that packs nothing."""
    told: list[list[bool]] = []
    for name in ("ours", "theirs"):
        study = optuna.create_study(study_name=name, storage=storage, pruner=pruner, direction="maximize")

        def run(study: optuna.Study = study) -> list[bool]:
            found = []
            for n in range(8):
                trial = study.ask()
                for step in range(5):
                    trial.report((n * 5 % 7) / 7 + step / 10, step)
                    found.append(trial.should_prune())
                study.tell(trial, 0.5)
            return found

        if name == "theirs":
            told.append(run())
            continue
        with holding(study):
            told.append(run())
    assert told[0] == told[1]
    assert True in told[0]
