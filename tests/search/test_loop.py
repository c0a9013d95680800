from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from typing_extensions import override

from fmnist_sweep.analysis.frames import trials_frame
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import CheckpointSkipped, EpochDone, Failed, Finished, Returned, Started
from fmnist_sweep.core.jobs import TrialJob, job_identity
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.progress import MAX_FAILURES_IN_A_ROW, Progress, Stop
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search import limits
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.search.plan import SweepPlan, TrialDraw
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.training.checkpoint import Checkpoint, CheckpointFile
from fmnist_sweep.training.testing import FakeTrainer, ScriptedTrainer, scripted_curve

MakeConfig = Callable[..., SweepConfig]
MakeCurve = Callable[..., LearningCurve]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

SPACE: dict[str, Any] = {
    "activation": {"choices": ["relu", "tanh"]},
    "depth": {"low": 1, "high": 2},
    "units_2": {},
    "epochs": 4,
}
TWO_POINTS: dict[str, Any] = {"activation": {"choices": ["relu", "tanh"]}, "epochs": 4}
NO_DEFAULT: dict[str, Any] = {"name": "random", "enqueue_default": False}


class Counting:
    """A scripted trainer that keeps the jobs that were really trained."""

    def __init__(self, curves: Callable[[TrialJob], LearningCurve] | None = None) -> None:
        self.jobs: list[TrialJob] = []
        self._trainer = ScriptedTrainer() if curves is None else FakeTrainer(curves)

    def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
        """Train from the script."""
        self.jobs.append(job)
        return iter(self._trainer.fit(job))


def states(study: optuna.Study) -> list[str]:
    """Return the states of all trials by number."""
    return [trial.state.name for trial in study.trials]


def found(study: optuna.Study) -> list[tuple[Any, ...]]:
    """What a sweep found, without the times and which run it was."""
    timed = {"seconds", "run"}
    return [
        (
            t.number,
            t.state,
            t.params,
            t.value,
            t.intermediate_values,
            {k: v for k, v in t.user_attrs.items() if k not in timed},
        )
        for t in study.trials
    ]


# --- what is stored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["accuracy", "cross_entropy"])
def test_a_trial_holds_all_that_the_reports_read(
    make_config: MakeConfig, sweep: Sweep, storage: optuna.storages.RDBStorage, metric: str
) -> None:
    """Scores of the scored epoch, counts, times and the whole curve, read back from SQLite."""
    config = make_config(budget={"trials": 3}, score={"metric": metric, "tolerance": 0.001})
    _, study = sweep(config, storage=storage)
    rule = ScoreRule(**study.user_attrs["config"]["score"])
    for trial in study.trials:
        attrs = trial.user_attrs
        curve = LearningCurve.from_attribute(attrs["curve"])
        epoch = rule.scored_epoch(curve, allowed=study.user_attrs["allowed_epochs"])
        scored = curve.epochs[epoch]
        assert trial.value == rule.scores(curve)[epoch]
        assert trial.intermediate_values == dict(enumerate(rule.scores(curve).tolist()))
        assert {k: attrs[k] for k in ("epoch", "n_epochs", "n_parameters", "seed")} == {
            "epoch": epoch, "n_epochs": 4, "n_parameters": 1000, "seed": 0,
        }  # fmt: skip
        for name in ("val_accuracy", "train_accuracy", "val_cross_entropy", "train_cross_entropy"):
            assert attrs[name] == scored.by_name()[name]
        assert attrs["gap"] == pytest.approx(rule.gaps(curve)[epoch], abs=1e-6)
        assert attrs["seconds"] >= 0
        assert attrs["hyperparameters"].items() >= trial.params.items()
        assert config.sampled_space.contains(attrs["hyperparameters"])
        assert "epochs" not in attrs["hyperparameters"]


def test_a_trial_keeps_what_its_fit_returned(
    make_config: MakeConfig, sweep: Sweep, workers: Any, curve: MakeCurve
) -> None:
    """Beside its scores, and in a column of its table."""
    engine = workers(FakeTrainer(lambda _: curve(0.5, 0.6, 0.7, 0.8)), 1)
    events = engine.events

    def returning(timeout_s: float) -> list[Any]:
        return [
            more
            for event in events(timeout_s)
            for more in (
                [Returned(event.trial, {"gain": 2.5}), event] if isinstance(event, Finished) else [event]
            )
        ]

    engine.events = returning
    _, study = sweep(make_config(budget={"trials": 1}), engine=engine)
    stored = StoredStudy.of(study)
    assert stored.trials[0].returned == {"gain": 2.5}
    assert trials_frame(stored)["returned_gain"].tolist() == [2.5]


def test_a_trial_keeps_its_largest_resident_size(
    make_config: MakeConfig, sweep: Sweep, workers: Any, curve: MakeCurve
) -> None:
    """As its last epoch told it, also where it then fails; without a process of its own it has none."""
    engine = workers(FakeTrainer(lambda _: curve(0.5, 0.6, 0.7, 0.8), fail_at={1: 2}), 1)
    events = engine.events

    def measured(timeout_s: float) -> list[Any]:
        return [
            replace(e, peak_memory_mb=100.26 + e.scores.epoch) if isinstance(e, EpochDone) else e
            for e in events(timeout_s)
        ]

    engine.events = measured
    _, study = sweep(make_config(budget={"trials": 2}), engine=engine)
    assert states(study) == ["COMPLETE", "FAIL"]
    assert [trial.user_attrs["peak_memory_mb"] for trial in study.trials] == [103.3, 101.3]
    _, study = sweep(make_config(study="inline", budget={"trials": 1}))
    assert "peak_memory_mb" not in study.trials[0].user_attrs


def test_what_is_stored_is_plain_python(make_config: MakeConfig, sweep: Sweep) -> None:
    """NumPy's numbers work in memory and fail on SQLite, so none may get that far."""

    def plain(value: Any) -> bool:
        if type(value) is dict:
            return all(type(k) is str and plain(v) for k, v in value.items())
        if type(value) is list:
            return all(map(plain, value))
        return value is None or type(value) in (bool, int, float, str)

    _, study = sweep(make_config(), Counting())
    for trial in study.trials:
        assert {k for k, v in trial.user_attrs.items() if not plain(v)} == set()
        assert type(trial.value) is float
        json.dumps(trial.user_attrs)


def test_a_job_names_all_that_decides_it(make_config: MakeConfig, sweep: Sweep) -> None:
    """Model, split, probe, seed and batch size of the sweep file reach the job."""
    trainer = Counting()
    config = make_config(
        training={
            "seed": 7, "batch_size": 64, "n_val": 11, "split_seed": 5, "train_size": 22, "n_probe": 33,
        },
        budget={"trials": 1},
    )  # fmt: skip
    sweep(config, trainer)
    (job,) = trainer.jobs
    assert (job.trial, job.model, job.epochs, job.seed) == (0, "fmnist_sweep.models:DenseModel", 4, 7)
    assert (job.split.n_val, job.split.seed, job.split.train_size) == (11, 5, 22)
    assert (job.n_probe, job.batch_size, job.data.name) == (33, 64, "tiny")


