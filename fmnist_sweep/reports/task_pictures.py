"""Pictures of what a model predicts, by task: confusions, curves of two classes, predicted against true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmnist_sweep.reports.pictures import PART_NAMES, STYLE, blank_figure
from fmnist_sweep.reports.style import BLUE, GREEN, GREY, VERMILION

Array: TypeAlias = npt.NDArray[Any]
Parts: TypeAlias = Mapping[str, tuple[Array, Array]]
"""Targets and predictions by part."""

MOST_IN_A_MATRIX: Final = 30
"""Of more classes the pairs that are confused most often are shown."""

_COLORS: Final = {"train": VERMILION, "val": BLUE, "test": GREEN}
_N_BINS: Final = 10
_MOST_POINTS: Final = 5000


def roc_and_calibration(parts: Parts, *, title: str) -> Figure:
    """Return two panels for a model of two classes: the receiver operating characteristic, and calibration.

    Args:
        parts: 0 and 1 ``(n,)``, and the probability of 1 ``(n,)``, by part. A part of one class alone has
            no curve.
        title: Above all.
    """
    from sklearn import metrics  # noqa: PLC0415 - it takes a while

    with mpl.rc_context(STYLE):
        figure = blank_figure(8.6, 4.0)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        roc, calibration = figure.subplots(1, 2)
        for axes in (roc, calibration):
            axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
        for part, (y, p) in parts.items():
            color = _COLORS[part]
            if len(np.unique(y)) == 2:
                false, true, _ = metrics.roc_curve(y, p)
                area = metrics.auc(false, true)
                roc.plot(false, true, color=color, lw=1.8, label=f"{PART_NAMES[part]}: AUC {area:.3f}")
            given, happened = calibration_points(y, p)
            calibration.plot(given, happened, color=color, lw=1.5, marker="o", ms=4, label=PART_NAMES[part])
        roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
        calibration.set(title="calibration", xlabel="mean predicted probability", ylabel="share of class 1")
        for axes in (roc, calibration):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            if axes.get_legend_handles_labels()[1]:
                axes.legend(loc="best")
        return figure


def calibration_points(y: Array, p: Array) -> tuple[Array, Array]:
    """Return the mean probability given and the share that happened, in each tenth that holds rows.

    Args:
        y: 0 and 1, shape ``(n,)``.
        p: Probabilities of 1, shape ``(n,)``.

    Example:
        >>> [a.tolist() for a in calibration_points(np.array([0, 1, 1]), np.array([0.05, 0.91, 0.95]))]
        [[0.05, 0.93], [0.0, 1.0]]
    """
    bins = np.minimum((p * _N_BINS).astype(int), _N_BINS - 1)
    used = np.unique(bins)
    given = np.array([p[bins == b].mean() for b in used]).round(6)
    return given, np.array([y[bins == b].mean() for b in used]).round(6)


def predicted_and_true(parts: Parts, *, title: str) -> Figure:
    """Return two panels for each predicted number: predicted against true, and what is left over.

    Args:
        parts: True and predicted numbers ``(n, k)`` by part; at most four of the k are shown.
        title: Above all.
    """
    with mpl.rc_context(STYLE):
        n = min(4, next(iter(parts.values()))[0].shape[1])
        figure = blank_figure(8.6, 0.4 + 3.6 * n)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for i, (scatter, residual) in enumerate(figure.subplots(n, 2, squeeze=False)):
            _draw_numbers(scatter, residual, {k: (y[:, i], p[:, i]) for k, (y, p) in parts.items()})
            of = f" of number {i + 1}" if n > 1 else ""
            scatter.set(title=f"predicted against true{of}", xlabel="true", ylabel="predicted")
            residual.set(title=f"residuals{of}", xlabel="predicted", ylabel="true \N{MINUS SIGN} predicted")
            scatter.legend(loc="best")
        return figure


def _draw_numbers(scatter: Axes, residual: Axes, parts: Parts) -> None:
    for part, (y, p) in parts.items():
        # Evenly spaced, so that of sorted rows all kinds are seen.
        some = np.linspace(0, len(y) - 1, min(len(y), _MOST_POINTS)).astype(int)
        error = float(np.sqrt(np.mean((y - p) ** 2)))
        style: dict[str, Any] = {"s": 9, "alpha": 0.5, "color": _COLORS[part], "linewidths": 0}
        scatter.scatter(y[some], p[some], label=f"{PART_NAMES[part]}: rmse {error:.4g}", **style)
        residual.scatter(p[some], (y - p)[some], **style)
    everything = np.concatenate([a for pair in parts.values() for a in pair])
    ends = [float(everything.min()), float(everything.max())]
    scatter.plot(ends, ends, color=GREY, lw=0.8, ls="--")
    residual.axhline(0.0, color=GREY, lw=0.8, ls="--")


def worst_pairs(pairs: Sequence[tuple[str, int]], *, title: str) -> Figure:
    """Return the pairs of classes that are confused most often, as bars.

    Args:
        pairs: Each in words, with how often it happened; the most frequent first.
        title: Above all.
    """
    with mpl.rc_context(STYLE):
        figure = blank_figure(7.5, 1.2 + 0.3 * max(1, len(pairs)))
        axes = figure.subplots()
        names, counts = [words for words, _ in pairs], [n for _, n in pairs]
        axes.barh(range(len(pairs)), counts, color=BLUE)
        axes.set_yticks(range(len(pairs)), names)
        axes.invert_yaxis()
        axes.set(title=title, xlabel="rows")
        if not pairs:
            axes.text(0.5, 0.5, "none was confused", ha="center", va="center", transform=axes.transAxes)
        return figure
