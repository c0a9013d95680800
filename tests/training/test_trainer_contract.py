"""The promises of every trainer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from placing import placed_here

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.core.trainer import Trainer
from fmnist_sweep.training.testing import FakeTrainer, ScriptedTrainer

NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")


def curve_of(trainer: Trainer, job: TrialJob) -> list[EpochScores]:
    """Return a job's scores without their seconds, which no two runs share."""
    return [
        replace(step, seconds=0.0) for step in trainer.fit(placed_here(job)) if isinstance(step, EpochScores)
    ]


class TrainerContract:
    """Subclasses give a trainer and a job of three epochs that it can train."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        """The trainer under test."""
        raise NotImplementedError

    @pytest.fixture
    def job(self) -> TrialJob:
        """A job of three epochs."""
        return TrialJob(7, "none:Model", {"learning_rate": 0.001}, epochs=3, seed=5, data=NOWHERE)

    def test_started_comes_first_and_once(self, trainer: Trainer, job: TrialJob) -> None:
        """The first value is `Started` with the trial's number and a parameter count; then come scores."""
        first, *others = trainer.fit(placed_here(job))
        assert isinstance(first, Started)
        assert first.trial == job.trial
        assert first.n_parameters > 0
        assert all(isinstance(step, EpochScores) for step in others)

    def test_epochs_are_numbered_from_0(self, trainer: Trainer, job: TrialJob) -> None:
        """Each of the job's epochs gives its scores, in order, and they make a learning curve."""
        curve = LearningCurve(tuple(curve_of(trainer, job)))
        assert len(curve) == job.epochs

    def test_scores_are_fractions_and_nats(self, trainer: Trainer, job: TrialJob) -> None:
        """Accuracies lie in [0, 1] and cross-entropies are not negative; all are finite."""
        for scores in curve_of(trainer, job):
            scores.require_finite()
            assert 0 <= scores.train["accuracy"] <= 1
            assert 0 <= scores.val["accuracy"] <= 1
            assert scores.train["cross_entropy"] >= 0
            assert scores.val["cross_entropy"] >= 0

    def test_same_job_same_curve(self, trainer: Trainer, job: TrialJob) -> None:
        """Two runs of a job give the same numbers to the last digit."""
        assert curve_of(trainer, job) == curve_of(trainer, job)

    def test_a_longer_run_contains_the_shorter(self, trainer: Trainer, job: TrialJob) -> None:
        """The number of epochs decides when training ends and nothing before that."""
        assert curve_of(trainer, replace(job, epochs=2)) == curve_of(trainer, job)[:2]


class TestFakeTrainer(TrainerContract):
    """Curves handed over."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        """A trainer with one curve, longer than the job."""
        return FakeTrainer(
            {7: LearningCurve.from_scores(train=[0.5, 0.7, 0.8, 0.9], val=[0.5, 0.6, 0.7, 0.7])}
        )


class TestScriptedTrainer(TrainerContract):
    """Curves from the hyperparameters."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        """The trainer that engine tests name by its import path."""
        return ScriptedTrainer()


@pytest.mark.slow
class TestKerasTrainer(TrainerContract):
    """Real training on a few images."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        """The real trainer."""
        from fmnist_sweep.training.trainer import KerasTrainer

        return KerasTrainer()

    @pytest.fixture(params=["DenseModel", "ConvModel"])
    def job(self, request: pytest.FixtureRequest) -> TrialJob:
        """A tiny job whose last batch is not whole, with dropout."""
        from fmnist_sweep.data import open_data

        return TrialJob(
            7,
            f"fmnist_sweep.models:{request.param}",
            {"dropout": 0.3},
            epochs=3,
            seed=5,
            data=open_data(),
            split=SplitSpec(n_val=200, train_size=500),
            n_probe=100,
        )


def test_scripted_failure_comes_in_its_epoch() -> None:
    """A fake trainer told to fail in an epoch gives the scores of those before it."""
    curve = LearningCurve.from_scores(train=[0.5, 0.6, 0.7], val=[0.5, 0.6, 0.7])
    steps = FakeTrainer(lambda _: curve, fail_at={7: 1}).fit(
        TrialJob(7, "none:Model", {}, epochs=3, seed=0, data=NOWHERE)
    )
    assert isinstance(next(steps), Started)
    assert next(steps) == curve.epochs[0]
    with pytest.raises(TrialError, match="epoch 2"):
        next(steps)


def test_scripted_curve_must_be_long_enough() -> None:
    """A fake trainer never invents epochs."""
    short = LearningCurve.from_scores(train=[0.5], val=[0.5])
    with pytest.raises(ValueError, match="wants 2 epochs"):
        next(FakeTrainer({0: short}).fit(TrialJob(0, "none:Model", {}, epochs=2, seed=0, data=NOWHERE)))


def test_one_line_of_an_error() -> None:
    """An error becomes its type and its message, be that empty; of a long one its first and its last line."""
    assert one_line(ValueError("first\n  second")) == "ValueError: first second"
    assert one_line(ValueError("\n".join(["first", *["x" * 99] * 9, "last"]))) == "ValueError: first ... last"
    assert one_line(KeyError()) == "KeyError"