def test_the_default_configuration_is_trial_0(make_config: MakeConfig, sweep: Sweep) -> None:
    """The first trial trains the model's own defaults: the baseline to beat."""
    config = make_config()
    _, study = sweep(config)
    assert study.user_attrs["default_trial"] == 0
    assert study.trials[0].user_attrs["hyperparameters"] == config.default_point
    assert study.trials[0].params == {
        "learning_rate": 1e-4, "activation": "relu", "depth": 2, "units_2": 200,
    }  # fmt: skip


def test_only_allowed_epochs_are_scored(make_config: MakeConfig, sweep: Sweep, curve: MakeCurve) -> None:
    """Under the rule "best" an epoch that the space does not allow is trained and not chosen."""
    config = make_config(
        space={"activation": {}, "epochs": {"type": "choice", "choices": [2, 4]}}, budget={"trials": 1}
    )
    _, study = sweep(config, lambda _: curve(0.9, 0.5, 0.8, 0.6))
    assert study.trials[0].value == 0.6
    assert study.trials[0].user_attrs["epoch"] == 3


def test_the_rule_last_trains_the_sampled_epochs(make_config: MakeConfig, sweep: Sweep) -> None:
    """Each trial trains as long as its parameter says, and its last epoch is scored."""
    config = make_config(
        space={"learning_rate": {}, "epochs": {"low": 1, "high": 6}}, score={"epoch_rule": "last"}
    )
    _, study = sweep(config)
    for trial in study.trials:
        attrs = trial.user_attrs
        assert attrs["n_epochs"] == trial.params.get("epochs") == attrs["epoch"] + 1
    assert len({t.params["epochs"] for t in study.trials}) > 1


# --- budget ------------------------------------------------------------------------------------------------


def test_the_budget_of_trials_is_a_total(make_config: MakeConfig, sweep: Sweep) -> None:
    """Running again adds none, and raising the budget adds the difference."""
    assert sweep(make_config(budget={"trials": 3}))[0] is Stop.TRIALS
    assert len(sweep(make_config(budget={"trials": 3}))[1].trials) == 3
    assert len(sweep(make_config(budget={"trials": 5}))[1].trials) == 5
    assert len(sweep(make_config(budget={"trials": 4}))[1].trials) == 5


def test_failed_trials_count_towards_the_budget(make_config: MakeConfig, sweep: Sweep) -> None:
    """A sweep whose trials fail ends all the same."""
    trainer = FakeTrainer(lambda _: LearningCurve.from_scores(train=[0.5] * 4, val=[0.5] * 4), fail_at={1: 0})
    stop, study = sweep(make_config(budget={"trials": 3}), trainer)
    assert stop is Stop.TRIALS
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]


@pytest.mark.parametrize(("epochs", "n_trials"), [(1, 1), (8, 2), (9, 3), (12, 3)])
def test_the_budget_of_epochs_is_a_total(
    make_config: MakeConfig, sweep: Sweep, epochs: int, n_trials: int
) -> None:
    """No trial starts once that many epochs are trained; one that has started is trained to its end."""
    config = make_config(budget={"trials": 50, "epochs": epochs})
    stop, study = sweep(config)
    assert stop is Stop.EPOCHS
    assert len(study.trials) == n_trials
    assert len(sweep(config)[1].trials) == n_trials


@pytest.mark.parametrize(("seconds", "n_trials"), [(9.0, 1), (10.0, 1), (10.5, 2), (20.0, 2)])
def test_the_budget_of_seconds_is_for_one_run(
    make_config: MakeConfig, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, seconds: float, n_trials: int
) -> None:
    """No trial starts once the time is up, to the second; another run has the time again."""
    clock = [100.0]
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def ten_seconds(job: TrialJob) -> LearningCurve:
        clock[0] += 10.0
        return LearningCurve.from_scores(train=[0.5] * job.epochs, val=[0.5] * job.epochs)

    config = make_config(budget={"trials": 50, "seconds": seconds})
    stop, study = sweep(config, ten_seconds)
    assert stop is Stop.SECONDS
    assert len(study.trials) == n_trials
    assert len(sweep(config, ten_seconds)[1].trials) == 2 * n_trials


def test_a_finite_space_ends_the_sweep(make_config: MakeConfig, sweep: Sweep) -> None:
    """Once every point has been tried there is nothing left to search, whatever the sampler."""
    trainer = Counting()
    config = make_config(space=TWO_POINTS, sampler=NO_DEFAULT, budget={"trials": 50})
    stop, study = sweep(config, trainer)
    assert stop is Stop.SPACE
    assert {t.params["activation"] for t in study.trials} == {"relu", "tanh"}
    assert len(trainer.jobs) == 2


def test_a_waiting_trial_is_taken_up_in_a_finished_space(
    make_config: MakeConfig, sweep: Sweep, memory: optuna.storages.InMemoryStorage
) -> None:
    """What was put back or queued is finished, even where there is nothing new to draw."""
    config = make_config(space=TWO_POINTS, sampler=NO_DEFAULT, budget={"trials": 50})
    _, study = sweep(config)
    n_before = len(study.trials)
    optuna.load_study(study_name="tiny", storage=memory).enqueue_trial({"activation": "relu"})
    stop, study = sweep(config)
    assert stop is Stop.SPACE
    assert states(study) == ["COMPLETE"] * (n_before + 1)


def test_a_space_of_one_point_is_trained_once(make_config: MakeConfig, sweep: Sweep) -> None:
    """An exported winner is a sweep file too: fixed from end to end."""
    stop, study = sweep(make_config(space={"depth": 1, "epochs": 4}))
    assert stop is Stop.SPACE
    assert states(study) == ["COMPLETE"]
    assert study.trials[0].params == {}


# --- failures ----------------------------------------------------------------------------------------------


def test_a_failure_is_stored_with_its_reason(make_config: MakeConfig, sweep: Sweep, curve: MakeCurve) -> None:
    """The sweep goes on; the trial keeps its reason and the curve up to there."""
    trainer = FakeTrainer(lambda _: curve(0.5, 0.6, 0.7, 0.8), fail_at={1: 2})
    _, study = sweep(make_config(budget={"trials": 3}), trainer)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    attrs = study.trials[1].user_attrs
    assert attrs["fail_reason"] == "scripted failure in epoch 3"
    assert attrs["fail_detail"] == ""
    assert LearningCurve.from_attribute(attrs["curve"]).values("val_accuracy").tolist() == [0.5, 0.6]
    assert "val_accuracy" not in attrs


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_fails_the_trial(
    make_config: MakeConfig, sweep: Sweep, value: float
) -> None:
    """NaN gives FAIL with the metric and the epoch, and never reaches the study."""
    bad = LearningCurve.from_scores(train=[0.5] * 4, val=[0.5, value, 0.5, 0.5])
    _, study = sweep(make_config(budget={"trials": 1}), lambda _: bad)
    (trial,) = study.trials
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs["fail_reason"] == f"val_accuracy is {value} after epoch 2: the training diverged"
    assert trial.intermediate_values == {0: 0.5}


