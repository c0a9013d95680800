"""What a confirmation says, in plain words."""

from __future__ import annotations

from typing import Final

from fmnist_sweep.analysis.confirmations import Confirmation
from fmnist_sweep.analysis.repeats import BASELINE, DEFAULT, EQUAL_SHARE, Standing
from fmnist_sweep.analysis.statistics import LEVEL, Interval
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import ScoreRule


def headline(confirmation: Confirmation) -> str | None:
    """Return who won, by how much, and what that means, in the one sentence that is said everywhere.

    None before the confirmation is finished.
    """
    decision = confirmation.decision
    if decision is None:
        winner = confirmation.winner
        return None if winner is None else _upper(_winner(confirmation, winner))
    if decision.pick is None:
        return "Nothing could be compared with your baseline: keep it."
    pick, d = _named(decision.pick), decision.difference
    if d is None:
        return _upper(f"{pick} has the best mean; there is no baseline to compare it with.")
    by = amount(confirmation.rule, d.interval.mean, signed=True)
    ends = between(confirmation.rule, d.interval)
    metric = UNITS[confirmation.rule.metric].name
    if decision.shown == "better":
        shown = amount(confirmation.rule, d.interval.mean)
        return _upper(f"{pick} beats your baseline by {shown} of {metric} (95 % {ends}).")
    if decision.shown == "probably better":
        return _upper(f"{pick} is probably better than your baseline ({by} of {metric}, {ends}); not shown.")
    best = f"best difference {by} of {metric} ({ends}), that of {pick}"
    if d.interval.low > 0:
        asked = _sure(confirmation)
        return f"Nothing is better than your baseline with the chance of {asked} asked for: keep it; {best}."
    return f"Nothing is shown better than your baseline: keep it; {best}."


_ONE_SPLIT: Final = (
    "The same rows validate in every repeat, as the data or the kind of split say: repeats differ in their "
    "seeds, and the intervals tell of other seeds, not of other rows."
)


def _sure(confirmation: Confirmation) -> str:
    sure = 0.0 if confirmation.decision_rule is None else confirmation.decision_rule.sure
    return f"{100 * sure:g} %"


def verdicts(confirmation: Confirmation) -> list[str]:
    """Return who won, what that rests on, and what became of each sweep score, a sentence each.

    In a confirmation of an earlier version, who is tied as well.
    """
    if confirmation.decision_rule is None:
        return _verdicts_of_ties(confirmation)
    best, pick = headline(confirmation), confirmation.pick
    sentences = [_unfinished(confirmation)] if not confirmation.finished else []
    sentences += [best] if best is not None else []
    sentences += [] if confirmation.splits_are_drawn or best is None else [_ONE_SPLIT]
    standings = {s.label: s for s in confirmation.standings if not s.n_failed}
    if confirmation.decision is not None and pick is not None:
        sentences += [_duel(confirmation), _preferred(confirmation, standings[pick])]
        baseline = standings.get(str(confirmation.baseline))
        sentences += [_cost(standings[pick], baseline)] if baseline is not None else []
    elif confirmation.finished and pick is not None:
        sentences += ["Nothing is decided: too few repeats of the duel are whole; confirm again."]
    return [_upper(s) for s in [*sentences, *_fates(confirmation)] if s]


def _duel(confirmation: Confirmation) -> str:
    if not confirmation.duel_pairs:
        return ""
    n, fresh = len(confirmation.paired), len(confirmation.duel)
    return f"It was picked on {n} repeats, and compared with the baseline on {fresh} others."


def _preferred(confirmation: Confirmation, pick: Standing) -> str:
    best = next(s for s in confirmation.standings if s.label != confirmation.baseline)
    rule = confirmation.decision_rule
    if rule is None or best.label == pick.label:
        return ""
    near = f"{rule.within:g} {UNITS[confirmation.rule.metric].gap}".rstrip()
    return f"{_name(pick)} is the smallest of those within {near} of the best mean, that of {_name(best)}."


def _cost(pick: Standing, baseline: Standing) -> str:
    """Return what a pick costs, in weights and epochs: seconds are those of whatever else the machine did."""
    told = [f"trains {pick.candidate.epochs} epochs, the baseline {baseline.candidate.epochs}"]
    if pick.n_parameters is not None and baseline.n_parameters is not None:
        told.insert(0, f"has {pick.n_parameters:,} weights, the baseline {baseline.n_parameters:,}")
    return f"{_name(pick)} {'; it '.join(told)}."


