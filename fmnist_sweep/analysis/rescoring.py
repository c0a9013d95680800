"""What another score rule would have picked, from stored curves alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from fmnist_sweep.analysis.numbers import number_of, value_of
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.core.choosing import Scored, near_best
from fmnist_sweep.core.curves import FloatArray, StoredColumns
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Replayed:
    """A trial as a score rule sees it at one epoch of its stored curve.

    Attributes:
        trial: The trial.
        epoch: The epoch, from 0.
        score: By the rule.
        val: Its validation score in the rule's metric.
        train: Its training score in the rule's metric.
        gap: In the rule's metric; positive is overfitting.
    """

    trial: StoredTrial
    epoch: int
    score: float
    val: float
    train: float
    gap: float

    @property
    def at(self) -> tuple[int, int]:
        """The trial's number and the epoch: what is picked."""
        return self.trial.number, self.epoch

    def measured(self, name: str) -> float | None:
        """Return another quantity of that epoch, such as ``"val_accuracy"``; None where it has none."""
        column = self.trial.columns.get(name)
        return None if column is None else column[self.epoch]


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
    ranked = replayed(best_trials(study), rule, allowed=study.allowed_epochs, n_val=study.n_val)
    rows = [_rescored_row(one) for one in ranked]
    # Half a second and 90 MB that a run's ending and `trials` do without: they ask for what stands below.
    import pandas as pd  # noqa: PLC0415

    frame = pd.DataFrame(rows)
    own = next(iter(best_trials(study, 1)), None)
    return Rescored(
        rule=rule,
        trials=frame,
        picked=int(frame["number"].iloc[0]) if rows else None,
        own_pick=None if own is None else own.number,
        note=f"Picked from the stored curves of {len(rows)} complete trials; a sweep run with this rule "
        "would have drawn and pruned other trials.",
    )


def replayed(
    trials: Iterable[StoredTrial], rule: ScoreRule, *, allowed: Collection[int] | None, n_val: int = 0
) -> list[Replayed]:
    """Return the trials that have a curve as a rule scores them, best first.

    Args:
        trials: The trials.
        rule: Any rule.
        allowed: The epochs, from 0, that may be scored; None allows all.
        n_val: Number of validation examples: without it ``rule.within_se`` can't act.

    Returns:
        Sorted by score; equal scores by the smaller gap, then by fewer weights, then by number. Before them
        what the rule can't tell from the best: see `fmnist_sweep.core.choosing.near_best`.
    """
    found = []
    for trial in trials:
        if len(curve := StoredColumns(trial.columns)):
            scores = rule.scores(curve)
            found.append(at_epoch(trial, rule, rule.best_epoch(scores, allowed=allowed), scores))

    def key(one: Replayed) -> tuple[float, float, float, int]:
        size = one.trial.n_parameters
        return (-one.score, one.gap, inf if size is None else size, one.trial.number)

    ranked = sorted(found, key=key)
    scored = [Scored(one.trial.number, one.score, one.val, one.trial.columns) for one in ranked]
    near = near_best(scored, rule, n_val=n_val, allowed=allowed)
    by_number = {one.trial.number: one.trial for one in ranked}
    chosen = [at_epoch(by_number[number], rule, epoch) for number, epoch in near.items()]
    return [*chosen, *(one for one in ranked if one.trial.number not in near)]


def at_epoch(trial: StoredTrial, rule: ScoreRule, epoch: int, scores: FloatArray | None = None) -> Replayed:
    """Return what a rule says of one epoch, from 0, of a trial's curve, whose scores may be known."""
    curve = StoredColumns(trial.columns)
    scores = rule.scores(curve) if scores is None else scores
    val, train = (trial.columns[f"{part}_{rule.metric}"][epoch] for part in ("val", "train"))
    gap = float(rule.gaps(curve)[epoch])
    return Replayed(trial, epoch, score=float(scores[epoch]), val=val, train=train, gap=gap)


def _rescored_row(one: Replayed) -> Mapping[str, Any]:
    trial = one.trial
    return {
        "number": trial.number,
        "score": one.score,
        "epoch": one.epoch + 1,
        "val_accuracy": one.measured("val_accuracy"),
        "train_accuracy": one.measured("train_accuracy"),
        "gap": one.gap,
        "n_parameters": number_of(trial, "n_parameters"),
        "own_score": value_of(trial),
        "own_epoch": number_of(trial, "epoch"),
    }
