"""The plots of ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#808691"


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a plot for each comparison that was measured, as SVG; equal results give equal files."""
    drawn = []
    # Numbers in an SVG are otherwise drawn from chance.
    with mpl.rc_context({"svg.hashsalt": "fmnist-sweep", "font.size": 10}):
        for name, make in (("throughput", _throughput), ("races", _races)):
            if results.get(name):
                path = folder / f"performance-{name}.svg"
                make(results[name]).savefig(path, metadata={"Date": None}, bbox_inches="tight")
                drawn.append(path)
    return drawn


def _throughput(measured: list[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 1.2 + 0.4 * max(len(told["rows"]) for told in measured)))
    axes = figure.subplots(1, len(measured), squeeze=False)[0]
    for axis, told in zip(axes, measured, strict=True):
        rows = [row for row in told["rows"] if "ratio" in row][::-1]
        middle = [row["ratio"]["median"] for row in rows]
        reach = [
            [row["ratio"]["median"] - row["ratio"]["low"] for row in rows],
            [row["ratio"]["high"] - row["ratio"]["median"] for row in rows],
        ]
        axis.barh([row["name"] for row in rows], middle, xerr=reach, color=_BLUE, ecolor=_ORANGE, capsize=3)
        axis.axvline(1, color=_GREY, linewidth=1)
        axis.set_title(told["model"])
        axis.set_xlabel("their wall-clock over ours (range over blocks)")
    figure.tight_layout()
    return figure


def _races(measured: list[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 3.6))
    axes = figure.subplots(1, len(measured), squeeze=False)[0]
    for axis, told in zip(axes, measured, strict=True):
        for name, races in told["races"].items():
            times = sorted(race["reached_s"] for race in races if race["reached_s"] is not None)
            shares = [100 * (i + 1) / len(races) for i in range(len(times))]
            own = {"color": _ORANGE, "linewidth": 2.5, "zorder": 3} if name == "ours" else {"linewidth": 1.2}
            axis.step([0, *times], [0, *shares], where="post", label=name, **own)
        axis.set_title(told["model"])
        axis.set_xlabel("virtual seconds")
        axis.set_ylabel("races that reached the score (%)")
        axis.set_xscale("symlog", linthresh=10)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    return figure
