"""Plotly figures of trials: learning curves with their gap, accuracy against gap.

Every function returns a figure for every study, an empty or a failed one too: where there is nothing to draw
yet, the figure says so in words. Epochs are counted from 1, as people read them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fmnist_sweep.analysis.price import Price, price
from fmnist_sweep.analysis.ranking import (
    best_trials,
    default_trial,
    measured_trials,
    neighbours,
    non_dominated,
)
from fmnist_sweep.core.curves import FloatArray, LearningCurve
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.progress import PAUSED
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.wording import Unit
from fmnist_sweep.reports.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    TEMPLATE,
    TRIAL_COLORS,
    VERMILION,
    hovers,
    line,
    new_figure,
    placeholder,
    rounded,
)
from fmnist_sweep.reports.thinning import drawn_best, even_share
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


def learning_curves(trial: StoredTrial, rule: ScoreRule, *, title: str | None = None) -> go.Figure:
    """Return one trial's train and validation scores by epoch, the gap between them shaded.

    The part of the gap within the tolerance is grey, the part that costs score is orange.

    Args:
        trial: A trial of any state.
        rule: Names the metric and the tolerance.
        title: By default the trial's number and its score.
    """
    heading = f"Trial {trial.number}" if title is None else title
    if trial.curve is None:
        return placeholder(f"Trial {trial.number} trained no epoch.", title=heading)
    return curve_figure(trial.curve, rule, epoch=trial.epoch, title=heading)


def curve_figure(curve: LearningCurve, rule: ScoreRule, *, title: str, epoch: int | None = None) -> go.Figure:
    """Return train and validation scores by epoch, as `learning_curves` does for a trial.

    Args:
        curve: At least one epoch.
        rule: Names the metric and the tolerance.
        title: Above the figure.
        epoch: The scored epoch, from 0, to be marked; None marks none.
    """
    unit = UNITS[rule.metric]
    x = list(range(1, len(curve) + 1))
    train, val = _shown(curve, "train", unit), _shown(curve, "val", unit)
    # Cross-entropy is better when lower, so there the tolerated part lies below the validation curve.
    sign = rule.quantity.sign
    gap = np.maximum(0.0, sign * (train - val))
    tolerated = val + sign * np.minimum(gap, unit.factor * rule.tolerance)
    figure = new_figure(title, x="epoch", y=unit.axis(""))
    free = f"gap up to {unit.tolerance(rule.tolerance)}, free"
    figure.add_traces(
        [
            line(x, val, color=BLUE, showlegend=False, hoverinfo="skip"),
            _fill(x, tolerated, "rgba(128,134,145,0.28)", free),
            _fill(x, val + sign * gap, "rgba(230,159,0,0.38)", "gap that costs"),
            line(x, train, color=VERMILION, name="training", width=2),
            line(x, val, color=BLUE, name="validation", width=2.5),
        ]
    )
    if epoch is not None and epoch < len(curve):
        figure.add_vline(x=epoch + 1, line={"dash": "dot", "color": GREY, "width": 1.5})
        figure.add_trace(
            go.Scatter(
                x=[epoch + 1, epoch + 1],
                y=[float(train[epoch]), float(val[epoch])],
                mode="markers",
                marker={"size": 10, "color": [VERMILION, BLUE], "line": {"width": 2, "color": "white"}},
                name=f"scored epoch {epoch + 1}",
                hoverinfo="skip",
                showlegend=False,
            )
        )
        # On a phone a line has room for so much.
        words = f"scored epoch {epoch + 1}<br>gap {unit.show(float(rule.gaps(curve)[epoch]), gap=True)}"
        right = epoch + 1 > 0.6 * len(curve)
        figure.add_annotation(
            x=epoch + 1,
            y=0.02 if sign > 0 else 0.98,
            yref="paper",
            text=words,
            showarrow=False,
            xanchor="right" if right else "left",
            align="right" if right else "left",
            xshift=-6 if right else 6,
            yanchor="bottom" if sign > 0 else "top",
            font={"size": 12},
        )
    figure.update_layout(hovermode="x unified")
    # Said and not found: on a narrow screen room for the words would be taken from the curve.
    margin = 0.02 * len(curve) if len(curve) > 1 else 0.5
    figure.update_xaxes(dtick=_tick(len(curve)), range=[1 - margin, len(curve) + margin])
    return figure


def best_curves(study: StoredStudy, *, n: int = 5) -> go.Figure:
    """Return the best trials' validation scores by epoch, and their gaps below on the same epochs."""
    rule = study.rule
    unit = UNITS[rule.metric]
    trials = [t for t in best_trials(study, n) if t.curve is not None]
    heading = f"The best {len(trials)} trials" if len(trials) > 1 else "The best trial"
    if not trials:
        return placeholder("No trial is complete yet.", title="The best trials")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.58, 0.42])
    longest = 0
    for color, trial in zip(_cycle(len(trials)), trials, strict=True):
        curve = trial.curve
        if curve is None:
            continue
        longest = max(longest, len(curve))
        x = list(range(1, len(curve) + 1))
        name, epoch = f"trial {trial.number}", trial.epoch or 0
        for row, y in ((1, _shown(curve, "val", unit)), (2, unit.factor * rule.gaps(curve))):
            trace = line(x, y, color=color, name=name, legendgroup=name, showlegend=row == 1, width=2)
            figure.add_trace(trace, row=row, col=1)
            dot = go.Scatter(
                x=[epoch + 1],
                y=[float(y[epoch])],
                mode="markers",
                marker={"size": 9, "color": color, "line": {"width": 1.5, "color": "white"}},
                legendgroup=name,
                showlegend=False,
                hoverinfo="skip",
            )
            figure.add_trace(dot, row=row, col=1)
    figure.add_hline(
        y=unit.factor * rule.tolerance,
        row=2,
        col=1,
        line={"dash": "dash", "color": GREY, "width": 1.5},
        annotation={"text": "tolerance", "font": {"size": 11}},
        annotation_position="top left",
    )
    figure.update_layout(template=TEMPLATE, title={"text": heading}, hovermode="x unified", height=520)
    figure.update_xaxes(dtick=_tick(longest))
    figure.update_xaxes(title_text="epoch (dots: scored epochs)", row=2, col=1)
    figure.update_yaxes(title_text=unit.axis("validation"), row=1, col=1)
    figure.update_yaxes(title_text=unit.gap_axis(), row=2, col=1)
    return figure