def test_an_engine_that_passes_nan_on_is_caught(make_config: MakeConfig, sweep: Sweep, workers: Any) -> None:
    """The search looks for itself: an engine may run anywhere."""
    engine = workers(Counting(), 1)
    events = engine.events

    def with_nan(timeout_s: float) -> list[Any]:
        return [
            EpochDone(e.trial, EpochScores.of_classes(0, 0.5, 0.5, math.nan, 0.5))
            if isinstance(e, EpochDone)
            else e
            for e in events(timeout_s)
        ]

    engine.events = with_nan
    _, study = sweep(make_config(budget={"trials": 1}), engine=engine)
    assert study.trials[0].user_attrs["fail_reason"].startswith("val_accuracy is nan after epoch 1")
    assert engine.cancelled == [0]


def test_an_unexpected_exception_fails_its_trial_alone(make_config: MakeConfig, sweep: Sweep) -> None:
    """A mistake in the user's model is a failed trial with its type, message and traceback."""

    def broken(job: TrialJob) -> LearningCurve:
        if job.trial == 0:
            raise KeyError("units_9")
        return LearningCurve.from_scores(train=[0.5] * 4, val=[0.5] * 4)

    _, study = sweep(make_config(budget={"trials": 2}), broken)
    assert states(study) == ["FAIL", "COMPLETE"]
    assert study.trials[0].user_attrs["fail_reason"] == "KeyError: 'units_9'"
    assert "Traceback" in study.trials[0].user_attrs["fail_detail"]
    assert "curve" not in study.trials[0].user_attrs


def test_a_long_detail_keeps_its_end(make_config: MakeConfig, sweep: Sweep) -> None:
    """Its first lines tell what failed and its last ones why; a study is no place for the rest."""

    def fails(_: TrialJob) -> LearningCurve:
        raise TrialError("too bad", "x" * 10_000 + "the end")

    _, study = sweep(make_config(budget={"trials": 1}), fails)
    detail = study.trials[0].user_attrs["fail_detail"]
    assert 3900 < len(detail) <= 4000
    assert detail.endswith("the end")


def test_failures_in_a_row_stop_the_sweep(make_config: MakeConfig, sweep: Sweep) -> None:
    """What fails every time is no matter of hyperparameters; running again tries again."""

    def fails(_: TrialJob) -> LearningCurve:
        raise TrialError("no")

    config = make_config(budget={"trials": 50})
    stop, study = sweep(config, fails)
    assert stop is Stop.FAILURES
    assert states(study) == ["FAIL"] * MAX_FAILURES_IN_A_ROW
    assert len(sweep(config, fails)[1].trials) == 2 * MAX_FAILURES_IN_A_ROW


def test_a_success_between_failures_lets_the_sweep_go_on(make_config: MakeConfig, sweep: Sweep) -> None:
    """Only failures without a single success between them stop it."""

    def curve(job: TrialJob) -> LearningCurve:
        if job.trial != 4:
            raise TrialError("no")
        return LearningCurve.from_scores(train=[0.5] * 4, val=[0.5] * 4)

    stop, study = sweep(make_config(budget={"trials": 50}), curve)
    assert stop is Stop.FAILURES
    assert states(study) == ["FAIL"] * 4 + ["COMPLETE"] + ["FAIL"] * MAX_FAILURES_IN_A_ROW


# --- trials whose process dies ----------------------------------------------------------------------------


class Dying:
    """An engine whose jobs die: after so many epochs at each attempt; then the job runs to its end.

    Epochs that an earlier attempt told come again, as from a checkpoint.
    """

    slots = 1

    def __init__(self, *deaths: int, died: bool = True) -> None:
        self.submitted: list[TrialJob] = []
        self.running: tuple[int, ...] = ()
        self._deaths = list(deaths)
        self._died = died

    def submit(self, job: TrialJob) -> None:
        """Take a job."""
        self.submitted.append(job)
        self.running = (job.trial,)

    def events(self, timeout_s: float) -> list[Any]:  # noqa: ARG002 - scripted epochs take no time
        """Return all events of the job up to its end."""
        job = self.submitted[-1]
        n = self._deaths.pop(0) if self._deaths else job.epochs
        self.running = ()
        epochs = [EpochDone(job.trial, scores) for scores in scripted_curve(job).epochs[:n]]
        failed = Failed(job.trial, "process was killed by SIGKILL (out of memory?)", "last words", self._died)
        return [Started(job.trial, 1000), *epochs, failed if n < job.epochs else Finished(job.trial)]

    def cancel(self, trial: int) -> None:
        """Drop nothing: a job has ended when its events are out."""


def test_a_trial_whose_process_died_goes_on(
    make_config: MakeConfig, sweep: Sweep, storage: optuna.storages.RDBStorage
) -> None:
    """It is the same trial and the same job; nothing of the deaths is left but their number."""
    config = make_config(budget={"trials": 2})
    _, whole = sweep(config)
    engine = Dying(2, 3)
    seen: list[Progress] = []
    _, study = sweep(config, engine=engine, storage=storage, observer=seen.append)
    assert [job.trial for job in engine.submitted] == [0, 0, 0, 1]
    assert len({repr(job) for job in engine.submitted[:3]}) == 1
    assert study.trials[0].user_attrs["n_retries"] == 2
    assert "n_retries" not in study.trials[1].user_attrs
    stored = [
        (t.state, t.params, t.value, t.intermediate_values, t.user_attrs["curve"]) for t in study.trials
    ]
    assert stored == [
        (t.state, t.params, t.value, t.intermediate_values, t.user_attrs["curve"]) for t in whole.trials
    ]
    told = [(p.retried.number, p.retried.n_retries) for p in seen if p.retried is not None]
    assert list(dict.fromkeys(told)) == [(0, 1), (0, 2)]
    # In the new process it has come to nothing yet, whatever was shown of the old one.
    assert {(r.n_epochs, r.score) for p in seen for r in p.running} == {(0, None)}


class Unwritable:
    """A training whose checkpoint can't be written."""

    def fit(self, job: TrialJob) -> Iterator[Started | CheckpointSkipped | EpochScores]:
        """Say so before each epoch."""
        yield Started(job.trial, 1000)
        for scores in scripted_curve(job).epochs:
            yield CheckpointSkipped(job.trial, "No space left on device")
            yield scores


