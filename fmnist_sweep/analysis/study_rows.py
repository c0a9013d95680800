"""What is told of a study in one row. Nothing here loads pandas."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmnist_sweep.analysis.numbers import number_of, value_of
from fmnist_sweep.analysis.ranking import best_trials, default_trial, n_unmeasured
from fmnist_sweep.core.progress import PAUSED
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


def study_row(study: StoredStudy) -> dict[str, Any]:
    """Return the row of a study in `fmnist_sweep.analysis.frames.studies_frame`, by its columns.

    Numbers that are not known are NaN, and a time is None.
    """
    trials = study.trials
    damage = study.damage
    best = None if damage else next(iter(best_trials(study, 1)), None)
    default = None if damage else default_trial(study)
    score = value_of(best)
    activity = [time for t in trials for time in (t.datetime_start, t.datetime_complete) if time is not None]
    states = [t.told_state for t in trials]
    n_running, interrupted = states.count("RUNNING"), study.is_interrupted
    row: dict[str, Any] = {
        "name": study.name,
        "model": study.config.get("model"),
        "n_trials": len(trials),
        "complete": states.count("COMPLETE"),
        "pruned": states.count("PRUNED"),
        "paused": states.count(PAUSED),
        "failed": states.count("FAIL"),
        "running": 0 if interrupted else n_running,
        "interrupted": n_running if interrupted else 0,
        "waiting": states.count("WAITING"),
        "unmeasured": states.count("COMPLETE") if damage else n_unmeasured(study),
        "best_trial": np.nan if best is None else best.number,
        "score": score,
    }
    for name in ("val_accuracy", "train_accuracy", "gap", "epoch", "n_parameters"):
        row[name] = np.nan if best is None else number_of(best, name)
    shown = study.rule.shown_metric
    if shown != "accuracy":
        row |= {"metric": shown, "val": np.nan if best is None else number_of(best, f"val_{shown}")}
    row["default_score"] = value_of(default)
    row["difference"] = score - row["default_score"]
    row["seconds"] = sum(float(t.seconds or 0.0) for t in trials)
    row["epochs"] = sum(_epochs_trained(t) for t in trials)
    row["last_activity"] = max(activity, default=None)
    return {**row, "damaged": damage} if damage else row


def _epochs_trained(trial: StoredTrial) -> int:
    if trial.n_epochs is not None:
        return int(trial.n_epochs)
    return len(trial.columns.get("seconds", ()))
