"""Which trial and epoch are chosen among those that the validation part can't tell apart.

The best of many scores is partly luck. Among all epochs of all trials within a fraction of a standard error
of the best score, the one with the smallest validation loss is chosen: on every data set that was tried its
test log loss was lower than that of the best score, at no shown cost in accuracy (``docs/evidence.md``). It
is the one-standard-error rule of Breiman et al. (1984), with the loss in place of the size of a tree.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fmnist_sweep.core.curves import StoredColumns
from fmnist_sweep.core.metrics import is_share_of_right
from fmnist_sweep.core.score import ScoreRule

LOSSES: Final = ("val_cross_entropy", "val_loss")
"""Columns of a curve that hold the validation loss, the first one first: without any penalty on weights."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What is asked of a complete trial.

    Attributes:
        number: Its number.
        score: Its own score, at its own best epoch; higher is better.
        val: Its validation metric there, in the metric's unit.
        columns: Its curve, as it is stored.
    """

    number: int
    score: float
    val: float
    columns: Mapping[str, Sequence[float]]


def standard_error(metric: str, value: float, n: int) -> float | None:
    """Return the standard error of a metric over so many examples; None where it does not follow from them.

    That of a share of right answers follows from the share: ``sqrt(a (1 - a) / n)``.

    Example:
        >>> standard_error("accuracy", 0.9, 900), standard_error("mae", 0.9, 900)
        (0.01, None)
    """
    if n < 1 or not 0 <= value <= 1 or not is_share_of_right(metric):
        return None
    return round(math.sqrt(value * (1 - value) / n), 12)


def band(rule: ScoreRule, best: Scored, n_val: int) -> float | None:
    """Return the lowest score that can't be told from the best; None where the rule takes the best itself."""
    error = standard_error(rule.metric, best.val, n_val) if rule.within_se else None
    # Less what arithmetic rounds: the report's page does the same sum.
    return None if error is None else best.score - rule.within_se * error - 1e-12


def near_best(
    trials: Iterable[Scored], rule: ScoreRule, *, n_val: int, allowed: Collection[int] | None
) -> dict[int, int]:
    """Return the trials that can't be told from the best, at the epoch of each that would be chosen.

    Args:
        trials: Complete trials that may be chosen.
        rule: The rule that scored them.
        n_val: Number of validation examples.
        allowed: The epochs, from 0, that may be scored; None allows all.

    Returns:
        Epochs, from 0, by the trials' numbers, the choice first: by validation loss, then by score, then by
        number. Empty where the rule takes the best score, the metric's standard error isn't known, or the
        best trial has no validation loss.

    Example:
        >>> one = {"val_accuracy": [0.90, 0.89], "val_loss": [0.40, 0.30]}
        >>> other = {"val_accuracy": [0.896, 0.90], "val_loss": [0.29, 0.35]}
        >>> trials = [Scored(0, 0.9, 0.9, one), Scored(1, 0.9, 0.9, other)]
        >>> near_best(trials, ScoreRule(within_se=0.5), n_val=900, allowed=None)
        {1: 0, 0: 0}
    """
    trials = list(trials)
    best = max(trials, key=lambda trial: trial.score, default=None)
    lowest = None if best is None else band(rule, best, n_val)
    if best is None or lowest is None or _loss(best) is None:
        return {}
    found = []
    for trial in trials:
        loss = _loss(trial)
        if trial.score < lowest or loss is None:
            continue
        scores = rule.scores(StoredColumns(trial.columns))
        near = [e for e in rule.open_epochs(len(scores), allowed=allowed) if scores[e] >= lowest]
        if near:
            epoch = min(near, key=lambda e: (loss[e], -scores[e], e))
            found.append((loss[epoch], -float(scores[epoch]), trial.number, epoch))
    return {number: epoch for _, _, number, epoch in sorted(found)}


def _loss(trial: Scored) -> Sequence[float] | None:
    return next((trial.columns[name] for name in LOSSES if name in trial.columns), None)