def test_a_skipped_checkpoint_is_told_and_changes_nothing(make_config: MakeConfig, sweep: Sweep) -> None:
    """Whoever watches hears of it; the trials are those of any other sweep."""
    config = make_config(budget={"trials": 2})
    _, whole = sweep(config)
    seen: list[Progress] = []
    storage = optuna.storages.InMemoryStorage()
    _, study = sweep(config, Unwritable(), storage=storage, observer=seen.append)
    assert [trial.value for trial in study.trials] == [trial.value for trial in whole.trials]
    assert {p.skipped for p in seen} >= {CheckpointSkipped(n, "No space left on device") for n in (0, 1)}


@pytest.mark.parametrize(
    ("max_retries", "reason"), [(0, ""), (1, ", after 1 retry"), (2, ", after 2 retries")]
)
def test_retries_have_an_end(make_config: MakeConfig, sweep: Sweep, max_retries: int, reason: str) -> None:
    """A trial that dies every time fails with the reason, the last words, and how often it was tried."""
    engine = Dying(1, 1, 1, 1)
    _, study = sweep(make_config(budget={"trials": 1, "max_retries": max_retries}), engine=engine)
    assert states(study) == ["FAIL"]
    assert len(engine.submitted) == 1 + max_retries
    attrs = study.trials[0].user_attrs
    assert attrs["fail_reason"] == f"process was killed by SIGKILL (out of memory?){reason}"
    assert attrs["fail_detail"] == "last words"
    assert len(attrs["curve"]["val_accuracy"]) == 1


def test_what_a_job_reports_itself_is_not_tried_again(make_config: MakeConfig, sweep: Sweep) -> None:
    """It would report the same again."""
    engine = Dying(1, died=False)
    _, study = sweep(make_config(budget={"trials": 1}), engine=engine)
    assert states(study) == ["FAIL"]
    assert len(engine.submitted) == 1


def test_retries_are_counted_over_runs(
    make_config: MakeConfig, sweep: Sweep, data: Any, memory: optuna.storages.InMemoryStorage
) -> None:
    """A run that ends between two deaths of a trial gives it no new tries."""
    config = make_config(budget={"trials": 1, "max_retries": 2})
    study = open_study(config, data, memory)
    study.ask().set_user_attr("n_retries", 2)
    engine = Dying(1, 1)
    _, study = sweep(config, engine=engine)
    assert states(study) == ["FAIL"]
    assert len(engine.submitted) == 1


# --- checkpoints and owners --------------------------------------------------------------------------------


def test_checkpoints_are_for_unfinished_trials(make_config: MakeConfig, sweep: Sweep, tmp_path: Path) -> None:
    """Each job is told its file; it is gone when its trial has ended, and so is what a dead run left."""
    folder = CheckpointFolder(tmp_path)
    folder.file(99).touch()
    there: list[list[int]] = []

    class Saving(Counting):
        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            assert job.checkpoint == folder.key(job.trial)
            folder.file(job.trial).touch()
            there.append(sorted(int(path.stem.split("-")[1]) for path in tmp_path.iterdir()))
            if job.trial == 1:
                raise TrialError("no")
            yield from super().fit(job)

    _, study = sweep(make_config(budget={"trials": 3}), Saving(), checkpoints=folder)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert there == [[0], [1], [2]]
    assert folder.size() == len(list(tmp_path.iterdir())) == 0


def test_checkpoints_of_waiting_trials_are_kept(
    make_config: MakeConfig, sweep: Sweep, tmp_path: Path
) -> None:
    """An interruption leaves them, and the next run does not take them for leftovers."""
    folder = CheckpointFolder(tmp_path)
    pull = Pull(1, 2)
    sweep(make_config(), interrupted=pull.event, observer=pull, checkpoints=folder)
    folder.file(1).touch()
    seen: list[bool] = []
    sweep(make_config(), observer=lambda _: seen.append(folder.file(1).exists()), checkpoints=folder)
    assert seen[0]
    assert not seen[-1]


def test_each_trial_names_the_run_that_runs_it(make_config: MakeConfig, sweep: Sweep) -> None:
    """The study's owner has the same name while it runs."""
    _, study = sweep(make_config(budget={"trials": 2}), run="one")
    assert [trial.user_attrs["run"] for trial in study.trials] == ["one"] * 2


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
@pytest.mark.parametrize("n_drawn", [0, 1, 2])
def test_a_draw_that_was_cut_short_is_finished_as_it_would_have_been(
    *,
    make_config: MakeConfig,
    sweep: Sweep,
    storage: optuna.storages.RDBStorage,
    monkeypatch: pytest.MonkeyPatch,
    n_drawn: int,
    sampler: str,
) -> None:
    """Killed between two parameters, a trial gets the configuration of an uninterrupted study."""
    space = {**SPACE, "learning_rate": {"type": "choice", "choices": [1e-4, 1e-3, 1e-2]}}
    settings = {"name": sampler, "enqueue_default": False}
    config = make_config(space=space, budget={"trials": 5}, sampler=settings)
    _, whole = sweep(config)
    left = sum(len(trial.params) for trial in whole.trials[:2]) + n_drawn
    original = optuna.Trial._suggest

    def suggest(self: optuna.Trial, *args: Any) -> Any:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return original(self, *args)

    monkeypatch.setattr(optuna.Trial, "_suggest", suggest)
    with pytest.raises(KeyboardInterrupt):
        sweep(config, storage=storage)
    monkeypatch.undo()
    assert len(optuna.load_study(study_name="tiny", storage=storage).trials[2].params) == n_drawn
    _, study = sweep(config, storage=storage)
    assert [t.params for t in study.trials] == [t.params for t in whole.trials]


# --- pruning and early stopping ----------------------------------------------------------------------------


def test_a_pruned_trial_keeps_its_curve(make_config: MakeConfig, sweep: Sweep, curve: MakeCurve) -> None:
    """What is worse than the median is stopped; its value is its last report, its scored epoch its best."""

    def by_number(job: TrialJob) -> LearningCurve:
        return curve(0.3, 0.2, 0.1, 0.0) if job.trial == 3 else curve(0.5, 0.6, 0.7, 0.8)

    config = make_config(
        space={"learning_rate": {}, "epochs": {"low": 1, "high": 4}},
        pruner={"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1},
        budget={"trials": 5},
    )
    _, study = sweep(config, by_number)
    assert states(study) == ["COMPLETE"] * 3 + ["PRUNED", "COMPLETE"]
    pruned = study.trials[3]
    assert pruned.intermediate_values == {0: 0.3, 1: 0.2}
    assert pruned.value == 0.2
    assert (pruned.user_attrs["epoch"], pruned.user_attrs["val_accuracy"]) == (0, 0.3)
    assert pruned.user_attrs["n_epochs"] == 2
    assert len(LearningCurve.from_attribute(pruned.user_attrs["curve"])) == 2
    assert study.best_trial.number != 3


def test_a_trial_at_its_last_epoch_is_complete(
    make_config: MakeConfig, sweep: Sweep, curve: MakeCurve
) -> None:
    """Stopping after the last epoch would save nothing: the worst trial completes."""

    def by_number(job: TrialJob) -> LearningCurve:
        return curve(0.9, 0.9, 0.9, 0.1) if job.trial == 3 else curve(0.5, 0.6, 0.7, 0.8)

    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 3}
    _, study = sweep(make_config(pruner=pruner), by_number)
    assert states(study) == ["COMPLETE"] * 5


