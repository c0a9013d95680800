"""What is told of a run while it goes on: to a display, a file, a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.events import Noted, TrialEvent
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.progress import EndedTrial, Progress, Stop


class Observer:
    """Does nothing: a subclass overrides what it wants to be told.

    An observer changes nothing of a run. One that raises is reported once, is told nothing more, and stops
    no run.
    """

    def __str__(self) -> str:
        """Return what it is called where it is reported."""
        return type(self).__name__

    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        """Learn that a run begins.

        Args:
            study: Name of the study.
            settings: Of the sweep, laid out like a sweep file, with the resolved space.
        """

    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        """Learn what came from a running trial: that it started, that an epoch was measured."""

    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        """Learn how a trial ended, after the study was told.

        Args:
            trial: Its number, state and score, and why it failed if it did.
            job: What was trained.
            curve: What it came to; empty where no epoch was measured.
        """

    def on_progress(self, progress: Progress) -> None:
        """Learn what the run is at, as often as something happens.

        From 100 trials side by side on, what those in training are at (``progress.running``) is told anew
        less often: looking at them takes a twentieth of the run's time at the most.
        """

    def on_end(self, stop: Stop | None) -> None:
        """Learn why the run ended; None where an error ended it."""

    def on_export(self, study: str, bundle: Path) -> None:
        """Learn that a bundle was written, with no run about it.

        Args:
            study: Name of the study.
            bundle: Its folder.
        """


class ProgressObserver(Observer):
    """Calls a function with the progress, and does nothing else."""

    def __init__(self, call: Callable[[Progress], None]) -> None:
        self._call = call

    def on_progress(self, progress: Progress) -> None:
        """Hand the progress on."""
        self._call(progress)


class NoteTeller(Observer):
    """Tells the user what trainings note, each note once however many note it.

    Args:
        say: Takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()

    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        """Tell a note that is new."""
        del job
        if isinstance(event, Noted) and event.note not in self._told:
            self._told.add(event.note)
            self._say(f"Note: {event.note}.")


class Observers(Observer):
    """Several observers as one, none of which can stop a run.

    Args:
        observers: Told in this order.
        say: Takes the line that reports one that failed.
    """

    def __init__(self, observers: Iterable[Observer], say: Callable[[str], None]) -> None:
        self._observers = list(observers)
        self._say = say

    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        """Tell all of them that a run begins."""
        self._tell(lambda observer: observer.on_start(study, settings))

    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        """Tell all of them what came from a running trial."""
        self._tell(lambda observer: observer.on_event(event, job))

    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        """Tell all of them how a trial ended."""
        self._tell(lambda observer: observer.on_trial_end(trial, job, curve))

    def on_progress(self, progress: Progress) -> None:
        """Tell all of them what the run is at."""
        self._tell(lambda observer: observer.on_progress(progress))

    def on_end(self, stop: Stop | None) -> None:
        """Tell all of them why the run ended."""
        self._tell(lambda observer: observer.on_end(stop))

    def on_export(self, study: str, bundle: Path) -> None:
        """Tell all of them that a bundle was written."""
        self._tell(lambda observer: observer.on_export(study, bundle))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            try:
                call(observer)
            except Exception as error:  # noqa: BLE001 - an observer may be anybody's code
                self._observers.remove(observer)
                self._say(
                    f"Note: the observer {observer} failed and is told nothing more: {one_line(error)}."
                )
