"""How figures look and how numbers are shown: one place for colours, units and words.

Colours are those of Okabe and Ito, which all kinds of colour vision tell apart.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import plotly.graph_objects as go

from fmnist_sweep.core.curves import FloatArray
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import Unit, show_score, show_value
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

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


def show_configuration(trial: StoredTrial) -> str:
    """Return a trial's hyperparameters in one line."""
    return ", ".join(f"{name} {show_value(value)}" for name, value in trial.hyperparameters.items())


def placeholder(words: str, *, title: str) -> go.Figure:
    """Return a figure that says in words why there is nothing to see."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": {"text": title}, "height": 160})
    # On a phone a line has room for so much.
    words = "<br>".join(textwrap.wrap(words, 40))
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


_HOVERS: Final[WeakKeyDictionary[StoredStudy, dict[int, str]]] = WeakKeyDictionary()
"""Of each study that is drawn, what its trials show: a dozen figures show the same."""


def hovers(study: StoredStudy, trials: Iterable[StoredTrial]) -> list[str]:
    """Return what the points of some of a study's trials show on hover, as plotly's small HTML."""
    known = _HOVERS.setdefault(study, {})
    unit = UNITS[study.rule.metric]
    texts = []
    for trial in trials:
        if trial.number not in known:
            known[trial.number] = hover(trial, unit, f"val_{unit.metric}")
        texts.append(known[trial.number])
    return texts


def hover(trial: StoredTrial, unit: Unit, key: str) -> str:
    """Return what a trial's point shows on hover, as plotly's small HTML; values are escaped."""
    lines = [f"<b>trial {trial.number}</b> ({trial.told_state.lower()})"]
    if trial.score is not None:
        lines.append(f"score {show_score(trial.score)}")
    lines.append(f"validation {unit.show(trial.scores.get(key))}, gap {unit.show(trial.gap, gap=True)}")
    if trial.epoch is not None:
        n_epochs = "?" if trial.n_epochs is None else trial.n_epochs
        lines.append(f"epoch {trial.epoch + 1} of {n_epochs}")
    lines += [f"{name}: {show_value(value)}" for name, value in trial.hyperparameters.items()]
    return "<br>".join(line if i == 0 else html.escape(line) for i, line in enumerate(lines))
