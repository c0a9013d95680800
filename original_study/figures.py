"""The paper's figures: what each claim's configurations did epoch by epoch, and its effects."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.core.curves import FloatArray, LearningCurve
from fmnist_sweep.reports.pictures import STYLE, blank_figure
from fmnist_sweep.reports.style import BLUE, GREEN, GREY, ORANGE, TRIAL_COLORS, VERMILION
from original_study.effects import Judged, JudgedPart, Shown, takes_train_accuracy
from original_study.results import PULLOVER, SHIRT, Results
from original_study.shown import scaled
from original_study.verdict import AtLeast, Between, Equal, Rule, Verdict

_TITLES: Final = {
    "gap": "gap (points)",
    "val_accuracy": "validation accuracy (%)",
    "val_cross_entropy": "validation cross-entropy (nats)",
}
_VERDICT_COLORS: Final = {
    Verdict.HOLDS: GREEN,
    Verdict.FAILS: VERMILION,
    Verdict.UNDECIDED: GREY,
    Verdict.UNMEASURED: GREY,
}
_PANEL: Final = 3.3
_EFFECTS: Final = 4.2
"""Widths in inches of a panel by epoch, and of the effects."""

_WRAP: Final = 46
_N_PAIRS: Final = 6


def claim_figure(judged: Judged, results: Results, class_names: Sequence[str]) -> Figure:
    """Return the figure of a claim: its configurations by epoch, and its effects with their limits."""
    n_parts, shown = len(judged.parts), judged.claim.shown
    n_left = max(1, len(shown))
    width = _PANEL * n_left if shown else 1.6 * _PANEL
    with mpl.rc_context(STYLE):
        figure = blank_figure(width + _EFFECTS, max(2.9, 0.6 + 0.95 * n_parts))
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[width, _EFFECTS])[0]
        panels = left.subplots(1, n_left, squeeze=False)[0]
        for axes, what in zip(panels, shown, strict=False):
            _draw_runs(axes, what, results)
        if not shown:
            _draw_pairs(panels[0], results.tested("dense-final"), class_names)
        rows = right.subplots(n_parts, 1, squeeze=False)[:, 0]
        for axes, part in zip(rows, judged.parts, strict=True):
            _draw_part(axes, part)
        return figure


def _draw_runs(axes: Axes, shown: Shown, results: Results) -> None:
    most = 0
    for run, color in zip(shown.runs, TRIAL_COLORS, strict=False):
        lines = [_by_epoch(curve, shown.what) for curve in results.curves(run).values()]
        if not lines:
            continue
        n = min(map(len, lines))
        most = max(most, n)
        epochs, stacked = np.arange(1, n + 1), np.array([line[:n] for line in lines])
        for line in stacked:
            axes.plot(epochs, line, color=color, lw=0.6, alpha=0.35)
        axes.plot(epochs, stacked.mean(axis=0), color=color, lw=2, label=run.label)
    axes.set(title=_TITLES[shown.what], xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if most:
        axes.legend(fontsize=7.5)
    if shown.what == "gap":
        axes.axhline(0, color=GREY, lw=0.8)


def _by_epoch(curve: LearningCurve, what: str) -> FloatArray:
    if what == "gap":
        return 100 * (curve.values("train_accuracy") - curve.values("val_accuracy"))
    return curve.values(what) * (100 if what == "val_accuracy" else 1)


def _draw_part(axes: Axes, judged: JudgedPart) -> None:
    """Draw an effect's interval, with Keras's running mean below it, and where the claim would hold."""
    part = judged.part
    both = takes_train_accuracy(part)
    found: list[tuple[Interval | None, str, float]] = [(judged.effect, BLUE, 0.0)]
    found += [(judged.running, ORANGE, -0.6)] if both else []
    ends = [0.0 if part.unit != "times" else 1.0] if not isinstance(part.rule, Between) else []
    for effect, color, y in found:
        if effect is None:
            continue
        low, mean, high = (scaled(v, part.unit) for v in (effect.low, effect.mean, effect.high))
        axes.plot([low, high], [y, y], color=color, lw=2.4, solid_capstyle="butt")
        axes.plot([mean], [y], "o", color=color, ms=5)
        ends += [v for v in (low, mean, high) if np.isfinite(v)]
    limits = [scaled(v, part.unit) for v in _limits(part.rule)]
    span = [*ends, *limits]
    reach = 0.12 * (max(span) - min(span) or 1.0)
    axes.set_xlim(min(span) - reach, max(span) + reach)
    edge = axes.get_xlim()[1] if len(limits) == 1 else limits[1]
    axes.axvspan(limits[0], edge, color=GREEN, alpha=0.12, lw=0)
    if not isinstance(part.rule, Between):
        axes.axvline(1.0 if part.unit == "times" else 0.0, color=GREY, lw=0.9)
    axes.set_ylim(-1.05 if both else -0.5, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=7)
    words = "\n".join(textwrap.wrap(part.words, _WRAP))
    axes.set_title(words, fontsize=7.5, fontweight="normal")
    unit = "%" if part.unit == "per cent" else part.unit
    axes.set_title(
        f"{judged.verdict.value}\n({unit})",
        loc="right",
        fontsize=7.5,
        fontweight="bold",
        color=_VERDICT_COLORS[judged.verdict],
    )


def _limits(rule: Rule) -> list[float]:
    match rule:
        case AtLeast(margin=margin):
            return [margin]
        case Equal(margin=margin):
            return [-margin, margin]
        case Between(low=low, high=high):
            return [low, high]


def _draw_pairs(axes: Axes, tested: Sequence[Any], class_names: Sequence[str]) -> None:
    """Draw the pairs of classes that are confused most, both directions, a point for each seed."""
    axes.set(title="test images taken for another class", xlabel="images of the 1,000 of a class")
    if not tested:
        return
    counts = np.array([row["confusion"] for row in tested], dtype=float)
    means = counts.mean(axis=0)
    np.fill_diagonal(means, 0)
    order = [divmod(int(i), len(means)) for i in np.argsort(-means, axis=None)[:_N_PAIRS]]
    asked = [(SHIRT, PULLOVER), (PULLOVER, SHIRT)]
    order += [pair for pair in asked if pair not in order]
    for y, (actual, predicted) in enumerate(reversed(order)):
        color = VERMILION if (actual, predicted) in asked else BLUE
        axes.barh(y, means[actual, predicted], color=color, alpha=0.3, height=0.7)
        axes.plot(counts[:, actual, predicted], [y] * len(counts), "o", color=color, ms=3, alpha=0.7)
    names = [f"{class_names[a]} as {class_names[p]}" for a, p in reversed(order)]
    axes.set_yticks(range(len(order)), names, fontsize=7)
    axes.grid(visible=False, axis="y")
    axes.axvline(126, color=GREY, lw=0.9, ls="--")
    axes.annotate("the report's 126", (126, -0.4), xytext=(4, 0), textcoords="offset points", fontsize=7)


def report_curves(curve: LearningCurve, *, title: str) -> Figure:
    """Return the report's own plot: accuracies and losses by epoch on one axis from 0 to 1."""
    with mpl.rc_context(STYLE):
        figure = blank_figure(5.6, 3.6)
        axes = figure.subplots()
        epochs = np.arange(1, len(curve) + 1)
        for what, label, color in (
            ("train_cross_entropy", "training loss", VERMILION),
            ("train_accuracy", "training accuracy", ORANGE),
            ("val_cross_entropy", "validation loss", BLUE),
            ("val_accuracy", "validation accuracy", GREEN),
        ):
            axes.plot(epochs, curve.values(what), color=color, lw=1.8, label=label)
        axes.set(title=title, xlabel="epoch", ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8)
        return figure


def report_table(counts: Sequence[Sequence[int]]) -> Figure:
    """Return the report's confusion matrix: a plain table, actual classes in rows."""
    with mpl.rc_context(STYLE):
        figure = blank_figure(6.4, 3.2)
        axes = figure.subplots()
        axes.axis("off")
        labels = [str(i) for i in range(len(counts))]
        cells = [[str(n) for n in row] for row in counts]
        axes.table(cellText=cells, rowLabels=labels, colLabels=labels, loc="center", cellLoc="center")
        return figure
