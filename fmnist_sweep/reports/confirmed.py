"""Confirmations and comparisons for the report and the dashboard: rows of tables, words, interval plots."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from fmnist_sweep.analysis.comparing import Side, caveats, differing, side
from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.overtuning import overtuning, overtuning_words
from fmnist_sweep.analysis.ranking import candidates
from fmnist_sweep.analysis.repeats import BASELINE, DEFAULT, Candidate, Standing
from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.analysis.verdicts import headline, verdicts
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import ABSENT, Unit, show_score, show_value
from fmnist_sweep.reports.page_table import text_table
from fmnist_sweep.reports.style import BLUE, GREEN, GREY, TEMPLATE, VERMILION, placeholder, rounded
from fmnist_sweep.storage.stored import StoredStudy

_ROW_HEIGHT: Final = 62

CONFIRMED_WORDS: Final = "**Confirmation"
"""What the line that a confirmation adds to a trial's note begins with."""


def sweeps(studies: Iterable[StoredStudy]) -> list[StoredStudy]:
    """Return the studies without the confirmations of those among them, which are shown with their sweeps."""
    studies = list(studies)
    names = {study.name for study in studies}
    return [s for s in studies if not s.is_confirmation or s.confirms not in names]


def confirmed_section(study: StoredStudy, key: str, figures: dict[str, go.Figure]) -> dict[str, Any] | None:
    """Return what the page shows of a study's confirmation, its figure added; None without one."""
    confirmation = read_confirmation(study)
    if confirmation is None:
        return None
    figure = figures[f"{key}-confirm"] = confirmed_figure(confirmation)
    return {
        "title": figure.layout.title.text,
        "headline": "" if confirmation.decision is None else headline(confirmation),
        "verdicts": [*verdicts(confirmation), *overtuning_words(study, confirmation)],
        "remains": _share_that_remains(study, confirmation),
        **text_table(confirmed_columns(confirmation), confirmed_rows(confirmation)),
    }


def _share_that_remains(study: StoredStudy, confirmation: Confirmation) -> float | None:
    """Return the share, 0 to 1, of the sweep's gain that is there on fresh repeats; None where unknown."""
    found = overtuning(study, confirmation)
    if found is None or found.gained <= 0:
        return None
    return round(min(1.0, max(0.0, found.remains.mean / found.gained)), 4)


def compared_section(studies: Sequence[StoredStudy], figures: dict[str, go.Figure]) -> dict[str, Any] | None:
    """Return what the page shows of all studies' winners; None with fewer than two.

    The figure is added where they have one scale: scores by different metrics have none.
    """
    sides = compared_sides(studies)
    if not sides:
        return None
    has_figure = len({(s.rule.metric, s.rule.direction) for s in sides}) == 1
    if has_figure:
        figures["winners"] = compared_figure(sides)
    table = text_table(["", *(s.study for s in sides)], compared_rows(sides))
    return {"caveats": caveats(sides), "has_figure": has_figure, **table}


def confirmed_columns(confirmation: Confirmation) -> list[str]:
    """Return the titles of the columns of `confirmed_rows`."""
    gap = UNITS[confirmation.rule.metric].gap
    in_gap = f" ({gap})" if gap else ""
    first, *others = (UNITS[name] for name in confirmation.shown_metrics)
    return [
        "configuration",
        "score",
        first.axis("validation"),
        *(unit.axis("") for unit in others),
        f"gap{in_gap}",
        f"to the best other{in_gap}",
        f"to the {confirmation.baseline or DEFAULT}{in_gap}",
        "sweep score",
        "parameters",
        "time" if confirmation.decision_rule is None else "epochs",
    ]


def confirmed_rows(confirmation: Confirmation) -> list[list[str]]:
    """Return a row of texts for each candidate, best first."""
    unit, metrics = UNITS[confirmation.rule.metric], confirmation.shown_metrics
    winner = confirmation.winner
    rows = []
    for standing in confirmation.standings:
        told, size = standing.intervals, standing.n_parameters
        won = winner is not None and winner.label == standing.label
        old, epochs = confirmation.decision_rule is None, standing.candidate.epochs
        rival, baseline = standing.to_rival, standing.to_default
        rows.append(
            [
                f"{name_of(standing.candidate)}{_won(standing) if won else ''}",
                with_spread(told["score"]),
                *(_told(told.get(f"val_{name}"), UNITS[name]) for name in metrics),
                with_spread(told["gap"], unit, signed=True),
                ABSENT if rival is None else with_spread(rival, unit, signed=True),
                ABSENT if baseline is None else with_ends(baseline, unit, even=old),
                show_score(standing.candidate.sweep_score),
                ABSENT if size is None else f"{size:,}",
                f"{standing.seconds:.0f} s" if old else str(epochs),
            ]
        )
    return rows