def _stopped(trials: Sequence[StoredTrial]) -> Iterator[tuple[str, list[StoredTrial], dict[str, Any]]]:
    """Yield the trials that others stopped, by what became of them, with a marker for each kind."""
    for state, symbol in (("PRUNED", "circle-open"), (PAUSED, "diamond-open")):
        some = [t for t in trials if t.told_state == state]
        if some:
            ring = {"symbol": symbol, "size": 8, "color": GREY, "line": {"width": 1.5}}
            yield state.lower(), list(even_share(some)), ring


def accuracy_against_gap(study: StoredStudy) -> go.Figure:
    """Return trials' validation scores against their gaps at the scored epoch, with the front of all trials.

    The front joins the COMPLETE trials that no other beats in both; the choice's neighbours there are ringed.
    The dashed line holds every point with the same penalised score as the best trial: above it would be
    better. A dotted line leads to what would have been chosen without the penalty, or by the score alone.
    """
    rule = study.rule
    unit = UNITS[rule.metric]
    title = f"Validation {unit.name} against the gap"
    key = f"val_{rule.metric}"
    measured = {t.number for t in measured_trials(study)}
    trials = [t for t in study.trials if key in t.scores and t.gap is not None]
    complete = [t for t in trials if t.number in measured]
    if not trials:
        return placeholder("No trial has been scored yet.", title=title)
    figure = new_figure(title, x=unit.gap_axis(), y=unit.axis("validation"))

    def points(some: Sequence[StoredTrial], name: str, marker: Mapping[str, Any]) -> go.Scatter:
        return go.Scatter(
            x=[unit.factor * _gap(t) for t in some],
            y=[unit.factor * t.scores[key] for t in some],
            mode="markers",
            name=name,
            marker=marker,
            text=hovers(study, some),
            hovertemplate="%{text}<extra></extra>",
        )

    if complete:
        front = non_dominated(complete, rule)
        figure.add_trace(
            go.Scatter(
                x=[unit.factor * _gap(t) for t in front],
                y=[unit.factor * t.scores[key] for t in front],
                mode="lines",
                name="front",
                line={"color": GREEN, "width": 2, "shape": "hv"},
                hoverinfo="skip",
            )
        )
        best = next(t for t in best_trials(study) if t in complete)
        paid = price(study)
        chosen = best if paid is None else paid.chosen.trial
        plain = [] if paid is None else [(paid.plain.gap, paid.plain.val)]
        places = [*((_gap(t), t.scores[key]) for t in trials), *plain]
        _add_equal_score(figure, study, best, places)
    shown = {t.number for t in drawn_best(study)}
    for state, some, marker in _stopped(trials):
        figure.add_trace(points(some, state, marker))
    if complete:
        dots = {"size": 9, "color": BLUE, "opacity": 0.8, "line": {"width": 1, "color": "white"}}
        figure.add_trace(points([t for t in complete if t.number in shown], "complete", dots))
        default = default_trial(study)
        if default in complete:
            cross = {"symbol": "x", "size": 12, "color": VERMILION, "line": {"width": 1, "color": "white"}}
            figure.add_trace(points([default], f"default (trial {default.number})", cross))
        if beside := neighbours(front, chosen):
            ring = {"symbol": "circle-open", "size": 16, "color": GREEN, "line": {"width": 2}}
            # Long names leave a narrow figure's legend no second column.
            told = ", ".join(str(t.number) for t in beside)
            noun = "neighbour" if len(beside) == 1 else "neighbours"
            figure.add_trace(points(beside, f"{noun} ({told})", ring))
        if paid is not None and paid.changed:
            figure.add_trace(_to_plain(paid, unit))
        star = {"symbol": "star", "size": 17, "color": ORANGE, "line": {"width": 1.5, "color": "#5c3d00"}}
        if chosen != best:
            hollow = {**star, "symbol": "star-open", "line": {"width": 2}}
            figure.add_trace(points([chosen], f"within limit (trial {chosen.number})", hollow))
        figure.add_trace(points([best], f"best (trial {best.number})", star))
    return figure