@pytest.mark.parametrize(
    ("val", "patience", "n_epochs"),
    [
        ((0.5, 0.6, 0.7, 0.6, 0.6, 0.8), 2, 5),  # best after 3 epochs, 2 more without a better one
        ((0.5, 0.6, 0.7, 0.6, 0.6, 0.8), 3, None),  # the sixth comes in time
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 2, 3),  # an equal score is no better score
        ((0.9, 0.1, 0.1, 0.1, 0.1, 0.1), 1, 2),
        ((0.9, 0.9, 0.9, 0.9, 0.9, 0.9), 5, None),  # out of patience at the last epoch: nothing to stop
    ],
)
def test_patience_stops_a_trial(
    *,
    make_config: MakeConfig,
    sweep: Sweep,
    curve: MakeCurve,
    val: tuple[float, ...],
    patience: int,
    n_epochs: int | None,
) -> None:
    """A trial ends so many epochs after its best one, COMPLETE and with its best epoch as the scored one."""
    config = make_config(
        space={"activation": {}, "epochs": {"low": 1, "high": 6}},
        training={"patience": patience},
        budget={"trials": 1},
    )
    _, study = sweep(config, lambda _: curve(*val))
    (trial,) = study.trials
    assert trial.state is TrialState.COMPLETE
    assert trial.user_attrs.get("stopped_early", False) is (n_epochs is not None)
    assert trial.user_attrs["n_epochs"] == (6 if n_epochs is None else n_epochs)
    trained = val[: trial.user_attrs["n_epochs"]]
    assert trial.value == max(trained)
    assert trial.user_attrs["epoch"] == trained.index(max(trained))


def test_patience_waits_for_an_allowed_epoch(make_config: MakeConfig, sweep: Sweep, curve: MakeCurve) -> None:
    """A trial is not stopped before the first epoch that may be scored."""
    config = make_config(
        space={"activation": {}, "epochs": {"low": 4, "high": 6}},
        training={"patience": 1},
        budget={"trials": 1},
    )
    _, study = sweep(config, lambda _: curve(0.9, 0.1, 0.1, 0.2, 0.1, 0.1))
    assert study.trials[0].user_attrs["n_epochs"] == 4
    assert study.trials[0].user_attrs["epoch"] == 3


# --- equal configurations ----------------------------------------------------------------------------------


def test_a_repeated_configuration_is_not_trained_again(
    make_config: MakeConfig, sweep: Sweep, memory: optuna.storages.InMemoryStorage
) -> None:
    """A duplicate is a trial of its own with the stored curve; the engine hears nothing of it."""
    trainer = Counting()
    sweep(make_config(budget={"trials": 1}), trainer)
    study = optuna.load_study(study_name="tiny", storage=memory)
    study.enqueue_trial(study.trials[0].params)
    _, study = sweep(make_config(budget={"trials": 2}), trainer)
    assert [job.trial for job in trainer.jobs] == [0]
    first, second = study.trials
    assert second.params == first.params
    assert (second.value, second.intermediate_values) == (first.value, first.intermediate_values)
    assert second.user_attrs["curve"] == first.user_attrs["curve"]
    assert second.user_attrs["n_reused_epochs"] == 4
    assert second.user_attrs["stopped_early"] is False


def test_reused_epochs_cost_no_budget(
    make_config: MakeConfig, sweep: Sweep, memory: optuna.storages.InMemoryStorage
) -> None:
    """The budget of epochs counts what was trained."""
    sweep(make_config(budget={"trials": 1}))
    study = optuna.load_study(study_name="tiny", storage=memory)
    study.enqueue_trial(study.trials[0].params)
    seen: list[Progress] = []
    stop, study = sweep(make_config(budget={"trials": 50, "epochs": 8}), observer=seen.append)
    assert stop is Stop.EPOCHS
    assert len(study.trials) == 3
    assert seen[-1].n_reused_epochs == 4


def test_an_equal_trial_in_training_is_waited_for(
    make_config: MakeConfig, sweep: Sweep, workers: Any
) -> None:
    """A duplicate of a running trial starts no second training and is answered when the first one ends."""
    engine = workers(ScriptedTrainer(), 2)
    config = make_config(space=TWO_POINTS, sampler=NO_DEFAULT, budget={"trials": 6})
    _, study = sweep(config, engine=engine)
    trained = [job.hyperparameters["activation"] for job in engine.submitted]
    assert sorted(trained) == ["relu", "tanh"]
    assert states(study) == ["COMPLETE"] * len(study.trials)
    assert sum("n_reused_epochs" in t.user_attrs for t in study.trials) == len(study.trials) - 2


def script_last(study: optuna.Study, *epochs: int) -> None:
    """Queue trials of one configuration that train for different numbers of epochs."""
    for n in epochs:
        study.enqueue_trial({"activation": "elu", "epochs": n})


@pytest.fixture
def last_config(make_config: MakeConfig) -> Callable[..., SweepConfig]:
    """A sweep under the rule "last", where one configuration may be trained for longer or shorter."""
    return lambda **sections: make_config(
        **{
            "space": {"activation": {}, "epochs": {"low": 1, "high": 9}},
            "score": {"epoch_rule": "last"},
            "sampler": NO_DEFAULT,
            **sections,
        }
    )


def test_a_shorter_run_is_answered_from_a_longer_one(
    last_config: MakeConfig, sweep: Sweep, data: Any, memory: optuna.storages.InMemoryStorage
) -> None:
    """A run of 6 epochs holds those of 4 and 2; one of 8 is trained."""
    trainer = Counting()
    script_last(open_study(last_config(), data, memory), 6, 4, 2, 8)
    _, study = sweep(last_config(budget={"trials": 4}), trainer)
    assert [job.epochs for job in trainer.jobs] == [6, 8]
    six, four, two, _ = study.trials
    for shorter, n in ((four, 4), (two, 2)):
        assert shorter.user_attrs["n_epochs"] == n
        assert shorter.user_attrs["epoch"] == n - 1
        assert shorter.user_attrs["curve"]["val_accuracy"] == six.user_attrs["curve"]["val_accuracy"][:n]
        assert shorter.value == six.intermediate_values[n - 1]


