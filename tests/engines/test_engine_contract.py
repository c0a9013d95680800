"""The promises of every engine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from clusters import FakeCluster, engine_on, ready

from fmnist_sweep.core.events import Cancelled, EpochDone, Failed, Finished, Started, TrialEvent
from fmnist_sweep.core.jobs import DataRef, Scalar, TrialJob
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.training.testing import ScriptedTrainer, scripted_curve

NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")


def make_job(trial: int, *, epochs: int = 3, **hyperparameters: Scalar) -> TrialJob:
    """Return a job for the scripted trainer."""
    return TrialJob(trial, "none:Model", hyperparameters, epochs=epochs, seed=trial, data=NOWHERE)


def events_of(engine: Engine, trial: int, *, within_s: float = 30) -> list[TrialEvent]:
    """Collect a trial's events up to its last."""
    found: list[TrialEvent] = []
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        found += [event for event in engine.events(timeout_s=1) if event.trial == trial]
        if found and isinstance(found[-1], Finished | Failed | Cancelled):
            return found
    raise AssertionError(f"no end of trial {trial} within {within_s} s; it gave {found}")


class EngineContract:
    """Subclasses give an engine that runs the scripted trainer."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """The engine under test."""
        raise NotImplementedError

    def test_events_of_a_job_come_in_order(self, engine: Engine) -> None:
        """Started, the scores of each epoch as the trainer gave them, Finished."""
        job = make_job(4)
        engine.submit(job)
        first, *epochs, last = events_of(engine, 4)
        assert first == Started(4, n_parameters=1000)
        assert [e.scores for e in epochs if isinstance(e, EpochDone)] == list(scripted_curve(job).epochs)
        assert last == Finished(4)

    def test_a_job_ends_once(self, engine: Engine) -> None:
        """After its last event a trial is no longer running and gives none."""
        engine.submit(make_job(0))
        assert list(engine.running) == [0]
        events_of(engine, 0)
        assert list(engine.running) == []
        assert engine.events(timeout_s=0.2) == []

    def test_a_worker_is_free_for_the_next_job(self, engine: Engine) -> None:
        """One job after another, on the same engine."""
        for trial in range(3):
            engine.submit(make_job(trial))
            assert isinstance(events_of(engine, trial)[-1], Finished)

    def test_no_more_jobs_than_slots(self, engine: Engine) -> None:
        """A job that finds no free slot is refused, and those that run are not disturbed."""
        for trial in range(engine.slots):
            engine.submit(make_job(trial, sleep_s=0.05))
        with pytest.raises(RuntimeError, match="slots are taken"):
            engine.submit(make_job(99))
        assert engine.running == tuple(range(engine.slots))
        ended: set[int] = set()
        while engine.running:
            ended |= {e.trial for e in engine.events(timeout_s=5) if isinstance(e, Finished)}
        assert ended == set(range(engine.slots))

    def test_a_trial_runs_once_at_a_time(self, engine: Engine) -> None:
        """A trial that is running is refused a second job."""
        engine.submit(make_job(0, sleep_s=0.05))
        with pytest.raises(RuntimeError, match="running already"):
            engine.submit(make_job(0))

    def test_an_expected_failure_keeps_its_reason(self, engine: Engine) -> None:
        """A `TrialError` becomes Failed with its reason and detail, after the epochs before it."""
        engine.submit(make_job(0, crash="fail", crash_epoch=1))
        *before, last = events_of(engine, 0)
        assert [type(event) for event in before] == [Started, EpochDone]
        assert last == Failed(0, "scripted failure", "scripted detail")

    def test_an_unexpected_error_fails_its_trial(self, engine: Engine) -> None:
        """Any other exception becomes Failed with its type and message, and the traceback as detail."""
        engine.submit(make_job(0, crash="raise"))
        last = events_of(engine, 0)[-1]
        assert isinstance(last, Failed)
        assert last.reason == "ValueError: scripted mistake"
        assert "Traceback" in last.detail

    def test_nan_fails_its_trial(self, engine: Engine) -> None:
        """Scores that are no numbers never come up: the trial fails and says which one it was."""
        engine.submit(make_job(0, crash="nan"))
        *before, last = events_of(engine, 0)
        assert not any(isinstance(event, EpochDone) for event in before)
        assert isinstance(last, Failed)
        assert "train_accuracy is nan after epoch 1" in last.reason

    def test_a_cancelled_trial_is_silent(self, engine: Engine) -> None:
        """After cancel `Cancelled` alone comes of the trial, and its slot is free; twice is no mistake."""
        engine.submit(make_job(0, sleep_s=0.05, epochs=100))
        while not engine.events(timeout_s=5):
            pass
        engine.cancel(0)
        engine.cancel(0)
        engine.cancel(12345)
        assert list(engine.running) == [0]
        assert events_of(engine, 0) == [Cancelled(0)]
        assert engine.running == ()
        assert engine.events(timeout_s=0.2) == []
        engine.submit(make_job(1))
        assert {event.trial for event in events_of(engine, 1)} == {1}

    def test_a_trial_can_run_again_after_cancel(self, engine: Engine) -> None:
        """A cancelled trial's number is free, and its new job starts from the beginning."""
        engine.submit(make_job(0, epochs=100, sleep_s=0.05))
        while not engine.events(timeout_s=5):
            pass
        engine.cancel(0)
        assert events_of(engine, 0) == [Cancelled(0)]
        engine.submit(make_job(0))
        assert [type(event) for event in events_of(engine, 0)] == [Started, *[EpochDone] * 3, Finished]

    def test_nothing_to_wait_for(self, engine: Engine) -> None:
        """Without a job, waiting ends at once."""
        began = time.monotonic()
        assert engine.events(timeout_s=20) == []
        assert time.monotonic() - began < 1

    def test_closing_ends_everything(self, engine: Engine) -> None:
        """After close nothing runs, nothing is taken, and closing again is no mistake."""
        engine.submit(make_job(0, sleep_s=0.05, epochs=100))
        engine.close()
        engine.close()
        assert engine.running == ()
        assert engine.events(timeout_s=0.2) == []
        with pytest.raises(RuntimeError, match="closed"):
            engine.submit(make_job(1))


class TestInlineEngine(EngineContract):
    """In this process."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """An engine without processes."""
        with InlineEngine(ScriptedTrainer()) as engine:
            yield engine

    def test_each_call_gives_one_event(self, engine: Engine) -> None:
        """The job advances by one event for each call, so that the caller can stop it between two."""
        engine.submit(make_job(0))
        assert [len(engine.events(timeout_s=0)) for _ in range(5)] == [1] * 5
        assert engine.running == ()

    def test_no_memory_of_its_own(self, engine: Engine) -> None:
        """The process's memory is not the job's, so none is told."""
        engine.submit(make_job(0))
        assert {e.peak_memory_mb for e in events_of(engine, 0) if isinstance(e, EpochDone)} == {None}


class TestLocalEngine(EngineContract):
    """In processes."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """An engine with two workers and nothing to preload."""
        with LocalEngine(2, trainer="fmnist_sweep.training.testing:ScriptedTrainer", preload=()) as engine:
            yield engine


class TestClusterEngine(EngineContract):
    """On two nodes of a cluster without Ray."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """An engine whose nodes have a slot each."""
        with ready(engine_on(FakeCluster({"a": 1, "b": 1})), 2) as engine:
            yield engine
