"""How figures look and how numbers are shown: one place for colours, units and words.

Colours are those of Okabe and Ito, which all kinds of colour vision tell apart.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.records import FloatArray, Scalar
from fmnist_sweep.reports.frames import hyperparameters

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A8F98"
TRIAL_COLORS: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
SCORE_SCALE: Final = [[0.0, "#8A8F98"], [0.7, "#C2A35A"], [1.0, ORANGE]]
GAP_SCALE: Final = [[0.0, BLUE], [0.5, "#C9C2B0"], [1.0, VERMILION]]

_AXIS: Final = {
    "gridcolor": "rgba(128,134,145,0.22)",
    "linecolor": "rgba(128,134,145,0.6)",
    "zeroline": False,
    "showline": True,
    "ticks": "outside",
    "tickcolor": "rgba(128,134,145,0.6)",
    "automargin": True,
    "title": {"standoff": 10},
}
ABSENT: Final = "\N{EN DASH}"
"""Shown where there is no value."""

TEMPLATE: Final[dict[str, Any]] = {
    "layout": {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(TRIAL_COLORS),
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "margin": {"l": 56, "r": 16, "t": 44, "b": 48},
        "title": {"x": 0, "xref": "paper", "font": {"size": 15}, "y": 0.98, "yanchor": "top"},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "hoverlabel": {"align": "left", "font": {"size": 12}},
    }
}


@dataclass(frozen=True)
class Unit:
    """How a score's metric is shown to people.

    Attributes:
        metric: ``"accuracy"`` or ``"cross_entropy"``.
        factor: Stored number times this is the shown one.
        value: Unit of a value.
        gap: Unit of a gap.
        decimals: Decimals shown.
    """

    metric: str
    factor: float
    value: str
    gap: str
    decimals: int

    @property
    def name(self) -> str:
        """The metric in words."""
        return self.metric.replace("_", "-")

    def axis(self, what: str) -> str:
        """Return an axis title, such as ``"validation accuracy (%)"``."""
        return f"{what} {self.name} ({self.value})".lstrip()

    def tolerance(self, gap: float) -> str:
        """Return a tolerance as it was set: ``"1 point"``, ``"0.5 points"``, ``"0.05 nats"``."""
        number = f"{self.factor * gap:g}"
        return f"{number} {self.gap.removesuffix('s') if number == '1' else self.gap}"

    def show(self, value: float | None, *, gap: bool = False, signed: bool = False) -> str:
        """Return a value with its unit, such as ``"89.1 %"`` or ``"1.2 points"``; `ABSENT` without one."""
        if value is None or math.isnan(value):
            return ABSENT
        sign = "+" if signed else ""
        number = f"{self.factor * value:{sign}.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")
        return f"{number} {self.gap if gap or signed else self.value}"


UNITS: Final[Mapping[str, Unit]] = {
    "accuracy": Unit("accuracy", 100.0, "%", "points", 2),
    "cross_entropy": Unit("cross_entropy", 1.0, "nats", "nats", 4),
}


def show_score(value: float | None) -> str:
    """Return a score as it is stored, with four decimals, so that it is found again in every other tool."""
    if value is None or math.isnan(value):
        return ABSENT
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def show_interval(number: Mapping[str, Any], unit: Unit, *, gap: bool = False) -> str:
    """Return a number with its 95 % interval: ``"89.12 % (88.90 to 89.34)"``.

    Args:
        number: ``mean`` and ``interval_95``, which is None where there is none.
        unit: Of the number.
        gap: Whether it is a difference.
    """
    shown = unit.show(number["mean"], gap=gap)
    if number["interval_95"] is None:
        return shown
    low, high = (f"{unit.factor * end:.{unit.decimals}f}" for end in number["interval_95"])
    return f"{shown} ({low} to {high})".replace("-", "\N{MINUS SIGN}")


def show_value(value: Scalar | None) -> str:
    """Return a hyperparameter's value short enough for a table.

    Example:
        >>> [show_value(v) for v in (0.000123456, 300, "relu", False)]
        ['0.000123', '300', 'relu', 'false']
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def show_configuration(trial: FrozenTrial) -> str:
    """Return a trial's hyperparameters in one line."""
    return ", ".join(f"{name} {show_value(value)}" for name, value in hyperparameters(trial).items())


def placeholder(words: str, *, title: str) -> go.Figure:
    """Return a figure that says in words why there is nothing to see."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": {"text": title}, "height": 160})
    figure.add_annotation(text=words, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def new_figure(title: str | None, *, x: str, y: str) -> go.Figure:
    """Return an empty figure with axis titles."""
    return go.Figure(
        layout={
            "template": TEMPLATE,
            "title": {"text": title},
            "xaxis": {"title": {"text": x}},
            "yaxis": {"title": {"text": y}},
            "height": 400,
        }
    )


def line(x: Sequence[int], y: FloatArray, *, color: str, width: float = 0, **more: Any) -> go.Scatter:
    """Return a line; one with a name shows its values on hover."""
    if "name" in more:
        more["hovertemplate"] = "%{y}"
    stroke = {"color": color, "width": width}
    return go.Scatter(x=list(x), y=rounded(y), mode="lines", line=stroke, **more)


def rounded(y: FloatArray | Sequence[float]) -> list[float]:
    """Return plotted numbers short enough to embed."""
    # Lists, not arrays: the dashboard's older plotly script can't read plotly's packed arrays.
    return [round(float(v), 5) for v in y]


def hover(trial: FrozenTrial, unit: Unit, key: str) -> str:
    """Return what a trial's point shows on hover, as plotly's small HTML; values are escaped."""
    attrs = trial.user_attrs
    lines = [f"<b>trial {trial.number}</b> ({trial.state.name.lower()})"]
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        lines.append(f"score {show_score(trial.value)}")
    lines.append(f"validation {unit.show(attrs.get(key))}, gap {unit.show(attrs.get('gap'), gap=True)}")
    if "epoch" in attrs:
        lines.append(f"epoch {attrs['epoch'] + 1} of {attrs.get('n_epochs', '?')}")
    lines += [f"{name}: {show_value(value)}" for name, value in hyperparameters(trial).items()]
    return "<br>".join(line if i == 0 else html.escape(line) for i, line in enumerate(lines))
