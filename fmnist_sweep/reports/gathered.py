"""What optuna-dashboard keeps beside a study, gathered and stored in one go.

It stores a note in three statements and a figure in dozens, each on its own, and reads all that is there for
each: minutes for a thousand trials.
"""

from __future__ import annotations

from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, Trial

from fmnist_sweep.reports.unused import without_sklearn
from fmnist_sweep.storage.bulk_writes import set_system_attributes

with without_sklearn():
    import optuna_dashboard


class Gathered:
    """A study as optuna-dashboard writes to it.

    Args:
        study: The study; what is kept beside it is read once, here.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self.kept: dict[str, Any] = study._storage.get_study_system_attrs(study._study_id)  # noqa: SLF001
        self._new: dict[str, Any] = {}

    def has_note(self, trial: FrozenTrial) -> bool:
        """Return whether a trial has a note."""
        return f"dashboard:{trial._trial_id}:note_ver" in self.kept  # noqa: SLF001 - as the dashboard does

    def figure(self, name: str, figure: go.Figure) -> None:
        """Take a figure, by its id; one of that id is replaced."""
        optuna_dashboard.save_plotly_graph_object(_Target(self), figure, graph_object_id=name)

    def note(self, words: str, *, trial: Trial | FrozenTrial | None = None) -> None:
        """Take a note of the study, or the first note of one of its trials; the same words change nothing."""
        target: Any = _Target(self, trial)
        if trial is not None or optuna_dashboard.get_note(target) != words:
            optuna_dashboard.save_note(target, words)

    def store(self) -> None:
        """Store what has changed."""
        set_system_attributes(self._study, self._new)
        self._new = {}

    # As a storage.

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002 - there is one study
        """Return what is kept, and what is new."""
        return self.kept

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ARG002 - as above
        """Take what is to be stored."""
        if key not in self.kept or self.kept[key] != value:
            self.kept[key] = self._new[key] = value


class _FirstNote:
    """A storage as save_note sees it where there is no note yet: it would look through all others."""

    def __init__(self, storage: Gathered) -> None:
        self.set_study_system_attr = storage.set_study_system_attr

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002 - of any study
        return {}


class _Target:
    """What optuna-dashboard reads of a study or a trial."""

    def __init__(self, gathered: Gathered, trial: Trial | FrozenTrial | None = None) -> None:
        self.storage = self._storage = gathered if trial is None else _FirstNote(gathered)
        self.study = self
        self._study_id = 0
        self._trial_id = None if trial is None else trial._trial_id  # noqa: SLF001


def save_note(study: optuna.Study, words: str, *, trial: Trial | FrozenTrial) -> None:
    """Write the note of one of a study's trials, in Markdown."""
    # The public save_note refuses finished trials though their notes, kept with the study, can be written.
    target: Any = _NoteTarget(study, trial)
    optuna_dashboard.save_note(target, words)


def note_of(study: optuna.Study, trial: Trial | FrozenTrial) -> str:
    """Return the note of one of a study's trials, in Markdown; empty where it has none."""
    target: Any = _NoteTarget(study, trial)
    return str(optuna_dashboard.get_note(target))


class _NoteTarget:
    """What save_note reads of a trial."""

    def __init__(self, study: optuna.Study, trial: Trial | FrozenTrial) -> None:
        self.study = study
        self.storage = study._storage  # noqa: SLF001
        self._trial_id = trial._trial_id  # noqa: SLF001