def _told(interval: Interval | None, unit: Unit) -> str:
    return ABSENT if interval is None else with_spread(interval, unit)


def _won(standing: Standing) -> str:
    return ", kept" if standing.label == BASELINE else ", confirmed winner"


def name_of(candidate: Candidate) -> str:
    """Return a candidate's name: its label, and the trial that the default configuration was."""
    found = candidate.label == DEFAULT and candidate.trial is not None
    return f"{DEFAULT} (trial {candidate.trial})" if found else candidate.label


def winning_trial(confirmation: Confirmation | None) -> int | None:
    """Return the number of the sweep's trial that is the confirmed winner, if there is one."""
    winner = None if confirmation is None else confirmation.winner
    return None if winner is None else winner.candidate.trial


def trial_words(standing: Standing, confirmation: Confirmation) -> str:
    """Return what a confirmation says of a trial, as the first line of its note, in Markdown."""
    winner = confirmation.winner
    won = winner is not None and winner.label == standing.label
    # Until it is finished there is no winner.
    head = ": the winner" if won else ", not the winner" if winner is not None else ", not finished"
    score = with_spread(standing.score)
    repeats = f"(95 %) over {standing.score.n} repeats on {confirmation.afresh}"
    words = f"{CONFIRMED_WORDS}{head}**: mean score {score} {repeats}."
    said = headline(confirmation)
    return words if confirmation.decision_rule is None or said is None else f"{words} {said}"


def with_spread(interval: Interval, unit: Unit | None = None, *, signed: bool = False) -> str:
    """Return a mean with the half width of its interval, such as ``"89.12 ±0.22"``, the unit left out.

    Args:
        interval: What is shown; one without ends is shown as its mean.
        unit: Of an accuracy, a cross-entropy, a gap or a difference; None shows a score as it is stored.
        signed: Whether a positive number has its sign too.
    """
    half = (interval.high - interval.low) / 2
    if unit is None:
        shown, spread = show_score(interval.mean), show_score(half)
    else:
        shown, spread = (
            unit.show(x, signed=s).partition(" ")[0] for x, s in ((interval.mean, signed), (half, False))
        )
    return shown if interval.n < 2 else f"{shown} \N{PLUS-MINUS SIGN}{spread}"


def with_ends(interval: Interval, unit: Unit, *, even: bool) -> str:
    """Return a difference with its interval: with both ends, where the two are not equally far."""
    if even or interval.n < 2:
        return with_spread(interval, unit, signed=True)
    shown = [
        unit.show(x, signed=True).partition(" ")[0] for x in (interval.mean, interval.low, interval.high)
    ]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def confirmed_figure(confirmation: Confirmation) -> go.Figure:
    """Return each candidate's mean score with its interval, every repeat as a dot, the best on top."""
    old, unit = confirmation.decision_rule is None, UNITS[confirmation.rule.metric]
    what = "Scores" if old else f"Validation {unit.name}"
    title = f"{what} of the repeats, with 95 % intervals of their means"
    axis = "score" if old else unit.axis("validation")
    factor = 1.0 if old else unit.factor * confirmation.rule.quantity.sign
    standings = confirmation.standings
    if not standings:
        return placeholder("No repeat is complete yet.", title=title)
    winner = confirmation.winner
    colors = [GREEN if winner is not None and winner.label == s.label else BLUE for s in standings]
    names, values = [name_of(s.candidate) for s in standings], [_times(s.value, factor) for s in standings]
    figure = _intervals(names, values, colors, title, axis=axis)
    rows = [(i, r) for i, s in enumerate(standings) for r in confirmation.of(s.label)]
    figure.add_trace(
        go.Scatter(
            x=rounded([factor * confirmation.value(r) for _, r in rows]),
            y=[i + 0.24 for i, _ in rows],
            mode="markers",
            name="a repeat",
            marker={"size": 8, "color": GREY, "opacity": 0.75, "line": {"width": 1, "color": "white"}},
            text=[
                f"repeat {r.repeat + 1}, trial {r.trial}: seed {r.seed}, split {r.split_seed}"
                for _, r in rows
            ],
            hovertemplate="%{x:.4f}<br>%{text}<extra></extra>",
        )
    )
    if not old:
        # Beside plain validation the sweep's penalised score would look like a loss.
        return figure
    swept = [
        (i, s.candidate.sweep_score) for i, s in enumerate(standings) if s.candidate.sweep_score is not None
    ]
    figure.add_trace(
        go.Scatter(
            x=rounded([score for _, score in swept]),
            y=[i for i, _ in swept],
            mode="markers",
            name="the sweep's score",
            marker={"symbol": "diamond-open", "size": 11, "color": VERMILION, "line": {"width": 2}},
            hovertemplate="%{x:.4f}<extra>the sweep's score</extra>",
        )
    )
    return figure