class Checkpointing:
    """A scripted training that keeps its checkpoint as the real one does, and a list of what it trained."""

    def __init__(self) -> None:
        self.trained: list[tuple[int, int]] = []

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Go on from the checkpoint, if any."""
        file = CheckpointFile(Path(str(job.checkpoint_file)), job_identity(job, software=[]))
        stored = file.load(())
        done = [] if stored is None else list(stored.epochs)
        yield Started(job.trial, 1000, len(done))
        yield from done
        for scores in scripted_curve(replace(job, epochs=9)).epochs[len(done) : job.epochs]:
            self.trained.append((job.trial, scores.epoch))
            done.append(scores)
            file.save(Checkpoint(tuple(done), ()))
            yield scores


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("order", [(5, 7, 9), (9, 7, 5), (7, 5, 9), (7, 9, 5)])
def test_three_lengths_of_a_run_cost_one_run_of_the_longest(
    *,
    last_config: MakeConfig,
    sweep: Sweep,
    data: Any,
    memory: optuna.storages.InMemoryStorage,
    workers: Any,
    n_workers: int,
    order: tuple[int, ...],
    tmp_path: Path,
) -> None:
    """In whatever order they come, also at the same time, each epoch is trained once, and all of it told."""
    script_last(open_study(last_config(), data, memory), *order)
    trainer, seen = Checkpointing(), list[Progress]()
    _, study = sweep(
        last_config(budget={"trials": 3}),
        engine=workers(trainer, n_workers, places=Places(checkpoints=tmp_path)),
        checkpoints=CheckpointFolder(tmp_path),
        observer=seen.append,
    )
    assert sorted(epoch for _, epoch in trainer.trained) == list(range(9))
    assert states(study) == ["COMPLETE"] * 3
    assert seen[-1].n_reused_epochs == sum(order) - 9
    longest = study.trials[order.index(9)]
    for trial, n in zip(study.trials, order, strict=True):
        assert len(trial.intermediate_values) == trial.user_attrs["n_epochs"] == n
        assert trial.user_attrs["curve"]["val_accuracy"] == longest.user_attrs["curve"]["val_accuracy"][:n]
    # Of the longest nothing is kept: there can be no longer one.
    assert list(tmp_path.iterdir()) == []


FinishedShort = tuple[CheckpointFolder, Checkpointing, optuna.Study]


@pytest.fixture
def finished_short(
    last_config: MakeConfig, sweep: Sweep, data: Any, memory: optuna.storages.InMemoryStorage, tmp_path: Path
) -> FinishedShort:
    """A study whose one trial trained four epochs, what trained it, and the folder with its checkpoint."""
    folder, trainer = CheckpointFolder(tmp_path), Checkpointing()
    script_last(open_study(last_config(), data, memory), 4)
    _, study = sweep(last_config(budget={"trials": 1}), trainer, checkpoints=folder)
    return folder, trainer, study


def test_a_run_goes_on_from_what_an_earlier_one_finished(
    last_config: MakeConfig, sweep: Sweep, finished_short: FinishedShort
) -> None:
    """Also where it is interrupted on the way: what it was spared is counted once."""
    folder, trainer, study = finished_short
    script_last(study, 8)
    pull = Pull(1, 6)
    sweep(
        last_config(budget={"trials": 2}),
        trainer,
        checkpoints=folder,
        observer=pull,
        interrupted=pull.event,
    )
    seen: list[Progress] = []
    _, study = sweep(last_config(budget={"trials": 2}), trainer, checkpoints=folder, observer=seen.append)
    assert sorted(epoch for _, epoch in trainer.trained) == list(range(8))
    assert study.trials[1].user_attrs["n_reused_epochs"] == seen[-1].n_reused_epochs == 4


def test_a_run_that_ends_before_its_job_starts_counts_what_is_spared(
    last_config: MakeConfig, sweep: Sweep, finished_short: FinishedShort
) -> None:
    """The shorter trial's checkpoint is the longer one's by then: the next run takes it for no one else's."""

    class Dying(InlineEngine):
        @override
        def submit(self, job: TrialJob) -> None:
            raise KeyboardInterrupt

    folder, trainer, study = finished_short
    script_last(study, 8)
    with pytest.raises(KeyboardInterrupt):
        sweep(last_config(budget={"trials": 2}), engine=Dying(trainer), checkpoints=folder)
    _, study = sweep(last_config(budget={"trials": 2}), trainer, checkpoints=folder)
    assert len(trainer.trained) == 8
    assert study.trials[1].user_attrs["n_reused_epochs"] == 4


def test_a_useless_checkpoint_of_a_shorter_run_saves_nothing(
    last_config: MakeConfig, sweep: Sweep, finished_short: FinishedShort, tmp_path: Path
) -> None:
    """Where it is damaged, the longer one is trained whole, and the count says so."""
    folder, trainer, study = finished_short
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    script_last(study, 6)
    seen: list[Progress] = []
    sweep(last_config(budget={"trials": 2}), trainer, checkpoints=folder, observer=seen.append)
    assert len(trainer.trained) == 4 + 6
    assert seen[-1].n_reused_epochs == 0


def test_a_longer_run_that_fails_at_once_has_saved_nothing(
    last_config: MakeConfig, sweep: Sweep, finished_short: FinishedShort
) -> None:
    """The count of trained epochs, which a budget limits, never falls."""
    folder, _, study = finished_short
    script_last(study, 8)
    seen: list[Progress] = []
    broken = FakeTrainer(dict[int, LearningCurve]())
    _, study = sweep(last_config(budget={"trials": 2}), broken, checkpoints=folder, observer=seen.append)
    assert states(study) == ["COMPLETE", "FAIL"]
    assert study.trials[1].user_attrs["n_reused_epochs"] == seen[-1].n_reused_epochs == 0


def test_twins_of_a_failed_trial_are_trained(
    *,
    last_config: MakeConfig,
    sweep: Sweep,
    data: Any,
    memory: optuna.storages.InMemoryStorage,
    workers: Any,
    curve: MakeCurve,
) -> None:
    """Where the awaited trial fails, the longest of those waiting is trained, and answers the others."""
    study = open_study(last_config(), data, memory)
    script_last(study, 6, 2, 5)
    # Keeps the second worker busy, so that one is free for those that wait.
    study.enqueue_trial({"activation": "relu", "epochs": 9})
    engine = workers(FakeTrainer(lambda _: curve(*[0.5] * 9), fail_at={0: 3}), 2)
    _, study = sweep(last_config(budget={"trials": 4}), engine=engine)
    assert [job.epochs for job in engine.submitted] == [6, 9, 5]
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert study.trials[1].user_attrs["n_reused_epochs"] == 2


def test_a_pruned_configuration_answers_as_pruned(
    make_config: MakeConfig, sweep: Sweep, curve: MakeCurve, memory: optuna.storages.InMemoryStorage
) -> None:
    """What was pruned once is not trained again, and is not passed off as complete."""
    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1}
    trainer = Counting(lambda job: curve(0.3, 0.2, 0.1, 0.0) if job.trial == 3 else curve(0.5, 0.6, 0.7, 0.8))
    _, study = sweep(make_config(pruner=pruner, budget={"trials": 4}), trainer)
    assert states(study)[3] == "PRUNED"
    optuna.load_study(study_name="tiny", storage=memory).enqueue_trial(study.trials[3].params)
    _, study = sweep(make_config(pruner=pruner, budget={"trials": 5}), trainer)
    assert states(study)[4] == "PRUNED"
    assert study.trials[4].value == 0.2
    assert len(trainer.jobs) == 4