def _to_plain(paid: Price, unit: Unit) -> go.Scatter:
    """Return the way from what a rule chose to what would have been chosen by the plain validation score."""
    ends = (paid.chosen, paid.plain)
    number, epoch = paid.plain.trial.number, paid.plain.epoch + 1
    told = f"validation {unit.show(paid.plain.val)}, gap {unit.show(paid.plain.gap, gap=True)}"
    without, name = ("without the penalty", "no penalty") if paid.rule.penalty else ("best score",) * 2
    words = f"<b>{without}: trial {number}</b><br>{told}<br>epoch {epoch}"
    return go.Scatter(
        x=[unit.factor * end.gap for end in ends],
        y=[unit.factor * end.val for end in ends],
        mode="lines+markers",
        name=f"{name} (trial {number})",
        line={"color": PURPLE, "width": 1.5, "dash": "dot"},
        marker={
            "symbol": "diamond",
            "size": [0, 13],
            "color": PURPLE,
            "line": {"width": 1, "color": "white"},
        },
        text=["", words],
        hovertemplate="%{text}<extra></extra>",
    )


def _gap(trial: StoredTrial) -> float:
    """Return the gap of a trial that has one."""
    return math.nan if trial.gap is None else trial.gap


def _shown(curve: LearningCurve, part: str, unit: Unit) -> FloatArray:
    return unit.factor * curve.values(f"{part}_{unit.metric}")


def _fill(x: Sequence[int], y: FloatArray, color: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=list(x),
        y=rounded(y),
        mode="lines",
        line={"width": 0, "color": color},
        fill="tonexty",
        fillcolor=color,
        name=name,
        hoverinfo="skip",
    )


def _tick(n_epochs: int) -> int:
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, 1_000_000) if n_epochs <= 15 * step)


def _cycle(n: int) -> list[str]:
    return [TRIAL_COLORS[i % len(TRIAL_COLORS)] for i in range(n)]


def _add_equal_score(
    figure: go.Figure,
    study: StoredStudy,
    best: StoredTrial,
    places: Sequence[tuple[float, float]],
) -> None:
    """Draw the line of the best trial's score through the places, each a gap and a validation score.

    None where the best score is not what is chosen, or the line is no line.
    """
    rule = study.rule
    unit = UNITS[rule.metric]
    if best.value is None or rule.min_val_accuracy is not None or study.near_best:
        return
    sign = rule.quantity.sign
    gaps, values = zip(*places, strict=True)
    low, high = min(*gaps, 0.0), max(*gaps, 2 * rule.tolerance)
    x = [low, rule.tolerance, high]
    y = [sign * (best.value + rule.penalty * max(0.0, gap - rule.tolerance)) for gap in x]
    figure.add_trace(
        go.Scatter(
            x=[unit.factor * v for v in x],
            y=[unit.factor * v for v in y],
            mode="lines",
            name="same score as best",
            line={"color": GREY, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
        )
    )
    # The line may climb out of sight; the points decide what is seen.
    margin = 0.06 * ((max(values) - min(values)) or 0.01)
    figure.update_yaxes(
        range=[unit.factor * (min(values) - margin), unit.factor * (max(*values, y[1]) + 2 * margin)]
    )
