"""Trials that are paused: RUNNING while their run lasts, WAITING after it, and never finished."""

from __future__ import annotations

import copy

import optuna
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.storage import attributes as names


def is_paused(trial: FrozenTrial) -> bool:
    """Return whether a trial waits for its turn to go on."""
    return not trial.state.is_finished() and trial.user_attrs.get(names.PAUSED) is not None


def paused_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that an earlier run paused, by number: those that are WAITING."""
    # All are asked for: a storage in memory leaves out some that wait.
    return [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.WAITING and is_paused(t)]


def as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """Return a paused trial as a sampler is to see it, PRUNED with its last report; others as they are.

    Optuna knows no state for it: to a sampler a trial that is RUNNING has come to nothing yet.
    """
    if not is_paused(trial) or not trial.intermediate_values:
        return trial
    seen = copy.copy(trial)
    seen.state = TrialState.PRUNED
    seen.value = trial.intermediate_values[max(trial.intermediate_values)]
    return seen
