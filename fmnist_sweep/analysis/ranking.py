"""Which trials count, in which order: the best, the candidates, the default, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.metrics import metric_of
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.core.wording import too_large_note, unmeasured_note
from fmnist_sweep.storage.lease.process import was_killed
from fmnist_sweep.storage.stored import is_measured

READINGS: Final = "test_readings"
"""User attribute of a study: a list with an entry for each reading of the test set, oldest first."""


def score_rule(study: optuna.Study) -> ScoreRule:
    """Return the rule that scored a study's trials."""
    return ScoreRule(**study.user_attrs.get("config", {}).get("score", {}))


def allowed_epochs(study: optuna.Study) -> list[int] | None:
    """Return the epochs, from 0, that the study's space allows to be scored; None allows all."""
    allowed: list[int] | None = study.user_attrs.get("allowed_epochs")
    return allowed


def readings_of(study: optuna.Study) -> Sequence[Mapping[str, Any]]:
    """Return all readings of the test set for a study, oldest first.

    Returns:
        Of each: ``when`` (ISO 8601), ``what`` (words), ``trial``, ``key`` (of the configuration and its
        training), ``n_models``, ``reason`` and ``complete``: whether what was read could be stored.
    """
    return tuple(study.user_attrs.get(READINGS, ()))


def learning_curve(trial: FrozenTrial) -> LearningCurve | None:
    """Return a trial's stored curve, or None where it has none or trained no epoch."""
    stored = trial.user_attrs.get("curve")
    curve = None if stored is None else LearningCurve.from_attribute(stored)
    return curve if curve is not None and len(curve) else None


def hyperparameters(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial's whole configuration, fixed values too; of one that never ran, what was drawn."""
    return dict(trial.user_attrs.get("hyperparameters", trial.params))


def is_interrupted(study: optuna.Study) -> bool:
    """Return whether a study's run was killed: its RUNNING trials wait for the next one to take them up."""
    return was_killed(study.user_attrs.get("owner"))


def measured_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the COMPLETE trials that can be ranked, by number: in a sweep's study those that it measured."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return (
        [t for t in complete if is_measured(t.user_attrs)]
        if "config_digest" in study.user_attrs
        else complete
    )


def n_unmeasured(study: optuna.Study) -> int:
    """Return how many COMPLETE trials of a sweep's study another tool has told."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return len(complete) - len(measured_trials(study))


def best_trials(study: optuna.Study, n: int | None = None) -> list[FrozenTrial]:
    """Return the best of the `measured_trials`, best first.

    Args:
        study: The study.
        n: At most so many; None returns all.

    Returns:
        Sorted by score; equal scores by the smaller gap, then by fewer weights, then by number.
    """

    def key(trial: FrozenTrial) -> tuple[float, float, float, int]:
        attrs = trial.user_attrs
        value = -np.inf if trial.value is None else trial.value
        gap, size = attrs.get("gap", np.inf), attrs.get("n_parameters", np.inf)
        return (-value, float(gap), float(size), trial.number)

    return sorted(measured_trials(study), key=key)[:n]


def size_limit(study: optuna.Study) -> int | None:
    """Return the ``max_model_size`` of the study's last run, read from the storage; None without one."""
    limit: int | None = study.user_attrs.get("config", {}).get("max_model_size")
    return limit


def candidates(study: optuna.Study, n: int | None = None) -> list[FrozenTrial]:
    """Return the `best_trials` that may be confirmed and handed out: none is larger than the sweep allows.

    Args:
        study: The study.
        n: At most so many; None returns all.
    """
    # A study reads its attributes from the storage each time: once, not for each of its trials.
    limit = size_limit(study)
    return [t for t in best_trials(study) if not exceeds(limit, t.user_attrs.get("n_parameters"))][:n]


def left_out_notes(study: optuna.Study) -> list[str]:
    """Return how many complete trials are no `candidates`, a sentence for each reason."""
    foreign = n_unmeasured(study)
    limit = size_limit(study)
    too_large = sum(exceeds(limit, t.user_attrs.get("n_parameters")) for t in measured_trials(study))
    notes = [unmeasured_note(foreign)] if foreign else []
    if limit is not None and too_large:
        notes.append(too_large_note(too_large, limit))
    return notes


def default_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the trial of the model's default configuration, the baseline, or None before it is measured."""
    number = study.user_attrs.get("default_trial")
    return next((t for t in measured_trials(study) if t.number == number), None)


def non_dominated(trials: Sequence[FrozenTrial], rule: ScoreRule) -> list[FrozenTrial]:
    """Return the trials that no other beats in both validation score and gap, by rising gap."""
    sign = metric_of(rule.metric).sign
    front: list[FrozenTrial] = []
    best = -np.inf

    def value(trial: FrozenTrial) -> float:
        return sign * float(trial.user_attrs[f"val_{rule.metric}"])

    for trial in sorted(trials, key=lambda t: (t.user_attrs["gap"], -value(t))):
        if value(trial) > best:
            front.append(trial)
            best = value(trial)
    return front
