"""What a study's penalty gave up and what it got, replayed from stored curves: nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

from fmnist_sweep.analysis.ranking import candidates, default_trial
from fmnist_sweep.analysis.rescoring import Replayed, at_epoch, replayed
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

Sign: TypeAlias = Literal["underfits", "mostly penalty"]
"""Why a penalty looks too strong; see `sign_of_strength`."""

SMALLER: Final = (0.5, 0.25, 0.1, 0.0)
"""Shares of a penalty that looks too strong that are tried in its place, from stored curves."""


@dataclass(frozen=True)
class Price:
    """What a rule chose, and what its plain validation score would have chosen among the same trials.

    Attributes:
        rule: The study's score rule.
        chosen: The choice of the rule, at its scored epoch.
        plain: The choice of the rule without its penalty and its ``within_se``, at the best epoch by that.
        default: The model's default configuration at its best epoch by the rule without its penalty; None
            where it was not measured.
        sign: Why the penalty looks too strong; None where it does not.
        smaller: The largest penalty of those in `SMALLER` whose choice shows no such sign; None without one.
    """

    rule: ScoreRule
    chosen: Replayed
    plain: Replayed
    default: Replayed | None
    sign: Sign | None
    smaller: float | None

    @property
    def changed(self) -> bool:
        """Whether the penalty chose another trial, or another epoch of the same one."""
        return self.chosen.at != self.plain.at

    @property
    def given_up(self) -> float:
        """By how much the validation score is worse than without the penalty, in the metric's unit."""
        return self.rule.quantity.sign * (self.plain.val - self.chosen.val)

    @property
    def got(self) -> float:
        """By how much the gap is smaller than without the penalty, in the metric's unit."""
        return self.plain.gap - self.chosen.gap

    @property
    def cost(self) -> float:
        """What the penalty took off the score of the chosen trial."""
        return _cost(self.chosen, self.rule)


def price(study: StoredStudy) -> Price | None:
    """Return what a study's penalty gave up and got; None where there is no choice to speak of.

    That is so before a trial is complete, for a damaged or another tool's study, and for a confirmation,
    whose trials were chosen before. The choice is that of `candidates`: trials that may be handed out.
    """
    if study not in _PRICES:
        _PRICES[study] = _price(study)
    return _PRICES[study]


_PRICES: Final[WeakKeyDictionary[StoredStudy, Price | None]] = WeakKeyDictionary()
"""Of each study that was looked at: figures, note and ending tell the same of thousands of curves."""


def _price(study: StoredStudy) -> Price | None:
    if not study.is_scored or study.is_confirmation or study.damaged:
        return None
    default = default_trial(study)
    return price_of(candidates(study), study.rule, allowed=study.allowed_epochs, default=default)


def price_of(
    trials: Sequence[StoredTrial],
    rule: ScoreRule,
    *,
    allowed: Sequence[int] | None = None,
    default: StoredTrial | None = None,
) -> Price | None:
    """Return what a rule's penalty gave up and got among some trials; None without one that has a curve.

    Args:
        trials: COMPLETE trials, best first by ``rule``.
        rule: The rule that scored them.
        allowed: The epochs, from 0, that may be scored; None allows all.
        default: The trial of the model's default configuration.
    """
    best = next((t for t in trials if t.columns and t.epoch is not None), None)
    if best is None or best.epoch is None:
        return None
    bare = replace(rule, penalty=0.0, within_se=0.0)
    chosen = at_epoch(best, rule, best.epoch)
    plain = replayed(trials, bare, allowed=allowed)[0]
    baseline = None if default is None else next(iter(replayed([default], bare, allowed=allowed)), None)
    sign, smaller = sign_of_strength(chosen, rule, plain=plain, default=baseline), None
    if sign is not None:
        for share in SMALLER:
            smaller = rule.penalty * share
            weaker = replace(rule, penalty=smaller)
            pick = replayed(trials, weaker, allowed=allowed)[0]
            if sign_of_strength(pick, weaker, plain=plain, default=baseline) is None:
                break
    return Price(rule, chosen, plain, baseline, sign, smaller)


def sign_of_strength(
    pick: Replayed, rule: ScoreRule, *, plain: Replayed, default: Replayed | None
) -> Sign | None:
    """Return why a rule's penalty looks too strong for its pick; None where it does not.

    ``"mostly penalty"``: the penalty takes more than it leaves of a validation accuracy, or more than a
    validation cross-entropy itself. ``"underfits"``: but for the penalty another would be picked, and this
    one trains worse than the default configuration does without it, and validates no better. One that trains
    worse and validates better than the default overfits less, which is what a penalty is for.

    Args:
        pick: What the rule picks.
        rule: The rule.
        plain: What it picks without its penalty.
        default: The default configuration at its best epoch without the penalty.
    """
    sign = rule.quantity.sign
    cost = _cost(pick, rule)
    if cost > (pick.val - cost if sign > 0 else pick.val) and not _under_floor(pick, rule):
        return "mostly penalty"
    if default is None or pick.at == plain.at:
        return None
    trains_worse = sign * pick.train < sign * default.train
    return "underfits" if trains_worse and sign * pick.val <= sign * default.val else None


def _cost(pick: Replayed, rule: ScoreRule) -> float:
    return rule.penalty * max(0.0, pick.gap - rule.tolerance)


def _under_floor(pick: Replayed, rule: ScoreRule) -> bool:
    """Return whether the score is a shortfall from the floor, in which no penalty counts."""
    floor = rule.min_val_accuracy
    accuracy = pick.measured("val_accuracy")
    return floor is not None and accuracy is not None and accuracy < floor
