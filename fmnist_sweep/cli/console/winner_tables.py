"""Confirmations and comparisons for the terminal, and the same facts for scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console

from fmnist_sweep.analysis.comparing import Side, caveats, differing
from fmnist_sweep.analysis.confirmations import Confirmation
from fmnist_sweep.analysis.repeats import Standing
from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.analysis.verdicts import verdicts
from fmnist_sweep.cli.console.cells import new_table, say, shown
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import show_value
from fmnist_sweep.storage.studies import confirm_name

_BAR_WIDTH: Final = 33


def print_confirmation(console: Console, confirmation: Confirmation, more: Sequence[str] = ()) -> None:
    """Print a row for each candidate, best first, the verdicts, and what more is to be said."""
    n, standings, winner = len(confirmation.paired), confirmation.standings, confirmation.winner
    head = f"Confirmation of study {confirmation.study!r}: means over {n} repeats, \N{PLUS-MINUS SIGN} 95 %."
    say(console, f"\n{head}", style="bold")
    metrics = confirmation.shown_metrics
    measured = new_table("candidate", "score", *_titles(metrics), "gap")
    old = confirmation.decision_rule is None
    columns = ["to best other", "to default" if old else "to baseline", "sweep score", "parameters"]
    against = new_table("candidate", *columns, "seconds" if old else "epochs")
    for standing in standings:
        won = winner is not None and winner.label == standing.label
        name, told = shown(f"{standing.label} *" if won else standing.label), standing.intervals
        swept = standing.candidate.sweep_score
        measured.add_row(
            name,
            _mean(told["score"]),
            *(_mean(told[f"val_{name}"]) if f"val_{name}" in told else "-" for name in metrics),
            _mean(told["gap"], signed=True),
        )
        against.add_row(
            name,
            "-" if standing.to_rival is None else _mean(standing.to_rival, signed=True),
            "-" if standing.to_default is None else _apart(standing.to_default, even=old),
            "-" if swept is None else f"{swept:.4f}",
            _count(standing.n_parameters),
            f"{standing.seconds:.1f}" if old else str(standing.candidate.epochs),
        )
    for table in (measured, against) if standings else ():
        console.print(table)
        console.print()
    for sentence in (*verdicts(confirmation), *more):
        say(console, sentence)


def _titles(metrics: Sequence[str]) -> list[str]:
    first, *others = metrics
    return ["val acc" if first == "accuracy" else shown(f"val {first}"), *(UNITS[n].name for n in others)]


def facts(confirmation: Confirmation, overtuning: Sequence[str] = ()) -> dict[str, Any]:
    """Return all that is known of a confirmation as values that JSON can hold.

    Args:
        confirmation: The confirmation.
        overtuning: How much of the sweep's gain is real, in sentences.
    """
    winner = confirmation.winner
    return _plain(
        {
            "study": confirmation.study,
            "linked_study": confirm_name(confirmation.study),
            "finished": confirmation.finished,
            "n_repeats": confirmation.n_repeats,
            "n_val": confirmation.n_val,
            "n_train": confirmation.n_train,
            "winner": None if winner is None else winner.label,
            **_decision_facts(confirmation),
            "verdicts": verdicts(confirmation),
            **({"overtuning": list(overtuning)} if overtuning else {}),
            "candidates": [
                {**s.candidate.to_attribute(), **_told(s, confirmation), "regression": s.regression}
                for s in confirmation.standings
            ],
            "repeats": [r.facts() for r in confirmation.repeats],
            "failures": [asdict(f) for f in confirmation.failures],
        }
    )


def print_comparison(console: Console, sides: Sequence[Side]) -> None:
    """Print a row for each study's winner, the settings that differ, and what to beware of."""
    of_classes = all(side.rule.shown_metric == "accuracy" for side in sides)
    measured = new_table("study", "winner", "score", "val acc" if of_classes else "val", "gap")
    drawn = new_table("study", "score and its 95 % interval", "", "parameters", "seconds")
    for side, bar in zip(sides, interval_bars([s.score for s in sides]), strict=True):
        name = shown(side.study)
        measured.add_row(
            name,
            shown(side.label),
            _mean(side.score),
            _mean(side.val_accuracy)
            if of_classes
            else f"{shown(side.rule.shown_metric)} {_mean(side.val_accuracy)}",
            _mean(side.gap, signed=True),
        )
        confirmed = "confirmed" if side.confirmed else "unconfirmed"
        drawn.add_row(name, bar, confirmed, _count(side.n_parameters), f"{side.seconds:.1f}")
    console.print(measured)
    console.print()
    console.print(drawn)
    settings = new_table("differs", *(shown(side.study) for side in sides))
    for name, values in differing(sides).items():
        settings.add_row(shown(name), *(shown(show_value(value)) for value in values))
    console.print()
    console.print(settings)
    for line in caveats(sides):
        say(console, line)


def comparison_facts(sides: Sequence[Side]) -> dict[str, Any]:
    """Return a comparison as values that JSON can hold."""
    studies = [
        {**asdict(side), "rule": side.rule.to_dict(), "hyperparameters": dict(side.hyperparameters)}
        for side in sides
    ]
    for study in studies:
        # A word for sentences.
        del study["examples"]
    return _plain({"studies": studies, "differing": differing(sides), "caveats": caveats(sides)})


def interval_bars(intervals: Sequence[Interval]) -> list[str]:
    """Return intervals as bars of text on one scale, the mean as a dot.

    Example:
        >>> interval_bars([Interval(0.2, 0.0, 0.4, 5), Interval(1.0, float("nan"), float("nan"), 1)])
        ['|-----o------|                   ', '                                o']
    """
    ends = [x for i in intervals for x in (i.low, i.mean, i.high) if math.isfinite(x)]
    low, span = min(ends, default=0.0), (max(ends, default=0.0) - min(ends, default=0.0)) or 1.0

    def place(x: float) -> int:
        return round((x - low) / span * (_BAR_WIDTH - 1))

    bars = []
    for i in intervals:
        cells = [" "] * _BAR_WIDTH
        if math.isfinite(i.low):
            left, right = place(i.low), place(i.high)
            cells[left : right + 1] = "-" * (right + 1 - left)
            cells[left] = cells[right] = "|"
        cells[place(i.mean)] = "o"
        bars.append("".join(cells))
    return bars


def _mean(interval: Interval, *, signed: bool = False) -> str:
    shown = f"{interval.mean:{'+' if signed else ''}.4f}"
    spread = (interval.high - interval.low) / 2
    return f"{shown} \N{PLUS-MINUS SIGN}{spread:.4f}" if math.isfinite(spread) else shown


def _apart(interval: Interval, *, even: bool) -> str:
    """Return a difference with its interval: with both ends, where the two are not equally far."""
    if even or not math.isfinite(interval.low):
        return _mean(interval, signed=True)
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _count(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"


def _told(standing: Standing, confirmation: Confirmation) -> dict[str, Any]:
    left_out = {"candidate"} if confirmation.decision_rule is not None else {"candidate", "value"}
    return {name: value for name, value in asdict(standing).items() if name not in left_out}


def _decision_facts(confirmation: Confirmation) -> dict[str, Any]:
    """Return what was decided and how; nothing of a confirmation of an earlier version."""
    if confirmation.decision_rule is None:
        return {}
    decision = confirmation.decision
    return {
        "rule": asdict(confirmation.decision_rule),
        "baseline": confirmation.baseline,
        "decision": None if decision is None else asdict(decision),
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with None for what is no finite number."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _plain(value)
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: plain(value) for name, value in values.items()}
