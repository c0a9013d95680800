"""The section ``[score]`` of a sweep file, and what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator

from fmnist_sweep.config.section import NonNegative, Section
from fmnist_sweep.core.errors import MetricNotRecordedError
from fmnist_sweep.core.metrics import (
    METRICS_BY_NAME,
    Direction,
    inferred_direction,
    is_share_of_right,
    metric_of,
)
from fmnist_sweep.core.score import EpochRule
from fmnist_sweep.core.space import FiniteFloat

WITHIN_SE: Final = 0.25
"""Default of ``score.within_se`` where the score is an accuracy and has no penalty."""


class ScoreSection(Section):
    """``[score]``: how a learning curve becomes one number; see `ScoreRule`.

    Attributes:
        metric: Left out, it follows from the data and the model: see `resolved_score`.
        within_se: Among the epochs of all trials within so many standard errors of the best score, that with
            the smallest validation loss is chosen; 0 takes the best score. Left out: see `errors_of_tie`.
    """

    direction: Direction | None = None
    metric: Annotated[str, Field(max_length=200)] = "accuracy"
    penalty: NonNegative = 0.0
    tolerance: NonNegative = 0.01
    epoch_rule: EpochRule = "best"
    min_val_accuracy: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    within_se: NonNegative | None = None

    @property
    def errors_of_tie(self) -> float:
        """The standard errors within which the smallest validation loss is chosen.

        By default those that docs/evidence.md ended with, for what it asked: shares of right answers, at each
        trial's best epoch, without a penalty. A penalty is a wish of its own.
        """
        if self.within_se is not None:
            return self.within_se
        asked = is_share_of_right(self.metric) and self.epoch_rule == "best" and not self.penalty
        return WITHIN_SE if asked else 0.0

    @field_validator("metric")
    @classmethod
    def _has_direction(cls, metric: str, info: ValidationInfo) -> str:
        """Refuse a metric of which it is not known whether more or less is better."""
        try:
            metric_of(metric, info.data.get("direction"))
        except MetricNotRecordedError as error:
            raise ValueError(str(error)) from None
        return metric


def resolved_score(score: ScoreSection, metrics: Sequence[str]) -> ScoreSection:
    """Return the settings of a score with what they leave out filled in for a model of one's own.

    The metric is the first that the model was compiled with, accuracy before any other, and the loss where
    there is none. A tolerance is in the metric's unit: where nobody gives it, 0.

    Args:
        score: As they were given.
        metrics: What the model measures, by the names that Keras logs; empty where it is one of ours.
    """
    given = score.model_fields_set
    metric = score.metric
    if metrics and "metric" not in given:
        known = [name for name in metrics if name != "loss" and inferred_direction(name) is not None]
        accurate = [name for name in known if name.endswith(("accuracy", "acc"))]
        metric = (accurate or known or ["loss"])[0]
    if metric in METRICS_BY_NAME:
        return score.model_copy(update={"metric": metric})
    tolerance = score.tolerance if "tolerance" in given else 0.0
    return score.model_copy(update={"metric": metric, "tolerance": tolerance})
