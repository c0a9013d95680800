"""Which trials count, in which order: the best, the candidates, the default, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.core.wording import edited_note, too_large_note, unmeasured_note
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


def measured_trials(study: StoredStudy) -> list[StoredTrial]:
    """Return the COMPLETE trials that can be ranked, by number: in a scored study those that it measured.

    Of another tool's study these are the trials with one value: those of several objectives have no order.
    """
    complete = study.in_state("COMPLETE")
    return [t for t in complete if (t.is_ours if study.is_scored else t.value is not None)]


def n_unmeasured(study: StoredStudy) -> int:
    """Return how many COMPLETE trials of a sweep's study another tool has told."""
    return len(study.in_state("COMPLETE")) - len(measured_trials(study))


def best_trials(study: StoredStudy, n: int | None = None) -> list[StoredTrial]:
    """Return the best of the `measured_trials`, best first.

    Args:
        study: The study.
        n: At most so many; None returns all.

    Returns:
        Sorted by score; equal scores by the smaller gap, then by fewer weights, then by number. Before them
        all those that the study's rule can't tell from the best, as `StoredStudy.near_best` has them.
    """
    if study not in _RANKED:
        place = {number: i for i, number in enumerate(study.near_best)}
        _RANKED[study] = tuple(
            sorted(measured_trials(study), key=lambda t: (place.get(t.number, len(place)), t.rank))
        )
    return list(_RANKED[study][:n])


_RANKED: Final[WeakKeyDictionary[StoredStudy, tuple[StoredTrial, ...]]] = WeakKeyDictionary()
"""The trials of each study in their order: a page asks for them a dozen times."""


def candidates(study: StoredStudy, n: int | None = None) -> list[StoredTrial]:
    """Return the `best_trials` that may be confirmed and handed out: none is larger than the sweep allows.

    Args:
        study: The study.
        n: At most so many; None returns all.
    """
    return [t for t in best_trials(study) if not exceeds(study.size_limit, t.n_parameters)][:n]


def left_out_notes(study: StoredStudy) -> list[str]:
    """Return how many complete trials are no `candidates`, and which trained an edited model.

    A sentence for each reason.
    """
    foreign = n_unmeasured(study)
    limit = study.size_limit
    too_large = sum(exceeds(limit, t.n_parameters) for t in measured_trials(study))
    notes = [unmeasured_note(foreign)] if foreign else []
    if limit is not None and too_large:
        notes.append(too_large_note(too_large, limit))
    edited = [t.number for t in study.trials if study.is_edited(t)]
    if edited:
        notes.append(edited_note(edited))
    return notes


def default_trial(study: StoredStudy) -> StoredTrial | None:
    """Return the trial of the model's default configuration, the baseline, or None before it is measured."""
    return next((t for t in measured_trials(study) if t.number == study.default_trial), None)


def non_dominated(trials: Sequence[StoredTrial], rule: ScoreRule) -> list[StoredTrial]:
    """Return the trials that no other beats in both validation score and gap, by rising gap.

    Args:
        trials: Trials that have a gap and the rule's validation score.
        rule: Names the score.
    """
    sign = rule.quantity.sign
    front: list[StoredTrial] = []
    best = -np.inf

    def value(trial: StoredTrial) -> float:
        return sign * float(trial.scores[f"val_{rule.metric}"])

    def gap(trial: StoredTrial) -> float:
        return np.inf if trial.gap is None else trial.gap

    for trial in sorted(trials, key=lambda t: (gap(t), -value(t))):
        if value(trial) > best:
            front.append(trial)
            best = value(trial)
    return front


def neighbours(front: Sequence[StoredTrial], trial: StoredTrial) -> list[StoredTrial]:
    """Return the trials of a front with the next smaller and the next larger gap than a trial has.

    Args:
        front: By rising gap, as `non_dominated` gives it.
        trial: A trial, which may lie off the front.

    Returns:
        Two at the most; none for a trial without a gap.
    """
    if trial.gap is None:
        return []
    smaller = [t for t in front if t.gap is not None and t.gap < trial.gap]
    larger = [t for t in front if t.gap is not None and t.gap > trial.gap]
    return [*smaller[-1:], *larger[:1]]
