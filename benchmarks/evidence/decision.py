"""The decision that ``plan.md`` fixed beforehand, as code: which rule passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.evidence.effects import Replayed, effect
from benchmarks.evidence.rules import CROSS_ENTROPY, PLAIN, RULES

LEAST_DRAWS: Final = 6
MOST_COST: Final = 0.001
MOST_UPPER_COST: Final = 0.003
LEAST_GAIN: Final = 0.01
LOSS: Final = "log_loss"


@dataclass(frozen=True)
class Verdict:
    """What a rule costs at worst, and what it gains.

    Attributes:
        rule: Its name.
        cost: Largest mean cost in the test metric over the problems with `LEAST_DRAWS`, as a fraction.
        upper_cost: Largest upper end of a cost's interval over the same.
        few_cost: Largest mean cost over the problems with fewer draws; 0 where there are none.
        gain: Mean fall of the test log loss over the problems with classes.
        keeps_loss: Whether its log loss is surely below that of plain and of cross-entropy everywhere.
    """

    rule: str
    cost: float
    upper_cost: float
    few_cost: float
    gain: float
    keeps_loss: bool

    @property
    def is_cheap(self) -> bool:
        """Whether it costs no more than the plan allows."""
        few = self.few_cost <= MOST_UPPER_COST
        return self.cost <= MOST_COST and self.upper_cost <= MOST_UPPER_COST and few

    @property
    def passes(self) -> bool:
        """Whether it may become the default."""
        return self.is_cheap and self.gain >= LEAST_GAIN


def verdicts(replayed: Mapping[str, Replayed]) -> list[Verdict]:
    """Return a verdict for each rule but plain, the largest gain first."""
    found = [_verdict(rule, replayed) for rule in RULES if rule != PLAIN]
    return sorted(found, key=lambda verdict: (not verdict.passes, -verdict.gain))


def _verdict(rule: str, replayed: Mapping[str, Replayed]) -> Verdict:
    effects = {name: effect(these, rule, "test") for name, these in replayed.items()}
    enough = [found for found in effects.values() if found.n >= LEAST_DRAWS]
    few = [found for found in effects.values() if found.n < LEAST_DRAWS]
    classes = {name: these for name, these in replayed.items() if "ece" in these[0][PLAIN]}
    against = [
        effect(these, rule, LOSS, against=other)
        for these in classes.values()
        for other in (PLAIN, CROSS_ENTROPY)
        if len(these) >= LEAST_DRAWS
    ]
    return Verdict(
        rule,
        cost=max((-found.mean for found in enough), default=np.nan),
        upper_cost=max((-found.low for found in enough), default=np.nan),
        few_cost=max((-found.mean for found in few), default=0.0),
        gain=float(np.mean([-effect(these, rule, LOSS).mean for these in classes.values()])),
        keeps_loss=bool(against) and all(found.high < 0 for found in against),
    )


def penalty_stays(found: list[Verdict]) -> bool:
    """Return whether a penalty above 0 with today's hinge stays the default: the plan's first point."""
    hinges = [verdict for verdict in found if verdict.rule.startswith("penalty") and verdict.keeps_loss]
    return any(verdict.upper_cost < MOST_UPPER_COST for verdict in hinges)


def decided(found: list[Verdict]) -> str:
    """Return the default that follows, in words."""
    if penalty_stays(found):
        return "a penalty above 0 stays the default"
    passing = [verdict.rule for verdict in found if verdict.passes]
    if not passing:
        return "no rule passes, and the default is penalty 0"
    return f"of the rules that pass, this one gains most: {passing[0]}"
