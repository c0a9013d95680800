"""An observer that takes its time holds up no run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.core.observer import Observer, Observers
from fmnist_sweep.core.progress import EndedTrial, Stop
from fmnist_sweep.observers import threaded
from fmnist_sweep.observers.threaded import Threaded


class Slow(Observer):
    """Waits to be let on, and keeps what it was told."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.told: list[Any] = []

    @override
    def on_start(self, study: str, settings: Any) -> None:
        self.go_on.wait(10)
        self.told.append((study, settings))

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        if trial.state == "FAIL":
            raise ConnectionError("the server is away")
        self.told.append(trial.number)

    @override
    def on_end(self, stop: Stop | None) -> None:
        self.told.append(stop)


def ended(number: int, state: str = "COMPLETE") -> EndedTrial:
    """A trial that ended."""
    return EndedTrial(number, state, 0.5, "")


@pytest.fixture
def job(data: DataRef) -> TrialJob:
    """Any job."""
    return TrialJob(0, "dense", {}, 1, 0, data, SplitSpec(10), n_probe=20, batch_size=8)


def test_a_run_goes_on_while_its_observer_waits(job: TrialJob) -> None:
    """It is told everything, in order, and the end of the run waits for it."""
    slow = Slow()
    observer = Threaded(slow)
    observer.on_start("tiny", {})
    for number in range(3):
        observer.on_trial_end(ended(number), job, LearningCurve(()))
    assert slow.told == []
    slow.go_on.set()
    observer.on_end(Stop.TRIALS)
    assert slow.told == [("tiny", {}), 0, 1, 2, Stop.TRIALS]


def test_what_it_raises_is_reported_once(job: TrialJob) -> None:
    """As of any observer; what came after it is dropped."""
    slow, said = Slow(), list[str]()
    slow.go_on.set()
    observer = Threaded(slow)
    both = Observers([observer], said.append)
    both.on_start("tiny", {})
    both.on_trial_end(ended(0, "FAIL"), job, LearningCurve(()))
    observer._thread.join(10)
    for number in (1, 2):
        both.on_trial_end(ended(number), job, LearningCurve(()))
    both.on_end(Stop.TRIALS)
    assert len(said) == 1
    assert "the observer Slow failed" in said[0]
    assert "the server is away" in said[0]
    assert slow.told == [("tiny", {})]


def test_one_that_falls_too_far_behind_or_never_ends_is_given_up(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither memory nor the end of a run is its."""
    monkeypatch.setattr(threaded, "_MOST_WAITING", 2)
    slow = Slow()
    observer = Threaded(slow, last_wait_s=0.01)
    observer.on_start("tiny", {})
    said: list[str] = []
    told = Observers([observer], said.append)
    for number in range(4):
        told.on_trial_end(ended(number), job, LearningCurve(()))
    assert "2 of its calls wait: it is too slow for this run" in said[0]
    late = Threaded(waiting := Slow(), last_wait_s=0.01)
    monkeypatch.setattr(threaded, "_MOST_WAITING", 10)
    late.on_start("tiny", {})
    with pytest.raises(TimeoutError):
        late.on_end(None)
    slow.go_on.set()
    waiting.go_on.set()


def test_a_bundle_is_told_though_no_run_is_about(tmp_path: Path) -> None:
    """At once, and whatever it raises is raised here."""

    class Away(Observer):
        @override
        def on_export(self, study: str, bundle: Path) -> None:
            raise ConnectionError(f"{study} {bundle.name}")

    said: list[str] = []
    Observers([Threaded(Away())], said.append).on_export("dense", tmp_path / "bundle")
    assert len(said) == 1
    assert said[0].endswith("dense bundle.")