def test_a_failed_configuration_is_trained_again(
    make_config: MakeConfig, sweep: Sweep, curve: MakeCurve, memory: optuna.storages.InMemoryStorage
) -> None:
    """A failure answers nothing: the machine may have been out of memory."""
    trainer = FakeTrainer(lambda _: curve(*[0.5] * 4), fail_at={0: 2})
    sweep(make_config(budget={"trials": 1}), trainer)
    study = optuna.load_study(study_name="tiny", storage=memory)
    study.enqueue_trial(study.trials[0].params)
    _, study = sweep(make_config(budget={"trials": 2}), trainer)
    assert states(study) == ["FAIL", "COMPLETE"]
    assert "n_reused_epochs" not in study.trials[1].user_attrs


class OneOnManySplits(SweepPlan):
    """The same point and seed in every trial, each on the split of its place in a list."""

    def __init__(self, config: SweepConfig, split_seeds: Sequence[int]) -> None:
        super().__init__(config)
        self._split_seeds = split_seeds

    @property
    @override
    def n_trials(self) -> int:
        return len(self._split_seeds)

    @property
    @override
    def size(self) -> float:
        return math.inf

    @override
    def draw(self, trial: optuna.Trial) -> TrialDraw:
        drawn = super().draw(trial)
        return replace(drawn, split=replace(drawn.split, seed=self._split_seeds[trial.number]))


@pytest.mark.parametrize("n_workers", [1, 4])
def test_a_trial_on_another_split_is_no_equal_one(
    make_config: MakeConfig, sweep: Sweep, workers: Any, n_workers: int
) -> None:
    """Neither of this run nor of an earlier one; on the same split it is."""
    config = make_config(space={"depth": 1, "epochs": 4}, training={"n_val": 20, "split_seed": 5})
    trainer = Counting()
    for split_seeds in ([5, 7, 7], [5, 7, 7, 5, 7, 9, 5]):
        plan = OneOnManySplits(config, split_seeds)
        _, study = sweep(config, engine=workers(trainer, n_workers), plan=plan)
    assert [t.user_attrs.get("split_seed") for t in study.trials] == [None, 7, 7, None, 7, 9, None]
    assert [t.user_attrs.get("n_reused_epochs", 0) for t in study.trials] == [0, 0, 4, 4, 4, 0, 4]
    assert [job.split.seed for job in trainer.jobs] == [5, 7, 9]


# --- the end of a run --------------------------------------------------------------------------------------


class Pull:
    """Sets an event once so many trials are done and another has trained for so many epochs."""

    def __init__(self, n_done: int, n_epochs: int) -> None:
        self.event = threading.Event()
        self._at = n_done, n_epochs

    def __call__(self, progress: Progress) -> None:
        """Watch the sweep's progress."""
        n_done, n_epochs = self._at
        if progress.n_done == n_done and any(r.n_epochs == n_epochs for r in progress.running):
            self.event.set()


def test_an_interrupted_sweep_leaves_nothing_running(make_config: MakeConfig, sweep: Sweep) -> None:
    """The trial in training waits with its parameters and its reports, for the next run to take up."""
    pull = Pull(2, 3)
    stop, study = sweep(make_config(), interrupted=pull.event, observer=pull)
    assert stop is Stop.INTERRUPTED
    assert states(study) == ["COMPLETE", "COMPLETE", "WAITING"]
    assert list(study.trials[2].intermediate_values) == [0, 1, 2]


def test_a_sweep_that_is_interrupted_before_it_begins_trains_nothing(
    make_config: MakeConfig, sweep: Sweep
) -> None:
    """Ctrl-C during the set-up is honoured."""
    interrupted = threading.Event()
    interrupted.set()
    trainer = Counting()
    assert sweep(make_config(), trainer, interrupted=interrupted)[0] is Stop.INTERRUPTED
    assert trainer.jobs == []


def test_a_resumed_sweep_equals_an_uninterrupted_one(
    make_config: MakeConfig, sweep: Sweep, storage: optuna.storages.RDBStorage
) -> None:
    """Trial by trial, with pruning and patience, on SQLite: the interruption leaves no trace."""
    config = make_config(
        space={"learning_rate": {}, "depth": {}, "epochs": {"low": 1, "high": 4}},
        pruner={"name": "percentile", "percentile": 75, "n_startup_trials": 2, "n_warmup_steps": 0},
        training={"patience": 2},
        budget={"trials": 12},
    )

    def curves(job: TrialJob) -> LearningCurve:
        speed = abs(math.log10(float(job.hyperparameters["learning_rate"])))
        late = -0.1 if speed > 3 else 0.01
        val = [round(1 - speed / 10 + late * epoch, 6) for epoch in range(4)]
        return LearningCurve.from_scores(train=val, val=val)

    _, whole = sweep(config, curves)
    assert {"PRUNED", "COMPLETE"} == set(states(whole))
    assert any(trial.user_attrs.get("stopped_early") for trial in whole.trials)
    longer = next(t.number for t in whole.trials[3:] if t.user_attrs["n_epochs"] > 1)
    pull = Pull(longer, 1)
    stop, _ = sweep(config, curves, storage=storage, interrupted=pull.event, observer=pull)
    assert stop is Stop.INTERRUPTED
    _, resumed = sweep(config, curves, storage=storage)
    assert found(resumed) == found(whole)


def test_interrupted_trials_of_several_workers_are_all_put_back(
    make_config: MakeConfig, sweep: Sweep, workers: Any, storage: optuna.storages.RDBStorage
) -> None:
    """Every running trial waits, and the next run ends with as many trials as were asked for."""
    engine, pull = workers(ScriptedTrainer(), 3), Pull(0, 2)
    _, study = sweep(make_config(), engine=engine, storage=storage, interrupted=pull.event, observer=pull)
    assert states(study) == ["WAITING"] * 3
    assert engine.running == ()
    _, study = sweep(make_config(), engine=workers(ScriptedTrainer(), 3), storage=storage)
    assert states(study) == ["COMPLETE"] * 5


def test_what_an_observer_raises_leaves_nothing_running(
    make_config: MakeConfig, sweep: Sweep, memory: optuna.storages.InMemoryStorage
) -> None:
    """A bug in what shows the progress is not swallowed; the trial waits."""

    def broken(progress: Progress) -> None:
        if progress.running:
            raise OSError(f"trial {progress.running[0].number}")

    with pytest.raises(OSError, match="trial 0"):
        sweep(make_config(), observer=broken)
    assert states(optuna.load_study(study_name="tiny", storage=memory)) == ["WAITING"]


