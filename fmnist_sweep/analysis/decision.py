"""What a confirmation decides: which configuration to hand out, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.analysis.statistics import Difference, pooled_differences

SURE: Final = 0.8
WITHIN: Final = 0.1
"""A tenth of a point: what ``prefer`` gives up at most, of the mean, where nothing else is said."""

N_SELECTING: Final = 4
"""Repeats that pick, under `DecisionRule.thorough`."""

N_DUEL: Final = 8
"""Fresh repeats in which the pick then meets the baseline."""

Shown: TypeAlias = Literal["better", "probably better", "nothing"]


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """How the winner of a confirmation is decided; stored with it.

    The pick is the candidate of the best mean. It wins if its chance to beat the baseline is above ``sure``;
    otherwise the baseline stays.

    Attributes:
        sure: The chance that is asked for, from 0.5 up to, but without, 1.
        thorough: Let the repeats do no more than pick, and decide by a duel of pick and baseline on `N_DUEL`
            fresh seeds and splits.
        prefer: ``"smallest"`` picks, of those that are near the best mean, the one with the fewest weights.
        within: So near, in the shown unit of the metric: points of accuracy, or nats.
    """

    sure: float = SURE
    thorough: bool = False
    prefer: Literal["smallest"] | None = None
    within: float = WITHIN

    def to_attribute(self) -> dict[str, Any]:
        """Return the form that is stored; ``DecisionRule(**stored)`` reads it back."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Attributes:
        pick: Label of the candidate that was picked; None without one.
        winner: Label of what to hand out: the pick's or the baseline's.
        difference: The pick's to the baseline; None without a baseline.
        shown: What that difference shows of the pick.
    """

    pick: str | None
    winner: str
    difference: Difference | None
    shown: Shown


def picked(
    means: Mapping[str, float], sizes: Mapping[str, float], rule: DecisionRule, *, factor: float
) -> str:
    """Return the label of the candidate that a rule picks.

    Args:
        means: Of each candidate, the baseline left out: it never wins by its size.
        sizes: Their numbers of weights.
        rule: The rule.
        factor: A mean times this is in the shown unit.

    Example:
        >>> means, sizes = {"trial 3": 0.9020, "trial 5": 0.9015}, {"trial 3": 200_000, "trial 5": 90_000}
        >>> picked(means, sizes, DecisionRule(), factor=100)
        'trial 3'
        >>> picked(means, sizes, DecisionRule(prefer="smallest"), factor=100)
        'trial 5'
    """
    best = max(means, key=lambda label: means[label])
    if rule.prefer is None:
        return best
    # Scores have six decimals: a difference of exactly so much is within it.
    near = [label for label in means if round(factor * (means[best] - means[label]), 9) <= rule.within]
    return min(near, key=lambda label: (sizes[label], -means[label]))


def decide(
    scores: Mapping[str, npt.ArrayLike],
    baseline: npt.ArrayLike | None,
    rule: DecisionRule,
    *,
    baseline_label: str = "baseline",
    pick: str | None = None,
    sizes: Mapping[str, float] | None = None,
    factor: float = 1.0,
    n_val: int,
    n_train: int,
) -> Decision:
    """Decide between candidates and a baseline.

    Args:
        scores: What each candidate reached in each repeat, larger is better; those that were compared.
        baseline: What the baseline reached in the same repeats; None without one.
        rule: The rule.
        baseline_label: How the baseline is called.
        pick: The candidate that was picked before, on other repeats; None picks by these.
        sizes: Numbers of weights of the candidates, for ``rule.prefer``.
        factor: As for `picked`.
        n_val: As for `pooled_differences`.
        n_train: Likewise.

    Raises:
        ValueError: There is neither candidate nor baseline, or the scores don't fit together.

    Example:
        >>> scores = {"trial 3": [0.902, 0.906], "trial 5": [0.900, 0.901]}
        >>> decide(scores, [0.890, 0.893], DecisionRule(), n_val=5000, n_train=55000).winner
        'trial 3'
    """
    if not scores:
        if baseline is None:
            raise ValueError("nothing to decide between")
        return Decision(None, baseline_label, None, "nothing")
    if pick is None:
        known = {} if sizes is None else sizes
        means = {label: float(np.mean(np.asarray(values))) for label, values in scores.items()}
        pick = picked(means, {label: known.get(label, np.inf) for label in means}, rule, factor=factor)
    if baseline is None:
        return Decision(pick, pick, None, "nothing")
    rows = [*map(np.asarray, scores.values())]
    differences = pooled_differences(rows, baseline, n_val=n_val, n_train=n_train)
    difference = differences[list(scores).index(pick)]
    if not difference.chance > rule.sure:
        return Decision(pick, baseline_label, difference, "nothing")
    shown: Shown = "better" if difference.interval.low > 0 else "probably better"
    return Decision(pick, pick, difference, shown)
