"""What another score rule would have picked, from stored curves alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fmnist_sweep.analysis.frames import number_of, value_of
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


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


def rescored(study: StoredStudy, rule: ScoreRule) -> Rescored:
    """Return what another penalty, tolerance or epoch rule would have picked, without training.

    Only the stored curves of COMPLETE trials are read: a sweep run with ``rule`` would have drawn and pruned
    other trials.
    """
    allowed = study.allowed_epochs
    rows = [
        _rescored_row(trial, trial.curve, rule, allowed)
        for trial in best_trials(study)
        if trial.curve is not None
    ]
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
    trial: StoredTrial, curve: LearningCurve, rule: ScoreRule, allowed: Collection[int] | None
) -> Mapping[str, Any]:
    epoch = rule.scored_epoch(curve, allowed=allowed)
    return {
        "number": trial.number,
        "score": float(rule.scores(curve)[epoch]),
        "epoch": epoch + 1,
        "val_accuracy": float(curve.values("val_accuracy")[epoch]),
        "train_accuracy": float(curve.values("train_accuracy")[epoch]),
        "gap": float(rule.gaps(curve)[epoch]),
        "n_parameters": number_of(trial, "n_parameters"),
        "own_score": value_of(trial),
        "own_epoch": number_of(trial, "epoch"),
    }
