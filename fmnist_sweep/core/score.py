"""Pure functions on learning curves: generalization gap, score, scored epoch.

The four scores of an epoch are measured after it with dropout off (see `EpochScores`). Keras's logged
training accuracy is a running mean over a changing model and its loss holds the L2 term: a gap taken from
them is off by more than the effect that the penalty acts on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from fmnist_sweep.core.curves import SCORE_DECIMALS, Curve, EpochScores, FloatArray, LearningCurve
from fmnist_sweep.core.metrics import METRICS_BY_NAME, Direction, Metric, metric_of

EpochRule: TypeAlias = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """How a learning curve becomes one number, higher is better.

    By default the score is the validation accuracy. A penalty takes a price for the gap::

        gap   = train_accuracy - val_accuracy
        score = val_accuracy - penalty * max(0, gap - tolerance)

    It buys a smaller gap, not a better test result: ``docs/evidence.md`` has what it costs.

    With ``metric="cross_entropy"`` the score is ``-val_cross_entropy - penalty * max(0, gap - tolerance)``
    with the gap ``val_cross_entropy - train_cross_entropy``, and so for any metric of which less is better.
    A positive gap is overfitting either way.

    Attributes:
        metric: The scored quantity: one of ours, or one that the model was compiled with, as Keras logs it.
        penalty: Score lost for each unit of gap beyond the tolerance; 0, the default, is the plain
            validation score.
        tolerance: Gap that costs nothing, in the metric's unit: 0.01 is one accuracy point.
        epoch_rule: ``"best"`` scores the best epoch among those the space allows, ``"last"`` the last one.
        min_val_accuracy: An epoch below this validation accuracy is scored by how far it falls short,
            under every epoch that reaches it; None sets no floor.
        direction: Whether more or less of the metric is better; None takes what its name tells.
        within_se: Among all epochs of all trials whose score is within so many standard errors of the best
            one, that with the smallest validation loss is chosen: see `fmnist_sweep.core.choosing`. It
            decides which trial and epoch win, not what an epoch scores; 0 takes the best score.

    Example:
        >>> curve = LearningCurve.from_scores(train=[0.86, 0.90, 0.95], val=[0.86, 0.88, 0.89])
        >>> ScoreRule().scored_epoch(curve)
        2
        >>> rule = ScoreRule(penalty=1.0)
        >>> rule.scores(curve).round(3).tolist()
        [0.86, 0.87, 0.84]
        >>> rule.scored_epoch(curve)
        1
    """

    metric: str = "accuracy"
    penalty: float = 0.0
    tolerance: float = 0.01
    epoch_rule: EpochRule = "best"
    min_val_accuracy: float | None = None
    direction: Direction | None = None
    within_se: float = 0.0

    @property
    def quantity(self) -> Metric:
        """The scored metric, with its direction and its unit."""
        return metric_of(self.metric, self.direction)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain values.

        A direction that follows from the metric's name is left out, and ``within_se`` where it is 0: what is
        stored of a rule stays what it was before there were such settings.
        """
        return {
            name: value
            for name, value in asdict(self).items()
            if not (name == "direction" and value is None) and not (name == "within_se" and not value)
        }

    @property
    def shown_metric(self) -> str:
        """The metric that people are told beside the score: accuracy, where the score is of classes."""
        return "accuracy" if self.metric in METRICS_BY_NAME else self.metric

    def gaps(self, curve: Curve) -> FloatArray:
        """Return the generalization gap after each epoch.

        Returns:
            Shape ``(n_epochs,)``, float64, in the metric's unit; positive values mean overfitting.
        """
        return generalization_gap(curve, metric=self.metric, direction=self.direction)

    def scores(self, curve: Curve) -> FloatArray:
        """Return the penalised score after each epoch.

        Returns:
            Shape ``(n_epochs,)``, float64, higher is better, at most the plain validation score; rounded
            to the decimals that scores are measured with.
        """
        metric = self.quantity
        score = metric.sign * curve.values(f"val_{self.metric}")
        if self.penalty:
            score = score - self.penalty * np.maximum(0.0, self.gaps(curve) - self.tolerance)
        if self.min_val_accuracy is not None:
            shortfall = self.min_val_accuracy - curve.values("val_accuracy")
            worst = -(1 + self.penalty) * metric.largest
            score = np.where(shortfall > 0, worst - shortfall, score)
        return np.round(score, SCORE_DECIMALS)

    def score(self, scores: EpochScores) -> float:
        """Return the penalised score of a single epoch: what is reported to the pruner."""
        return float(self.scores(_alone(scores))[0])

    def gap(self, scores: EpochScores) -> float:
        """Return the generalization gap of a single epoch, in the metric's unit.

        Example:
            >>> ScoreRule("mae").gap(EpochScores(4, {"mae": 3.0}, {"mae": 4.0}))
            1.0
        """
        return float(self.gaps(_alone(scores))[0])

    def scored_epoch(self, curve: LearningCurve, *, allowed: Collection[int] | None = None) -> int:
        """Return the epoch, from 0, whose scores stand for the trial.

        Args:
            curve: The trial's curve.
            allowed: Epochs, from 0, that the space allows; None allows all. Those beyond the curve's end
                are passed over, and where none is left the last epoch is taken.

        Returns:
            The first of the best allowed epochs under the rule ``"best"``, the last epoch under ``"last"``.

        Raises:
            ValueError: The curve is empty.
        """
        return self.best_epoch(self.scores(curve), allowed=allowed)

    def best_epoch(self, scores: FloatArray, *, allowed: Collection[int] | None = None) -> int:
        """Return what `scored_epoch` does, from the scores of the curve's epochs."""
        if not len(scores):
            raise ValueError("an empty learning curve has no scored epoch")
        candidates = self.open_epochs(len(scores), allowed=allowed)
        return candidates[int(np.argmax(scores[candidates]))]

    def open_epochs(self, n_epochs: int, *, allowed: Collection[int] | None = None) -> list[int]:
        """Return which of the first epochs, from 0, may stand for a trial; ``allowed`` as above."""
        last = n_epochs - 1
        if self.epoch_rule == "last":
            return [last]
        if allowed is None:
            return list(range(n_epochs))
        return sorted(e for e in allowed if e <= last) or [last]

    def scored(self, curve: LearningCurve, *, allowed: Collection[int] | None = None) -> dict[str, float]:
        """Return what is stored of the scored epoch beside the score: its number, its scores, its gap.

        Args:
            curve: The trial's curve.
            allowed: As for `scored_epoch`.

        Raises:
            ValueError: The curve is empty.
        """
        epoch = self.scored_epoch(curve, allowed=allowed)
        return {
            **curve.epochs[epoch].by_name(),
            "gap": round(float(self.gaps(curve)[epoch]), SCORE_DECIMALS),
            "epoch": epoch,
        }

    def stop_epoch(
        self, curve: LearningCurve, *, allowed: Collection[int] | None, patience: int | None
    ) -> int | None:
        """Return the epoch, from 0, after which patience ends a trial; None where it does not.

        Args:
            curve: The trial's curve so far.
            allowed: Epochs, from 0, that the space allows to be scored: patience waits for the first.
            patience: Epochs without a better score; None ends no trial.
        """
        if patience is None or allowed is None:
            return None
        scores, first = self.scores(curve), min(allowed)
        waited = (e for e in range(first, len(curve)) if e - int(scores[: e + 1].argmax()) >= patience)
        return next(waited, None)