def test_a_second_interrupt_leaves_nothing_running_either(
    make_config: MakeConfig, sweep: Sweep, storage: optuna.storages.RDBStorage, workers: Any
) -> None:
    """Pressed while the trials are put back, Ctrl-C waits for that."""
    engine, pull = workers(ScriptedTrainer(), 2), Pull(0, 1)
    pressed: list[int] = []
    original = engine.cancel

    def cancel(trial: int) -> None:
        if not pressed:
            pressed.append(trial)
            raise KeyboardInterrupt
        original(trial)

    engine.cancel = cancel
    with pytest.raises(KeyboardInterrupt):
        sweep(make_config(), engine=engine, interrupted=pull.event, observer=pull, storage=storage)
    assert states(optuna.load_study(study_name="tiny", storage=storage)) == ["WAITING"] * 2
    assert engine.running == ()


def test_what_an_engine_raises_leaves_nothing_running(
    make_config: MakeConfig, sweep: Sweep, memory: optuna.storages.InMemoryStorage, workers: Any
) -> None:
    """A bug in an engine ends the sweep and loses no trial."""
    engine = workers(ScriptedTrainer(), 2)

    def broken(timeout_s: float) -> list[Any]:
        raise RuntimeError(timeout_s)

    engine.events = broken
    with pytest.raises(RuntimeError):
        sweep(make_config(), engine=engine)
    assert states(optuna.load_study(study_name="tiny", storage=memory)) == ["WAITING"] * 2
    assert engine.cancelled == [0, 1]


# --- progress ----------------------------------------------------------------------------------------------


def test_the_observer_is_told_what_the_study_holds(
    make_config: MakeConfig, sweep: Sweep, curve: MakeCurve, workers: Any
) -> None:
    """At every call the counts add up, and at the end they are those of the study."""

    def by_number(job: TrialJob) -> LearningCurve:
        if job.trial == 1:
            raise TrialError("no")
        return curve(0.3, 0.2, 0.1, 0.0) if job.trial == 6 else curve(0.5, 0.6, 0.7, 0.8)

    seen: list[Progress] = []
    config = make_config(
        pruner={"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1}, budget={"trials": 8}
    )
    _, study = sweep(config, engine=workers(FakeTrainer(by_number), 2), observer=seen.append)
    for progress in seen:
        assert progress.n_trials == 8
        assert progress.n_done == progress.n_complete + progress.n_pruned + progress.n_failed
        assert progress.n_done == progress.n_done_now
        assert progress.n_done + len(progress.running) <= 8
        assert all(0 <= r.n_epochs <= r.max_epochs == 4 for r in progress.running)
        assert all((r.score is None) == (r.n_epochs == 0) for r in progress.running)
    assert [p.n_done for p in seen] == sorted(p.n_done for p in seen)
    last = seen[-1]
    assert (last.n_complete, last.n_pruned, last.n_failed) == (6, 1, 1)
    assert last.running == ()
    assert last.best is not None
    assert (last.best.score, last.best.value, last.best.n_epochs) == (study.best_value, 0.8, 4)
    assert last.best.number == study.best_trial.number
    ended = {p.ended.number: p.ended for p in seen if p.ended is not None}
    assert {n: e.state for n, e in ended.items()} == dict(enumerate(states(study)))
    assert (ended[1].value, ended[1].reason) == (None, "no")
    assert ended[6].value == study.trials[6].value == 0.2


def test_progress_counts_the_trials_of_earlier_runs(make_config: MakeConfig, sweep: Sweep) -> None:
    """Done counts the study, done now this run; the best trial may be an old one."""
    sweep(make_config(budget={"trials": 3}))
    seen: list[Progress] = []
    _, study = sweep(make_config(budget={"trials": 4}), observer=seen.append)
    assert (seen[0].n_done, seen[0].n_done_now) == (3, 0)
    assert (seen[-1].n_done, seen[-1].n_done_now) == (4, 1)
    assert seen[0].best is not None
    assert seen[0].best.number == max(study.trials[:3], key=lambda trial: trial.value or 0).number


# --- trials that another tool enqueued ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"depth": 7}, "depth: 7 is not one of 1, 2"),
        ({"activation": "nix"}, "activation: 'nix' is not one of relu, tanh"),
        ({"units_2": 100_000}, "units_2: 100000 is not a whole number from 16 to 1024"),
        ({"units_2": "many"}, "units_2: 'many' is not a whole number from 16 to 1024"),
        ({"depth": True}, "depth: True is not one of 1, 2"),
        ({"depth": None}, "depth: None is not one of 1, 2"),
        (
            {"momentum": 0.9},
            "momentum: is not drawn in this study; what is drawn: activation, depth, units_2",
        ),
        ({"depth": 7, "momentum": 0.9}, "what is drawn: activation, depth, units_2; depth: 7 is not one of"),
    ],
)
def test_an_enqueued_trial_outside_the_space_fails_and_the_sweep_goes_on(
    make_config: MakeConfig, sweep: Sweep, given: dict[str, Any], reason: str
) -> None:
    """It would come first in every run, and end each of them; what is wrong with it is told."""
    config = make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 1})
    _, study = sweep(config)
    for _ in range(MAX_FAILURES_IN_A_ROW + 1):
        study.enqueue_trial(given)
    seen: list[Progress] = []
    stop, study = sweep(
        make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 9}), observer=seen.append
    )
    assert stop is Stop.TRIALS
    assert states(study) == ["COMPLETE", *["FAIL"] * 6, "COMPLETE", "COMPLETE"]
    assert reason in study.trials[1].user_attrs["fail_reason"]
    assert any(progress.ended is not None and reason in progress.ended.reason for progress in seen)
    assert seen[-1].first_failure == study.trials[1].user_attrs["fail_reason"]


def test_an_enqueued_trial_is_completed_by_the_sampler(make_config: MakeConfig, sweep: Sweep) -> None:
    """What fits is used, what is missing drawn, and what the point has no room for left out."""
    config = make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 1})
    _, study = sweep(config)
    study.enqueue_trial({"depth": 2, "units_2": 77})
    study.enqueue_trial({"depth": 1, "units_2": 77})
    _, study = sweep(make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 3}))
    assert states(study) == ["COMPLETE"] * 3
    assert study.trials[1].params.items() >= {"depth": 2, "units_2": 77}.items()
    assert "activation" in study.trials[1].params
    assert "units_2" not in study.trials[2].params


@pytest.mark.parametrize("values", [(5, 6), (1, 2)])
def test_a_waiting_trial_of_other_parameters_fails_too(
    make_config: MakeConfig, sweep: Sweep, values: tuple[int, int]
) -> None:
    """Another tool may write a whole trial that waits, with parameters of its own kinds."""
    config = make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 1})
    _, study = sweep(config)
    whole = optuna.distributions.CategoricalDistribution(values)
    params = {"depth": values[0]}
    study.add_trial(
        optuna.create_trial(state=TrialState.WAITING, params=params, distributions={"depth": whole})
    )
    _, study = sweep(make_config(space=SPACE, sampler=NO_DEFAULT, budget={"trials": 3}))
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
