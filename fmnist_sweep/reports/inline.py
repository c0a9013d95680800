"""The pictures of a study that a notebook shows: small ones, which stay in it without a script."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist_sweep.analysis.ranking import best_trials, measured_trials
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.reports.pictures import STYLE, blank_figure
from fmnist_sweep.reports.style import BLUE, GREY, ORANGE, TRIAL_COLORS
from fmnist_sweep.reports.thinning import drawn_best
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_DPI: Final = 72
"""Pictures are kept in notebooks, and those in git: 40 KB are enough."""

_N_CURVES: Final = 3


def study_picture(study: StoredStudy) -> Figure:
    """Return one picture of a study: its best learning curves, validation against gap, and scores by trial.

    Args:
        study: The study; one without a complete trial gives empty axes that say so.
    """
    with mpl.rc_context(STYLE):
        figure = blank_figure(12.0, 3.4)
        curves, gaps, scores = figure.subplots(1, 3)
        _draw_curves(curves, study)
        _draw_gaps(gaps, study)
        _draw_scores(scores, study)
        return figure


def png_of(figure: Figure) -> bytes:
    """Return a figure as a small PNG."""
    with mpl.rc_context(STYLE), io.BytesIO() as file:
        figure.savefig(file, dpi=_DPI, format="png", facecolor="white", metadata={"Software": None})
        return file.getvalue()


def _draw_curves(axes: Axes, study: StoredStudy) -> None:
    unit = UNITS[study.rule.metric]
    axes.set(title="Best trials: training dashed", xlabel="epoch", ylabel=unit.axis(""))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    trials = [trial for trial in best_trials(study, _N_CURVES) if trial.curve is not None]
    for trial, color in zip(trials, TRIAL_COLORS, strict=False):
        if trial.curve is None:
            continue
        epochs = np.arange(1, len(trial.curve) + 1)
        train, val = (
            unit.factor * trial.curve.values(f"{part}_{study.rule.metric}") for part in ("train", "val")
        )
        axes.plot(epochs, train, color=color, lw=1.2, ls="--")
        axes.plot(epochs, val, color=color, lw=2, label=f"trial {trial.number}")
        if trial.epoch is not None:
            axes.plot(trial.epoch + 1, val[trial.epoch], color=color, marker="o", ms=6)
    _finish(axes, any_drawn=bool(trials))


def _draw_gaps(axes: Axes, study: StoredStudy) -> None:
    unit, key = UNITS[study.rule.metric], f"val_{study.rule.metric}"
    axes.set(
        title="Validation against gap",
        xlabel=unit.gap_axis(),
        ylabel=unit.axis("validation"),
    )
    known = [t for t in drawn_best(study) if t.gap is not None and key in t.scores]
    best = best_trials(study, 1)
    _dots(axes, known, unit.factor, key, c=BLUE, s=22)
    if best and best[0] in known:
        label = f"best (trial {best[0].number})"
        _dots(axes, best, unit.factor, key, c=ORANGE, s=90, marker="*", label=label)
    _finish(axes, any_drawn=bool(known))


def _dots(axes: Axes, trials: Sequence[StoredTrial], factor: float, key: str, **how: Any) -> None:
    axes.scatter([factor * (t.gap or 0.0) for t in trials], [factor * t.scores[key] for t in trials], **how)


def _draw_scores(axes: Axes, study: StoredStudy) -> None:
    axes.set(title="Score by trial", xlabel="trial", ylabel="score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    trials = [t for t in measured_trials(study) if t.value is not None]
    numbers, values = [t.number for t in trials], [_value(t) for t in trials]
    axes.scatter(numbers, values, c=GREY, s=16)
    if trials:
        axes.step(numbers, np.maximum.accumulate(values), where="post", color=BLUE, lw=2, label="best so far")
    _finish(axes, any_drawn=bool(trials))


def _value(trial: StoredTrial) -> float:
    return 0.0 if trial.value is None else trial.value


def _finish(axes: Axes, *, any_drawn: bool) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8)
    if any_drawn:
        return
    axes.text(0.5, 0.5, "no trial is complete yet", transform=axes.transAxes, ha="center", color=GREY)
