"""What a study's rule chooses among its trials, from what is stored: no Optuna, for ``status`` has none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from fmnist_sweep.core.choosing import Scored, near_best
from fmnist_sweep.core.curves import SCORE_DECIMALS, StoredColumns
from fmnist_sweep.core.jobs import n_val_of
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.storage import attributes as names

_EARLIER_RULE: Final = {"penalty": 1.0}
"""What it means where no penalty is stored: its default when it was not always written down."""


class Told(Protocol):
    """A trial, however it was read."""

    @property
    def number(self) -> int:
        """Counted from 0."""

    @property
    def score(self) -> float | None:
        """Of a complete trial, at its own best epoch."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is stored of it, by `fmnist_sweep.storage.attributes`."""

    @property
    def columns(self) -> Mapping[str, Sequence[float]]:
        """Its curve; empty without."""


def stored_rule(attributes: Mapping[str, Any]) -> ScoreRule:
    """Return the rule that scored a study's trials, from its attributes."""
    of_objective = attributes.get(names.SCORE_RULE, {})
    score = attributes.get(names.CONFIG, {}).get("score", of_objective)
    return ScoreRule(**{**_EARLIER_RULE, **score})


def choice_among(trials: Iterable[Told], attributes: Mapping[str, Any]) -> dict[int, int]:
    """Return what `fmnist_sweep.core.choosing.near_best` does, of a study with some attributes.

    Args:
        trials: Its trials of this program. What has no score or no curve, and what is larger than the study
            allows now, is no candidate.
        attributes: What is stored of the study.
    """
    config, rule = attributes.get(names.CONFIG, {}), stored_rule(attributes)
    metric, limit = f"val_{rule.metric}", config.get("max_model_size")
    scored = [
        Scored(one.number, one.score, one.attributes[metric], one.columns)
        for one in trials
        if one.score is not None and metric in one.attributes and one.columns
        if not exceeds(limit, one.attributes.get(names.N_PARAMETERS))
    ]
    n_val = n_val_of(config, attributes.get(names.DATA, {}))
    return near_best(scored, rule, n_val=n_val, allowed=attributes.get(names.ALLOWED_EPOCHS))


def widest_band(attributes: Mapping[str, Any]) -> float | None:
    """Return how far below the best score a trial can't be and be chosen; None where the best is chosen."""
    within = stored_rule(attributes).within_se
    n_val = n_val_of(attributes.get(names.CONFIG, {}), attributes.get(names.DATA, {}))
    return within / math.sqrt(4 * n_val) if within and n_val else None


def at_epoch(
    columns: Mapping[str, Sequence[float]], attributes: Mapping[str, Any], epoch: int, rule: ScoreRule
) -> tuple[float, dict[str, Any]]:
    """Return the score and the attributes that a trial has if another epoch of its curve is the scored one.

    Args:
        columns: Its curve.
        attributes: What is stored of it.
        epoch: The epoch, from 0.
        rule: The rule that scores it.
    """
    curve = StoredColumns(columns)
    scores = [name for name in attributes if name.startswith(names.SCORE_PREFIXES)]
    there = {
        **{name: value for name, value in attributes.items() if name not in scores},
        **{name: columns[name][epoch] for name in scores if name in columns},
        names.EPOCH: epoch,
        names.GAP: round(float(rule.gaps(curve)[epoch]), SCORE_DECIMALS),
    }
    return float(rule.scores(curve)[epoch]), there