def _alone(scores: EpochScores) -> LearningCurve:
    return LearningCurve((EpochScores(0, scores.train, scores.val),))


def generalization_gap(
    curve: Curve, *, metric: str = "accuracy", direction: Direction | None = None
) -> FloatArray:
    """Return how much better the model does on its training images, for each epoch.

    Args:
        curve: One trial's learning curve.
        metric: ``"accuracy"`` gives train minus validation accuracy, ``"cross_entropy"`` validation
            minus train cross-entropy, and so any other metric by its direction.
        direction: As in `ScoreRule`.

    Returns:
        Shape ``(n_epochs,)``, float64. Accuracy gaps are fractions: 0.03 is three accuracy points.
        Positive values mean overfitting.

    Raises:
        MetricNotRecordedError: ``metric`` is not recorded.

    Example:
        >>> curve = LearningCurve.from_scores(train=[0.70, 0.90], val=[0.68, 0.80])
        >>> generalization_gap(curve).round(2).tolist()
        [0.02, 0.1]

    References:
        Prechelt (1998), "Early Stopping - But When?".
    """
    train, val = curve.values(f"train_{metric}"), curve.values(f"val_{metric}")
    return metric_of(metric, direction).sign * (train - val)


def exceeds(limit: int | None, n_parameters: int | None) -> bool:
    """Return whether so many weights are more than the limit; False where either is not known."""
    return limit is not None and n_parameters is not None and n_parameters > limit
