"""The pictures of a bundle, drawn by matplotlib: it needs no browser and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.reports.style import BLUE, ORANGE, VERMILION

Array: TypeAlias = npt.NDArray[Any]

PART_NAMES: Final[Mapping[str, str]] = {"train": "training", "val": "validation", "test": "test"}

STYLE: Final[Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9dde2",
    "grid.linewidth": 0.6,
    "axes.edgecolor": "#8a8f98",
    "legend.frameon": False,
    # Text in a PDF stays text.
    "pdf.fonttype": 42,
}
_DPI: Final = 160
_FEW_CLASSES: Final = 12
"""Up to so many classes the cells of a confusion matrix hold their numbers."""


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to files; their endings name the formats."""
    with mpl.rc_context(STYLE):
        for path in paths:
            # No time of writing in the file: equal figures give equal files.
            stamp = {"CreationDate": None} if path.suffix == ".pdf" else {}
            figure.savefig(path, dpi=_DPI, bbox_inches="tight", facecolor="white", metadata=stamp)


def learning_curve(
    curves: Sequence[LearningCurve],
    *,
    title: str,
    metrics: Sequence[str] = ("accuracy", "cross_entropy"),
) -> Figure:
    """Return train and validation scores by epoch, a panel for each metric, with the gap shaded.

    Args:
        curves: Of the model that is handed out, then of its repeats, which are drawn thinly.
        title: Above all.
        metrics: Names of metrics that every curve has.
    """
    with mpl.rc_context(STYLE):
        figure = blank_figure(8.6, 3.6)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        units = [UNITS[name] for name in metrics]
        panels = figure.subplots(1, len(units), squeeze=False)[0]
        for axes, unit in zip(panels, units, strict=True):
            _draw_curves(axes, curves, unit.metric, unit.factor)
            axes.set(title=unit.name, xlabel="epoch", ylabel=unit.value)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].legend(loc="best")
        return figure


def _draw_curves(axes: Axes, curves: Sequence[LearningCurve], metric: str, factor: float) -> None:
    first, *others = curves
    epochs = np.arange(1, len(first) + 1)
    train, val = (factor * first.values(f"{part}_{metric}") for part in ("train", "val"))
    for other in others:
        for part, color in (("train", VERMILION), ("val", BLUE)):
            axes.plot(epochs, factor * other.values(f"{part}_{metric}"), color=color, lw=0.7, alpha=0.35)
    axes.fill_between(epochs, train, val, color=ORANGE, alpha=0.25, lw=0, label="gap")
    axes.plot(epochs, train, color=VERMILION, lw=2, marker="o", ms=3, label="training (probe)")
    axes.plot(epochs, val, color=BLUE, lw=2, marker="o", ms=3, label="validation")
    if others:
        axes.plot([], [], color="#8a8f98", lw=0.7, label=f"{len(others)} other seeds")


def confusion_matrices(
    counts: Mapping[str, Array], class_names: Sequence[str], *, title: str, what: str = "images"
) -> Figure:
    """Return one panel for each part: actual classes in rows, predicted in columns.

    A cell holds its count and its share of the row, and is coloured by that share. ``what`` is counted.
    """
    with mpl.rc_context(STYLE):
        n = len(class_names)
        # Few classes need less room than the title of a panel.
        side = max(3.7, 1.6 + 0.46 * min(n, 2 * _FEW_CLASSES))
        figure = blank_figure(side * len(counts) + 0.6, side + 0.4)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        panels = figure.subplots(1, len(counts), squeeze=False)[0]
        for i, (axes, (part, matrix)) in enumerate(zip(panels, counts.items(), strict=True)):
            image = _draw_matrix(axes, matrix, class_names)
            accuracy = np.trace(matrix) / matrix.sum()
            axes.set_title(f"{PART_NAMES[part]}: {matrix.sum():,} {what}, {100 * accuracy:.2f} % right")
            axes.set_xlabel("predicted")
            if i == 0:
                axes.set_ylabel("actual")
        bar = figure.colorbar(image, ax=list(panels), shrink=0.75, pad=0.01, aspect=30)
        bar.set_label("% of the actual class")
        bar.outline.set_visible(False)
        return figure


def _draw_matrix(axes: Axes, counts: Array, class_names: Sequence[str]) -> Any:
    n = len(class_names)
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # The square root lets mistakes of a few per cent be seen beside the diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=mpl.colors.PowerNorm(0.5, vmin=0, vmax=100))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if n <= 2 * _FEW_CLASSES:
        axes.set_xticks(range(n), class_names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), class_names)
    axes.tick_params(length=0)
    if n <= _FEW_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                share = shares[row, column]
                color = "white" if share > 40 else "#1b1f24"
                text = f"{count:,}\n{share:.1f} %" if share >= 0.05 else f"{count:,}\n<0.1 %"
                axes.text(column, row, text, ha="center", va="center", fontsize=5.8, color=color)
    return image


def misclassified(
    images: Array,
    actual: Sequence[str],
    predicted: Sequence[str],
    confidence: Sequence[float],
    *,
    title: str,
) -> Figure:
    """Return the images that were classified wrong with the most confidence, each with what it was taken for.

    Args:
        images: Shape ``(n, height, width, channels)``, in [0, 1].
        actual: Names of their classes.
        predicted: Names of the classes they were taken for.
        confidence: Probabilities given to the predicted classes.
        title: Above all.
    """
    with mpl.rc_context(STYLE):
        n_columns = 8
        n_rows = max(1, -(-len(images) // n_columns))
        figure = blank_figure(1.35 * n_columns, 1.75 * n_rows + 0.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for axes in figure.subplots(n_rows, n_columns, squeeze=False).flat:
            axes.axis("off")
        for axes, image, a, p, c in zip(figure.axes, images, actual, predicted, confidence, strict=False):
            axes.imshow(image.squeeze(), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(
                f"actual {a}\npredicted {p}\n{100 * c:.1f} % sure", fontsize=6.5, fontweight="normal"
            )
        return figure


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, to be drawn and saved under `STYLE`."""
    # Without pyplot: it would keep every figure, and ask the machine for a screen.
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