def _verdicts_of_ties(confirmation: Confirmation) -> list[str]:
    standings = [s for s in confirmation.standings if not s.n_failed]
    sentences = [_unfinished(confirmation)] if not confirmation.finished else []
    sentences += [_winner(confirmation, confirmation.winner)] if confirmation.winner is not None else []
    if len(confirmation.paired) >= 2 and standings:
        best = standings[0]
        # Runner-up and default answer what is asked of a winner; a smaller winner has to be tied.
        won = None if confirmation.winner is None else confirmation.winner.label
        others = (best.rival, DEFAULT, won)
        sentences += [comparison(confirmation, best, s) for s in standings[1:] if s.label in others]
    return [_upper(s) for s in [*sentences, *_fates(confirmation)] if s]


def _fates(confirmation: Confirmation) -> list[str]:
    """Return what became of each sweep score, and who can't win."""
    standings = [s for s in confirmation.standings if not s.n_failed]
    failed = dict.fromkeys(failure.candidate for failure in confirmation.failures)
    regressed = [_regression(confirmation.rule, s) for s in standings]
    return [*regressed, *(_failed(confirmation, label) for label in failed)]


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def comparison(confirmation: Confirmation, a: Standing, b: Standing) -> str:
    """Return who of two candidates is better, or, where they are tied, which of them is smaller."""
    difference = confirmation.difference(a.label, b.label)
    if difference.sign < 0:
        return comparison(confirmation, b, a)
    shown = amount(confirmation.rule, difference.mean, signed=True)
    measured = f"{shown}, {LEVEL:.0%} interval {between(confirmation.rule, difference)}".replace("%", " %")
    if difference.sign > 0:
        return f"{_name(a)} beats {_name(b)} ({measured})."
    return f"{_name(a)} and {_name(b)} are tied ({measured}){_cheaper(a, b)}."


def _cheaper(a: Standing, b: Standing) -> str:
    if a.n_parameters is not None and b.n_parameters is not None:
        (small, few), (_, many) = sorted(((a, a.n_parameters), (b, b.n_parameters)), key=lambda pair: pair[1])
        if many > (1 + EQUAL_SHARE) * few:
            return f"; {_name(small)} is smaller: {few:,} weights against {many:,}"
    fast, slow = sorted((a, b), key=lambda s: s.seconds)
    if slow.seconds <= (1 + EQUAL_SHARE) * fast.seconds:
        return ""
    return f"; {_name(fast)} is cheaper: {fast.seconds:.0f} s a training against {slow.seconds:.0f} s"


def _winner(confirmation: Confirmation, winner: Standing) -> str:
    best = confirmation.standings[0]
    score = f"score {winner.score.mean:.4f}, {between(confirmation.rule, winner.score, plain=True)}"
    if winner is best:
        return f"The confirmed winner is {_name(winner)} ({score})."
    return (
        f"The confirmed winner is {_name(winner)} ({score}): "
        f"the smallest of those that are tied with the best mean, that of {_name(best)}."
    )


def _regression(rule: ScoreRule, standing: Standing) -> str:
    lost, swept = standing.regression, standing.candidate.sweep_score
    if lost is None or swept is None:
        return ""
    change = f"{swept:.4f} to {standing.score.mean:.4f}"
    if lost > 0:
        return f"{_name(standing)} regressed by {amount(rule, lost)} from its sweep score ({change})."
    return f"{_name(standing)} kept its sweep score ({change})."


def _unfinished(confirmation: Confirmation) -> str:
    pairs = {(c.label, r) for c in confirmation.candidates for r in range(confirmation.n_repeats)}
    pairs |= set(confirmation.duel_pairs)
    n, done = len(pairs), sum((r.candidate, r.repeat) in pairs for r in confirmation.repeats)
    return f"Not finished: {done} of {n} repeats are there, {len(confirmation.paired)} of each candidate."


def _failed(confirmation: Confirmation, label: str) -> str:
    failures = [f for f in confirmation.failures if f.candidate == label]
    n = f"{len(failures)} of {confirmation.n_repeats} repeats"
    if label not in {s.label for s in confirmation.standings if s.n_failed} and confirmation.of(label):
        n = f"{len(failures)} of its fresh repeats"
        return f"{label}: {n} failed ({failures[-1].reason}); confirming again trains them again."
    return f"{label} can't win: {n} failed ({failures[-1].reason}); confirming again trains them again."


def _name(standing: Standing) -> str:
    return _named(standing.label)


def _named(label: str) -> str:
    return {DEFAULT: "the default", BASELINE: "your baseline"}.get(label, label)


def amount(rule: ScoreRule, value: float, *, signed: bool = False) -> str:
    """Return a difference of scores in its unit, such as ``"0.60 points"``."""
    sign = "+" if signed else ""
    unit = UNITS[rule.metric]
    return f"{unit.factor * value:{sign}.{unit.decimals}f} {unit.gap}".rstrip()


def between(rule: ScoreRule, interval: Interval, *, plain: bool = False) -> str:
    """Return the ends of an interval of differences, in their unit, or of scores (``plain``), as they are."""
    if plain or not UNITS[rule.metric].in_points:
        return f"{interval.low:.4f} to {interval.high:.4f}"
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
