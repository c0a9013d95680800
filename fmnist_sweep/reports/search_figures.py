"""Plotly figures of a search: scores by trial, importance, configurations side by side, slices."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Container, Sequence
from typing import Any, Final, Literal

import numpy as np
import optuna
import plotly.graph_objects as go
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.analysis.ranking import best_trials, default_trial, measured_trials
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import ABSENT, show_value
from fmnist_sweep.reports.style import (
    BLUE,
    GAP_SCALE,
    GREY,
    ORANGE,
    SCORE_SCALE,
    TEMPLATE,
    VERMILION,
    hovers,
    line,
    new_figure,
    placeholder,
    rounded,
)
from fmnist_sweep.reports.thinning import drawn_best
from fmnist_sweep.reports.unused import without_sklearn
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

with without_sklearn():
    from optuna.importance import get_param_importances

MIN_FOR_IMPORTANCE: Final = 5
"""With fewer COMPLETE trials an importance is noise."""

_N_DRAWS: Final = 20
"""Times that an importance is found anew, from trials drawn with replacement."""

_FEW_TRIALS: Final = 10
"""Up to this number each trial has a tick."""


def score_history(study: StoredStudy) -> go.Figure:
    """Return the scores in the order of the trials, with the best so far."""
    title = "Score by trial"
    trials = measured_trials(study)
    if not trials:
        return placeholder("No trial is complete yet.", title=title)
    values = np.array([t.value for t in trials], dtype=np.float64)
    numbers = [t.number for t in trials]
    shown = sorted(drawn_best(study), key=lambda t: t.number)
    figure = new_figure(title, x="trial", y="score")
    # No trial has half a number.
    figure.update_xaxes(tickformat="d", **({"dtick": 1} if max(numbers) <= _FEW_TRIALS else {}))
    figure.add_trace(
        go.Scatter(
            x=[t.number for t in shown],
            y=[t.value for t in shown],
            mode="markers",
            name="score",
            marker={"size": 8, "color": BLUE, "opacity": 0.75},
            text=hovers(study, shown),
            hovertemplate="%{text}<extra></extra>",
        )
    )
    if np.ptp(values) == 0:
        # Else the axis counts millionths.
        figure.update_yaxes(range=[values[0] - 0.01, values[0] + 0.01])
    so_far = np.maximum.accumulate(values)
    # A step is drawn by its ends: where nothing got better, there is nothing to draw.
    steps = [0, *(np.flatnonzero(np.diff(so_far)) + 1).tolist(), len(so_far) - 1]
    best = line([numbers[i] for i in steps], so_far[steps], color=ORANGE, name="best so far", width=2.5)
    figure.add_trace(best.update(line={"shape": "hv"}, mode="lines"))
    default = default_trial(study)
    if default is not None and default.value is not None:
        figure.add_hline(
            y=default.value,
            line={"dash": "dash", "color": VERMILION, "width": 1.5},
            annotation={"text": "default configuration", "font": {"size": 11}},
            annotation_position="bottom right",
        )
    return figure


def importance(study: StoredStudy) -> go.Figure:
    """Return how much each hyperparameter decided whether a trial's score was good (PED-ANOVA).

    Each bar has a line for what most redrawn sets of trials give: where it is long, the bar says little.
    """
    title = "What mattered"
    trials = [t for t in best_trials(study) if t.params]
    if len(trials) < MIN_FOR_IMPORTANCE or len({t.value for t in trials}) < 2:
        return placeholder(
            f"Importance needs {MIN_FOR_IMPORTANCE} complete trials with different scores.", title=title
        )
    with warnings.catch_warnings():
        # Optuna warns of parameters too rarely seen to be judged; they are left out or get 0.
        warnings.simplefilter("ignore", UserWarning)
        bare = bare_study(study)
        shares = get_param_importances(bare)
        if not shares:
            return placeholder("No hyperparameter varied.", title=title)
        low, high = _redrawn_importances(bare, list(shares))
    names = list(reversed(shares))
    figure = new_figure(title, x=f"importance (%)<br>lines: 80 % of {_N_DRAWS} redrawn sets", y="")
    figure.add_trace(
        go.Bar(
            x=[100 * float(shares[name]) for name in names],
            y=names,
            orientation="h",
            marker={"color": BLUE},
            error_x={
                "array": rounded([100 * max(0.0, high[name] - shares[name]) for name in names]),
                "arrayminus": rounded([100 * max(0.0, shares[name] - low[name]) for name in names]),
                "color": GREY,
                "thickness": 1.5,
                "width": 3,
            },
            customdata=[rounded([100 * low[name], 100 * high[name]]) for name in names],
            hovertemplate="%{y}: %{x:.1f} %, %{customdata[0]:.1f} to %{customdata[1]:.1f}<extra></extra>",
        )
    )
    figure.update_layout(height=120 + 26 * len(names), showlegend=False, bargap=0.35)
    return figure


def _redrawn_importances(bare: optuna.Study, names: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Return between which values, by hyperparameter, most redrawn sets of trials have their importance."""
    trials = [t for t in bare.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
    rng = np.random.default_rng(0)
    found: list[list[float]] = []
    for _ in range(_N_DRAWS):
        drawn = [trials[i] for i in rng.integers(len(trials), size=len(trials))]
        shares = get_param_importances(_held_study(drawn, "redrawn", bare.direction))
        found.append([shares.get(name, 0.0) for name in names])
    low, high = np.quantile(np.nan_to_num(found), [0.1, 0.9], axis=0).tolist()
    return dict(zip(names, low, strict=True)), dict(zip(names, high, strict=True))


def parallel_coordinates(study: StoredStudy) -> go.Figure:
    """Return COMPLETE trials as lines over their hyperparameters, gap and score.

    Axes are logarithmic where the search was. A value that a trial does not have (its condition did not
    hold) stands below the axis's others, at an en dash.
    """
    unit = UNITS[study.rule.metric]
    title = "Configurations side by side"
    trials = drawn_best(study)
    names = searched_names(trials)
    if len(trials) < 2 or not names:
        return placeholder("This needs two complete trials with different configurations.", title=title)
    scores = [float(t.value or 0.0) for t in trials]
    gaps = [unit.factor * (t.gap or 0.0) for t in trials]
    dimensions: list[dict[str, Any]] = [_dimension(name, trials) for name in names]
    dimensions.append({"label": unit.gap_axis(), "values": rounded(gaps), "tickformat": ".3~g"})
    dimensions.append({"label": "score", "values": rounded(scores), "tickformat": ".4~g"})
    figure = go.Figure(
        go.Parcoords(
            # Drawn in this order, so that the best lie on top.
            dimensions=[{**d, "values": list(reversed(d["values"]))} for d in dimensions],
            line={
                "color": list(reversed(rounded(scores))),
                "colorscale": SCORE_SCALE,
            },
            labelangle=-15,
            labelside="bottom",
            # Readable on a thousand lines.
            tickfont={"shadow": "auto"},
            # The ticks tell the ends already.
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        )
    )
    margin = {"l": 72, "r": 48, "t": 40, "b": 96}
    figure.update_layout(template=TEMPLATE, title={"text": title}, height=440, margin=margin)
    return figure


def _dimension(name: str, trials: Sequence[StoredTrial]) -> dict[str, Any]:
    values = [t.params.get(name) for t in trials]
    present = [v for v in values if v is not None]
    first = next(t for t in trials if name in t.params)
    if is_numeric(present):
        log = _is_log(first, name)
        places = [None if v is None else (math.log10(v) if log else float(v)) for v in values]
        ends = [p for p in places if p is not None]
        low, high = min(ends), max(ends)
        ticks = np.linspace(low, high, 4).tolist()
        texts = [show_value(_like(present[0], 10**tick if log else tick)) for tick in ticks]
    else:
        known = sorted({show_value(v) for v in present})
        places = [None if v is None else float(known.index(show_value(v))) for v in values]
        low, high, ticks, texts = 0.0, float(len(known) - 1), list(map(float, range(len(known)))), known
    if None in places:
        low -= 0.15 * ((high - low) or 1.0)
        ticks, texts = [low, *ticks], [ABSENT, *texts]
    return {
        "label": name,
        "values": [round(low if p is None else p, 6) for p in places],
        "range": [low, high if high > low else low + 1.0],
        "tickvals": ticks,
        "ticktext": texts,
    }


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(tens) >= 3:
        return tens
    steps = [m * 10.0**power for power in powers for m in (1, 2, 5)]
    return [step for step in steps if low <= step <= high] or [low, high]


def _like(value: Scalar, number: float) -> Scalar:
    return round(number) if isinstance(value, int) else number


def slices(study: StoredStudy) -> dict[str, go.Figure]:
    """Return, for each searched hyperparameter, the score over its values, coloured by the gap."""
    unit = UNITS[study.rule.metric]
    trials = drawn_best(study)
    gaps = [unit.factor * (np.nan if t.gap is None else t.gap) for t in trials]
    limits = (min(gaps, default=0.0), max(gaps, default=1.0))
    texts = hovers(study, trials)
    figures = {}
    for name in searched_names(trials):
        some = [point for point in zip(trials, gaps, texts, strict=True) if name in point[0].params]
        values = [t.params[name] for t, _, _ in some]
        figure = new_figure(None, x=name, y="score")
        figure.add_trace(
            go.Scatter(
                x=values if is_numeric(values) else [show_value(v) for v in values],
                y=[t.value for t, _, _ in some],
                mode="markers",
                marker={
                    "size": 8,
                    "color": [gap for _, gap, _ in some],
                    "colorscale": GAP_SCALE,
                    "cmin": limits[0],
                    "cmax": limits[1],
                    "line": {"width": 0.5, "color": "white"},
                },
                text=[text for _, _, text in some],
                hovertemplate="%{text}<extra></extra>",
            )
        )
        if not is_numeric(values):
            figure.update_xaxes(type="category")
        elif _is_log(some[0][0], name):
            ticks = _log_ticks(min(values), max(values))
            figure.update_xaxes(
                type="log", tickvals=ticks, ticktext=[f"{tick:g}".replace("e-0", "e-") for tick in ticks]
            )
        elif isinstance(values[0], int) and max(values) - min(values) <= 8:
            figure.update_xaxes(dtick=1)
        figure.update_layout(height=240, showlegend=False, margin={"l": 48, "r": 8, "t": 8, "b": 44})
        figures[name] = figure
    return figures


def searched_names(trials: Sequence[StoredTrial]) -> list[str]:
    """Return the drawn parameters that took two values or more, in the order first seen."""
    names = dict.fromkeys(name for t in sorted(trials, key=lambda t: t.number) for name in t.params)
    return [n for n in names if len({repr(t.params[n]) for t in trials if n in t.params}) > 1]


def bare_study(study: StoredStudy) -> optuna.Study:
    """Return a copy in memory without attributes: Optuna's figures write those into every hover text."""
    measured = {trial.number for trial in measured_trials(study)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A stand-in for each other trial keeps the numbers as they are.
        trials = [trial.bare(measured=trial.number in measured) for trial in study.trials]
        return _held_study(trials, study.name, study.direction)


def _held_study(
    trials: list[FrozenTrial], name: str, direction: Literal["minimize", "maximize"] | StudyDirection
) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(study_name=name, direction=direction, storage=_Held(trials))
    finally:
        optuna.logging.set_verbosity(verbosity)


class _Held(optuna.storages.InMemoryStorage):
    """A storage in memory that holds the trials it was made with, for reading.

    Optuna copies each trial that it adds, with all that was drawn: seconds for thousands.
    """

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self._held = trials

    @override
    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = [t for t in self._held if states is None or t.state in states]
        return copy.deepcopy(found) if deepcopy else found


def is_numeric(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers, so that they have an order; booleans are choices."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _is_log(trial: StoredTrial, name: str) -> bool:
    return bool(getattr(trial.distributions[name], "log", False))
