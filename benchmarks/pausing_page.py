"""The part of ``docs/performance.md`` on trials that pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.markdown import paragraph, table

_HEAD: Final = (
    "method",
    "easy (s)",
    "ours over it",
    "reached",
    "hard (s)",
    "ours over it",
    "reached",
    "score of a sweep",
    "gain",
    "its seconds",
    "its epochs",
)
_WORDS: Final = """
Promotion is asynchronous successive halving as published (Li et al., 2020): a trial pauses at each rung,
and the best third of those that reached it go on. Freeze-thaw gives the next epoch to the paused trial
of the largest expected improvement for each epoch left, by Gaussian processes over epochs with the
decaying kernel of Swersky et al. (2014): chosen because it needs no trained network and no PyTorch, as
later ones do, and is read in a minute (`benchmarks/forecast.py`). A start costs what it took in the
recording, to go on as much as to begin. The default would change for a rule that is at least 1.3 times
as fast to both scores on both models, and loses no more than 0.0005 of a sweep's score.
"""
_TABLE: Final = """
*{model}.* {drawn} Two workers, {n} seeds, equal epoch times. Seconds are medians until an epoch reaches
{easy:.4f} (easy: one configuration in ten does) and {hard:.4f} (hard: one in a hundred); a race ends
after the time of {limit_trials} trials. A sweep is of thirty trials, and its gain over ours of the same
seed; `ours` is the pruner of the sweep file.
"""
_RECORDED: Final = "The {n} recorded configurations in random order for every method: none is drawn by TPE."
_DRAWN: Final = "Drawn from the space, with curves from the surrogate of the races above."


def section(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of the part; none where nothing was measured."""
    measured = results.get("pausing", [])
    lines = [*paragraph(*_WORDS.split()), ""]
    for told in measured:
        drawn = _RECORDED.format(n=told["n_configurations"]) if told["recorded"] else _DRAWN
        words = _TABLE.format(**told, drawn=drawn, n=told["rows"][0]["n"])
        lines += [*paragraph(*words.split()), "", *table(_HEAD, [_row(row) for row in told["rows"]]), ""]
    return ["## Pausing instead of pruning", "", *lines] if measured else []


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [row["name"]]
    for target in ("easy", "hard"):
        median, faster = row[f"{target}_s"], row[f"{target}_faster"]
        cells += [
            "never" if median is None else f"{median:.0f}",
            "-" if faster is None else f"{faster:.2f}",
            f"{row[f'{target}_reached']} of {row['n']}",
        ]
    gain = f"{row['gain']:+.4f} ± {row['gain_error']:.4f}"
    return (*cells, f"{row['score']:.4f}", gain, f"{row['seconds']:.0f}", f"{row['epochs']:.0f}")
