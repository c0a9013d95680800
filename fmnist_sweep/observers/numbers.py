"""What an epoch came to, as numbers by name, for whoever draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.score import ScoreRule


def rule_of(settings: Mapping[str, Any]) -> ScoreRule | None:
    """Return the score rule of a run's settings; None where they hold none, as those of final trainings."""
    score = settings.get("score")
    return None if score is None else ScoreRule(**score)


def numbers(scores: EpochScores, rule: ScoreRule | None) -> dict[str, float]:
    """Return an epoch's scores, and gap and score by the rule.

    Example:
        >>> numbers(EpochScores(0, {"mae": 3.0}, {"mae": 4.0}), ScoreRule("mae", penalty=1.0, tolerance=0.5))
        {'train/mae': 3.0, 'val/mae': 4.0, 'gap': 1.0, 'score': -4.5}
    """
    parts = (("train", scores.train), ("val", scores.val))
    found = {f"{part}/{name}": float(value) for part, of in parts for name, value in of.items()}
    if rule is not None:
        found |= {"gap": rule.gap(scores), "score": rule.score(scores)}
    return found


def by_epoch(curve: LearningCurve, rule: ScoreRule | None) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield each epoch of a curve, from 1, with its `numbers`."""
    for scores in curve.epochs:
        yield scores.epoch + 1, numbers(scores, rule)
