"""Observers: told what happens, and unable to stop a run."""

from __future__ import annotations

from typing import Any

from fmnist_sweep.core.events import Noted, Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.observer import NoteTeller, Observer, Observers
from fmnist_sweep.core.progress import Stop


class Noting(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_start(self, study: str, settings: Any) -> None:
        """Keep the study's name and settings."""
        self.told.append((study, settings))

    def on_end(self, stop: Stop | None) -> None:
        """Keep the reason."""
        self.told.append(stop)


class Broken(Noting):
    """Fails at the start."""

    def on_start(self, study: str, settings: Any) -> None:
        """Raise."""
        super().on_start(study, settings)
        raise OSError("no such server")


def test_an_observer_that_fails_is_reported_once_and_left_out() -> None:
    """The others are told all the same, and nothing is raised."""
    broken, noting, said = Broken(), Noting(), list[str]()
    observers = Observers([broken, noting], said.append)
    observers.on_start("tiny", {})
    observers.on_end(Stop.TRIALS)
    assert noting.told == [("tiny", {}), Stop.TRIALS]
    assert broken.told == [("tiny", {})]
    assert said == ["Note: the observer Broken failed and is told nothing more: OSError: no such server."]


def test_a_note_is_told_once_however_many_trainings_note_it(data: DataRef) -> None:
    """Each training of one model would note the same."""
    said = list[str]()
    teller, job = NoteTeller(said.append), TrialJob(0, "net:Net", {}, epochs=1, seed=0, data=data.key)
    for event in (Started(0, 10), Noted(0, "a"), Noted(1, "b"), Noted(2, "a")):
        teller.on_event(event, job)
    assert said == ["Note: a.", "Note: b."]
