"""What searching gives beside what tuning by hand gave: validation accuracy and gap on the same axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmnist_sweep.analysis.comparing import side
from fmnist_sweep.analysis.statistics import Interval, interval
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import ABSENT, show_interval
from fmnist_sweep.reports.pictures import STYLE, blank_figure
from fmnist_sweep.reports.style import BLUE, GREY, VERMILION
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.text_form import PREFIX
from original_study.cnn_claims import (
    CNN_HIGH_L2,
    CNN_LOW_L2,
    FILTERS,
    HALF,
    KERNEL_3,
    KERNEL_5,
    PADDED,
    UNPADDED,
)
from original_study.dense_claims import BASE, BEST
from original_study.results import Results, Run, Value
from original_study.shown import effect, per_cent

SEARCHES: Final = ("dense", "dense-regularised", "cnn", "cnn-regularised")
_BY_HAND: Final = (
    ("dense, by hand", "dense-final", BASE, 15),
    ("CNN, by hand", "cnn-final", CNN_LOW_L2, 10),
)
_OTHERS: Final = (*BEST.runs, KERNEL_5, KERNEL_3, FILTERS, HALF, PADDED, UNPADDED, CNN_HIGH_L2)


@dataclass(frozen=True)
class Entrant:
    """A model with its accuracy and gap on reshuffled splits.

    Attributes:
        name: Who found it.
        by_search: Whether a search did.
        val_accuracy: Mean with interval.
        gap: Likewise.
        test_accuracy: In words; `ABSENT` where the test set was not read.
        winner: ``"trial 12"`` or ``"default"``; None by hand.
        n_trials: Trials of the search; None by hand.
        seconds: Time that these trials trained, each on one core; None by hand.
    """

    name: str
    by_search: bool
    val_accuracy: Interval
    gap: Interval
    test_accuracy: str
    winner: str | None = None
    n_trials: int | None = None
    seconds: float | None = None


def is_search(name: str) -> bool:
    """Return whether a study is one of `SEARCHES`, or came with the repository as one."""
    return name.removeprefix(PREFIX) in SEARCHES


def entrants(results: Results, studies: Mapping[str, StoredStudy]) -> tuple[list[Entrant], list[str]]:
    """Return who stands beside whom, and the searches that are missing.

    Args:
        results: The experiments'.
        studies: All studies of the storage, by name.

    Returns:
        The report's two models as far as they were trained, then the confirmed winners of `SEARCHES`; and
        the names of those that were not run, or not confirmed.
    """
    found, missing = [], []
    for name, experiment, run, epochs in _BY_HAND:
        val, gap = (results.mean(Value(run, what, epochs)) for what in ("val_accuracy", "gap"))
        if val is not None and gap is not None:
            tested = [float(row["test_accuracy"]) for row in results.tested(experiment)]
            told = per_cent(interval(tested, n_val=0, n_train=1)) if tested else ABSENT
            found.append(Entrant(name, False, val, gap, told))
    for name in SEARCHES:
        study = studies.get(name, studies.get(PREFIX + name))
        one = None if study is None else _searched(name, study)
        if one is None:
            missing.append(name)
        else:
            found.append(one)
    return found, missing


def _searched(name: str, study: StoredStudy) -> Entrant | None:
    done = study.in_state("COMPLETE", "PRUNED")
    if study.is_confirmation or not study.in_state("COMPLETE"):
        return None
    winner = side(study)
    if not winner.confirmed:
        return None
    kept = study.export
    test = None if kept is None else kept["mean"].get("test_accuracy")
    told = ABSENT if test is None else show_interval(test, UNITS["accuracy"])
    if kept is not None and kept.get("flip_average"):
        told += ", mean over mirror images"
    return Entrant(
        f"{name}, by search",
        True,
        winner.val_accuracy,
        winner.gap,
        told,
        winner.label,
        len(done),
        sum(float(t.seconds or 0.0) for t in done),
    )


def entrant_rows(found: list[Entrant]) -> tuple[tuple[str, ...], ...]:
    """Return a row of a table for each: name, accuracies, gap, which trial it is, what it cost."""
    return tuple(
        (
            e.name,
            per_cent(e.val_accuracy),
            effect(e.gap, "points"),
            e.test_accuracy,
            ABSENT if e.winner is None else e.winner,
            ABSENT if e.n_trials is None else str(e.n_trials),
            ABSENT if e.seconds is None else f"{e.seconds / 60:.0f} min",
        )
        for e in found
    )


def entrants_figure(found: list[Entrant], results: Results) -> Figure:
    """Return accuracy against gap: every configuration of the page, the report's choice, the winners."""
    with mpl.rc_context(STYLE):
        figure = blank_figure(7.6, 4.4)
        axes = figure.subplots()
        for run in _OTHERS:
            _draw_small(axes, results, run)
        for e in found:
            color = VERMILION if e.by_search else BLUE
            x, y = 100 * e.gap.mean, 100 * e.val_accuracy.mean
            for (low, high), line in (
                ((e.gap.low, e.gap.high), "x"),
                ((e.val_accuracy.low, e.val_accuracy.high), "y"),
            ):
                ends = [100 * low, 100 * high]
                axes.plot(
                    *((ends, [y, y]) if line == "x" else ([x, x], ends)), color=color, lw=1.2, alpha=0.6
                )
            axes.plot([x], [y], "o", color=color, ms=7)
            # To opposite sides: a search often ends beside what it started from.
            away, ha, va = (-6, "right", "top") if e.by_search else (6, "left", "bottom")
            axes.annotate(
                e.name,
                (x, y),
                xytext=(away, away),
                textcoords="offset points",
                fontsize=8,
                color=color,
                ha=ha,
                va=va,
            )
        axes.set(xlabel="gap (points)", ylabel="validation accuracy (%)")
        axes.axvline(0, color=GREY, lw=0.8)
        return figure


def _draw_small(axes: Axes, results: Results, run: Run) -> None:
    val, gap = (results.mean(Value(run, what)) for what in ("val_accuracy", "gap"))
    if val is not None and gap is not None:
        axes.plot([100 * gap.mean], [100 * val.mean], "o", color=GREY, ms=4, alpha=0.7)