def _times(interval: Interval, factor: float) -> Interval:
    low, high = sorted((factor * interval.low, factor * interval.high))
    return Interval(factor * interval.mean, low, high, interval.n)


def compared_sides(studies: Sequence[StoredStudy]) -> list[Side]:
    """Return the winners of the sweeps that have one, if there are at least two to compare.

    Confirmations are their sweeps', and an experiment of the paper has no winner: its points were given.
    """
    known = [s for s in studies if s.is_scored and s.draws_trials]
    sides = [side(s) for s in known if candidates(s, 1)]
    return sides if len(sides) > 1 else []


def compared_figure(sides: Sequence[Side]) -> go.Figure:
    """Return each winner's score with its interval; of an unconfirmed one the mere score, hollow."""
    names = [s.study if s.confirmed else f"{s.study}, unconfirmed" for s in sides]
    colors = [GREEN if s.confirmed else GREY for s in sides]
    return _intervals(names, [s.score for s in sides], colors, "Scores of the winners, with 95 % intervals")


def compared_rows(sides: Sequence[Side]) -> list[list[str]]:
    """Return a row of texts for each quantity and each setting that differs, a column for each study."""
    units = [UNITS[s.rule.shown_metric] for s in sides]
    gaps = " or ".join(filter(None, dict.fromkeys(UNITS[s.rule.metric].gap for s in sides)))
    metrics = " or ".join(dict.fromkeys(unit.axis("") for unit in units))
    rows = [
        ["winner", *(f"{s.label}, {'confirmed' if s.confirmed else 'unconfirmed'}" for s in sides)],
        ["score", *(with_spread(s.score) for s in sides)],
        [
            f"validation {metrics}",
            *(with_spread(s.val_accuracy, u) for s, u in zip(sides, units, strict=True)),
        ],
        [
            f"gap ({gaps})" if gaps else "gap",
            *(with_spread(s.gap, UNITS[s.rule.metric], signed=True) for s in sides),
        ],
        ["parameters", *(ABSENT if s.n_parameters is None else f"{s.n_parameters:,}" for s in sides)],
        ["time of a training", *(f"{s.seconds:.0f} s" for s in sides)],
    ]
    return rows + [[name, *map(show_value, values)] for name, values in differing(sides).items()]


def _intervals(
    names: Sequence[str], intervals: Sequence[Interval], colors: list[str], title: str, *, axis: str = "score"
) -> go.Figure:
    figure = go.Figure(
        layout={
            "template": TEMPLATE,
            "title": {"text": title},
            "height": 130 + _ROW_HEIGHT * len(names),
            "xaxis": {"title": {"text": axis}},
            "yaxis": {
                # Names of studies are the user's: plotly would read them as markup.
                "ticktext": [html.escape(name) for name in names],
                "tickvals": list(range(len(names))),
                "range": [len(names) - 0.4, -0.6],
            },
        }
    )
    # One trace for each colour: an error bar takes its trace's.
    for color in dict.fromkeys(colors):
        own = [k for k, c in enumerate(colors) if c == color]
        figure.add_trace(
            go.Scatter(
                x=rounded([intervals[k].mean for k in own]),
                y=own,
                mode="markers",
                name={GREEN: "confirmed winner", GREY: "unconfirmed"}.get(color, "mean of the repeats"),
                marker={
                    "size": 13,
                    "color": color,
                    "symbol": ["circle" if intervals[k].n > 1 else "circle-open" for k in own],
                },
                error_x=_error_bars([intervals[k] for k in own], color),
                text=[with_spread(intervals[k]) for k in own],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return figure


def _error_bars(intervals: Sequence[Interval], color: str) -> dict[str, Any] | None:
    if not any(i.n > 1 for i in intervals):
        return None
    halves = rounded([(i.high - i.low) / 2 if i.n > 1 else 0.0 for i in intervals])
    return {"type": "data", "array": halves, "color": color, "thickness": 2.5, "width": 8}
