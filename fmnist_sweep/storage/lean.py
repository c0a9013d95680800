"""A storage as a page of thousands of trials is made from it: without what takes most of its room.

optuna-dashboard sends all of a study with each of its pages, and looks through all that is kept beside the
study once for each trial: with a note for each, the answer on 5,000 trials takes minutes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Mapping
from itertools import groupby
from math import inf
from typing import Any, Final

from optuna.storages._cached_storage import _CachedStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.storage import attributes as names

MAX_WHOLE: Final = 1000
"""Trials of a study that is given as it is."""

N_WHOLE: Final = 300
"""Of a larger one, the best trials, which are."""

LEFT_OUT: Final = f"left out on this page, as it is no trial of the {N_WHOLE} best; see the note's picture"
"""What stands for a curve."""

_OF_TRIAL: Final = re.compile(r"dashboard:\d+:note_")
_PIECE: Final = re.compile(r"(dashboard:plot_data:.*:)(\d+)", re.DOTALL)


class LeanStorage(_CachedStorage):
    """An Optuna storage for reading: its trials are read once, and given without curves where they are many.

    Notes of trials are left out: whoever wants those asks the storage itself.
    """

    @override
    def get_all_studies(self) -> list[FrozenStudy]:
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = _lean_attributes(study.system_attrs)
        return studies

    @override
    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = super().get_all_trials(study_id, deepcopy, states)
        if len(trials) <= MAX_WHOLE:
            return trials
        sign = 1.0 if self.get_study_directions(study_id)[0] is StudyDirection.MINIMIZE else -1.0
        complete = [t for t in trials if t.state is TrialState.COMPLETE]
        best = sorted(complete, key=lambda t: (sign * t.values[0] if t.values else inf, t.number))
        whole = {t.number for t in best[:N_WHOLE]}
        return [t if t.number in whole else _lean(t) for t in trials]


def lacks_curve(shown: Mapping[str, Any]) -> bool:
    """Return whether a trial, as optuna-dashboard writes it on a page, is without its curve."""
    return any(attribute["value"] == LEFT_OUT for attribute in shown["user_attrs"])


def _lean(trial: FrozenTrial) -> FrozenTrial:
    lean = copy.copy(trial)
    lean.intermediate_values = {}
    if names.CURVE in trial.user_attrs:
        lean.user_attrs = {**trial.user_attrs, names.CURVE: LEFT_OUT}
    return lean


def _lean_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept beside a study without notes of its trials, and with each figure in one piece."""
    kept = {key: value for key, value in attributes.items() if not _OF_TRIAL.match(key)}
    pieces = [(found, key) for key in kept if (found := _PIECE.fullmatch(key))]
    pieces.sort(key=lambda piece: (piece[0][1], int(piece[0][2])))
    for prefix, parts in groupby(pieces, key=lambda piece: piece[0][1]):
        kept[f"{prefix}0"] = "".join(str(kept.pop(key)) for _, key in parts)
    return kept
