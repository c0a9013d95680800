"""Studies as pandas DataFrames: one row a study, one a trial, one an epoch.

Nothing here is rounded. Epochs count from 1, as everywhere that people or scripts read them; the stored
attributes and what Optuna calls a step count from 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.core.curves import METRICS, LearningCurve
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.core.wording import too_large_note, unmeasured_note
from fmnist_sweep.storage.lease.process import was_killed
from fmnist_sweep.storage.stored import is_measured

NUMBERS: Final = (
    "val_accuracy",
    "train_accuracy",
    "gap",
    "val_cross_entropy",
    "train_cross_entropy",
    "epoch",
    "n_epochs",
    "n_parameters",
    "seconds",
    "peak_memory_mb",
    "seed",
)
"""User attributes of a trial that become columns; NaN where a trial has none."""

READINGS: Final = "test_readings"
"""User attribute of a study: a list with an entry for each reading of the test set, oldest first."""

_WHOLE: Final = ("epoch", "n_epochs", "n_parameters", "seed")
_TRIAL_COLUMNS: Final = (
    "number",
    "state",
    "score",
    "pruned_score",
    *NUMBERS,
    "stopped_early",
    "fail_reason",
    "datetime_start",
    "datetime_complete",
)


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


def studies_frame(studies: Iterable[optuna.Study]) -> pd.DataFrame:
    """Return one row for each study.

    Returns:
        Columns ``name, model, n_trials, complete, pruned, failed, running, interrupted`` (see
        `is_interrupted`) ``, waiting, unmeasured`` (see `n_unmeasured`); of the best COMPLETE trial
        ``best_trial, score, val_accuracy, train_accuracy, gap, epoch`` (from 1) ``, n_parameters``;
        ``default_score`` and ``difference`` (best minus default score); over all trials ``seconds, epochs,
        last_activity``. Unknown numbers are NaN.
    """
    frame = pd.DataFrame([_study_row(study) for study in studies])
    return _whole_numbers(frame, ("best_trial", "epoch", "n_parameters"))


def _study_row(study: optuna.Study) -> dict[str, Any]:
    trials = study.get_trials(deepcopy=False)
    best = next(iter(best_trials(study, 1)), None)
    default = default_trial(study)
    score = _value(best)
    activity = [time for t in trials for time in (t.datetime_start, t.datetime_complete) if time is not None]
    states = [t.state for t in trials]
    n_running, interrupted = states.count(TrialState.RUNNING), is_interrupted(study)
    row: dict[str, Any] = {
        "name": study.study_name,
        "model": study.user_attrs.get("config", {}).get("model"),
        "n_trials": len(trials),
        "complete": states.count(TrialState.COMPLETE),
        "pruned": states.count(TrialState.PRUNED),
        "failed": states.count(TrialState.FAIL),
        "running": 0 if interrupted else n_running,
        "interrupted": n_running if interrupted else 0,
        "waiting": states.count(TrialState.WAITING),
        "unmeasured": n_unmeasured(study),
        "best_trial": np.nan if best is None else best.number,
        "score": score,
    }
    for name in ("val_accuracy", "train_accuracy", "gap", "epoch", "n_parameters"):
        row[name] = np.nan if best is None else _number(best.user_attrs, name)
    row["default_score"] = _value(default)
    row["difference"] = score - row["default_score"]
    row["seconds"] = sum(float(t.user_attrs.get("seconds", 0.0)) for t in trials)
    row["epochs"] = sum(_epochs_trained(t) for t in trials)
    row["last_activity"] = max(activity, default=pd.NaT)
    return row


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """Return one row for each trial, by number.

    Returns:
        Columns ``number, state, score`` (NaN unless COMPLETE) ``, pruned_score`` (the last report of a
        PRUNED trial: never to be ranked with scores) ``, val_accuracy, train_accuracy, gap,
        val_cross_entropy, train_cross_entropy, epoch`` (from 1) ``, n_epochs, n_parameters, seconds,
        peak_memory_mb, seed, stopped_early, fail_reason, datetime_start, datetime_complete`` and, as in
        Optuna's ``trials_dataframe``, ``params_NAME`` for each hyperparameter, fixed ones too.
    """
    trials = study.get_trials(deepcopy=False)
    names = dict.fromkeys(name for t in trials for name in hyperparameters(t))
    rows = []
    for trial in trials:
        attrs, values = trial.user_attrs, hyperparameters(trial)
        row: dict[str, Any] = {
            "number": trial.number,
            "state": trial.state.name,
            "score": _value(trial if trial.state == TrialState.COMPLETE else None),
            "pruned_score": _value(trial if trial.state == TrialState.PRUNED else None),
            **{name: _number(attrs, name) for name in NUMBERS},
            "stopped_early": bool(attrs.get("stopped_early", False)),
            "fail_reason": attrs.get("fail_reason"),
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        rows.append({**row, **{f"params_{name}": values.get(name) for name in names}})
    frame = pd.DataFrame(rows, columns=[*_TRIAL_COLUMNS, *(f"params_{name}" for name in names)])
    whole = [name for name in names if all(type(hyperparameters(t).get(name, 0)) is int for t in trials)]
    return _whole_numbers(frame, (*_WHOLE, *(f"params_{name}" for name in whole)))


def curves_frame(study: optuna.Study) -> pd.DataFrame:
    """Return one row for each trained epoch of each trial that has a curve.

    Returns:
        Columns ``number, state, epoch`` (from 1) ``, train_accuracy, train_cross_entropy, val_accuracy,
        val_cross_entropy, seconds, gap, score`` (by the study's rule) ``, scored`` (true at the epoch whose
        scores stand for the trial).
    """
    rule = score_rule(study)
    parts = []
    for trial in study.get_trials(deepcopy=False):
        curve = learning_curve(trial)
        if curve is None:
            continue
        part = pd.DataFrame({name: curve.values(name) for name in (*METRICS, "seconds")})
        part["number"], part["state"] = trial.number, trial.state.name
        part["epoch"] = np.arange(1, len(curve) + 1)
        part["gap"], part["score"] = rule.gaps(curve), rule.scores(curve)
        part["scored"] = part["epoch"] == _number(trial.user_attrs, "epoch")
        parts.append(part)
    columns = ["number", "state", "epoch", *METRICS, "seconds", "gap", "score", "scored"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class Rescored:
    """What another score rule picks among the trials that a study already holds.

    Attributes:
        rule: The other rule.
        trials: The COMPLETE trials that have a curve, best first by ``rule``: ``number, score, epoch``
            (from 1) ``, val_accuracy, train_accuracy, gap, n_parameters, own_score, own_epoch``.
        picked: Number of the trial that ``rule`` picks; None without a trial to pick.
        own_pick: Number of the study's own best trial.
        note: One sentence on what this does and does not answer.
    """

    rule: ScoreRule
    trials: pd.DataFrame
    picked: int | None
    own_pick: int | None
    note: str


def rescored(study: optuna.Study, rule: ScoreRule) -> Rescored:
    """Return what another penalty, tolerance or epoch rule would have picked, without training.

    Only the stored curves of COMPLETE trials are read: a sweep run with ``rule`` would have drawn and pruned
    other trials.
    """
    allowed = allowed_epochs(study)
    rows = []
    for trial in best_trials(study):
        curve = learning_curve(trial)
        if curve is not None:
            rows.append(_rescored_row(trial, curve, rule, allowed))
    frame = pd.DataFrame(rows)
    if rows:
        frame = frame.sort_values(
            ["score", "gap", "n_parameters", "number"], ascending=[False, True, True, True], ignore_index=True
        )
    own = next(iter(best_trials(study, 1)), None)
    return Rescored(
        rule=rule,
        trials=frame,
        picked=int(frame["number"].iloc[0]) if rows else None,
        own_pick=None if own is None else own.number,
        note=f"Picked from the stored curves of {len(rows)} complete trials; a sweep run with this rule "
        "would have drawn and pruned other trials.",
    )


def _rescored_row(
    trial: FrozenTrial, curve: LearningCurve, rule: ScoreRule, allowed: Collection[int] | None
) -> Mapping[str, Any]:
    epoch = rule.scored_epoch(curve, allowed=allowed)
    return {
        "number": trial.number,
        "score": float(rule.scores(curve)[epoch]),
        "epoch": epoch + 1,
        "val_accuracy": curve.epochs[epoch].val_accuracy,
        "train_accuracy": curve.epochs[epoch].train_accuracy,
        "gap": float(rule.gaps(curve)[epoch]),
        "n_parameters": trial.user_attrs.get("n_parameters", np.nan),
        "own_score": _value(trial),
        "own_epoch": _number(trial.user_attrs, "epoch"),
    }


def _whole_numbers(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    # Plain int64 has no missing value, so one gap would turn 300 units into 300.0.
    return frame.astype({name: "Int64" for name in columns if name in frame})


def _number(attrs: Mapping[str, Any], name: str) -> Any:
    """Return a number of a trial, its epoch counted from 1; NaN where it has none."""
    value = attrs.get(name, np.nan)
    return value + 1 if name == "epoch" else value


def _value(trial: FrozenTrial | None) -> float:
    return np.nan if trial is None or trial.value is None else trial.value


def _epochs_trained(trial: FrozenTrial) -> int:
    curve = learning_curve(trial)
    return int(trial.user_attrs.get("n_epochs", 0 if curve is None else len(curve)))
