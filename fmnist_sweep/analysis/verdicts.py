"""What a confirmation says, in plain words."""

from __future__ import annotations

from fmnist_sweep.analysis.confirmations import DEFAULT, EQUAL_SHARE, Confirmation, Standing
from fmnist_sweep.analysis.statistics import LEVEL, Interval
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import ScoreRule


def verdicts(confirmation: Confirmation) -> list[str]:
    """Return who won, who is tied, and what became of each sweep score, a sentence each."""
    standings = [s for s in confirmation.standings if not s.n_failed]
    sentences = [_unfinished(confirmation)] if not confirmation.finished else []
    sentences += [_winner(confirmation, confirmation.winner)] if confirmation.winner is not None else []
    if len(confirmation.paired) >= 2 and standings:
        best = standings[0]
        # Runner-up and default answer what is asked of a winner; a smaller winner has to be tied.
        won = None if confirmation.winner is None else confirmation.winner.label
        others = (best.rival, DEFAULT, won)
        sentences += [comparison(confirmation, best, s) for s in standings[1:] if s.label in others]
    sentences += [_regression(confirmation.rule, s) for s in standings]
    failed = dict.fromkeys(failure.candidate for failure in confirmation.failures)
    sentences += [_failed(confirmation, label) for label in failed]
    return [s[0].upper() + s[1:] for s in sentences if s]


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
    n = len(confirmation.candidates) * confirmation.n_repeats
    wanted = {c.label for c in confirmation.candidates}
    done = sum(r.candidate in wanted and r.repeat < confirmation.n_repeats for r in confirmation.repeats)
    return f"Not finished: {done} of {n} repeats are there, {len(confirmation.paired)} of each candidate."


def _failed(confirmation: Confirmation, label: str) -> str:
    failures = [f for f in confirmation.failures if f.candidate == label]
    n = f"{len(failures)} of {confirmation.n_repeats} repeats"
    return f"{label} can't win: {n} failed ({failures[-1].reason}); confirming again trains them again."


def _name(standing: Standing) -> str:
    return "the default" if standing.label == DEFAULT else standing.label


def amount(rule: ScoreRule, value: float, *, signed: bool = False) -> str:
    """Return a difference of scores in its unit, such as ``"0.60 points"``."""
    sign = "+" if signed else ""
    unit = UNITS[rule.metric]
    return f"{unit.factor * value:{sign}.{unit.decimals}f} {unit.gap}"


def between(rule: ScoreRule, interval: Interval, *, plain: bool = False) -> str:
    """Return the ends of an interval of differences, in their unit, or of scores (``plain``), as they are."""
    if plain or not UNITS[rule.metric].in_points:
        return f"{interval.low:.4f} to {interval.high:.4f}"
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
