"""The part of ``docs/performance.md`` on trials that pause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.markdown import paragraph, table

FASTER: Final = 1.3
"""How many times as fast a rule has to be to both scores to become the default."""

LOSES: Final = 0.0005
"""What it may lose of the score that thirty trials come to."""

_HEAD: Final = ("method", "easy", "hard", "gain of a sweep", "its seconds", "its epochs")
_WORDS: Final = """
Promotion is asynchronous successive halving as published (Li et al., 2020): a trial pauses at each rung,
and the best third of those that reached it go on. Freeze-thaw gives the next epoch to the paused trial
of the largest expected improvement for each epoch left, by Gaussian processes over epochs with the
decaying kernel of Swersky et al. (2014): chosen because it needs no trained network and no PyTorch, as
later ones do, and is read in a minute (`fmnist_sweep/search/forecast.py`). A start costs what it took in
the recording, to go on as much as to begin. The rows with `[pruner]` are the search itself, with
`name = "promotion"` or `"freeze_thaw"` in its sweep file; the other promotions are the race's own few
lines of the same rule.
"""
_TABLE: Final = """
*{model}.* {drawn} Two workers, {n} seeds, equal epoch times. Seconds are medians until an epoch reaches
{easy:.4f} (easy: one configuration in ten does) and {hard:.4f} (hard: one in a hundred); a race ends
after the time of {limit_trials} trials. Beside them stand the median of ours over it, and how many of
the races arrived. A sweep is of thirty trials; its gain is over the score of ours of the same seed, whose
mean is {score:.4f}. `ours` is the pruner of the sweep file.
"""
_RECORDED: Final = "The {n} recorded configurations in random order for every method: none is drawn by TPE."
_DRAWN: Final = "Drawn from the space, with curves from the surrogate of the races above."
_RULE: Final = f"""
The default would change for a rule that is at least {FASTER} times as fast to both scores on both models, and
loses no more than {LOSES} of a sweep's score.
"""
_NO_TPE: Final = """
Our search draws by TPE. That race (the same command without `--recorded`) has not been run, so what pausing
gives there is not known, and the default stays.
"""


def better(measured: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the methods that are `FASTER` to both scores and lose no more than `LOSES`, on all models.

    Args:
        measured: For each model the rows of `benchmarks.pausing_race.summarise`.
    """

    def is_better(row: Mapping[str, Any]) -> bool:
        faster = [row["easy_faster"], row["hard_faster"]]
        return all(f is not None and f >= FASTER for f in faster) and row["gain"] >= -LOSES

    found = [{row["name"] for row in rows if is_better(row)} for rows in measured]
    return sorted(set.intersection(*found)) if found else []


def section(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of the part; none where nothing was measured."""
    measured = results.get("pausing", [])
    lines = [*_lines(_WORDS), *_lines(_RULE)]
    for told in measured:
        drawn = _RECORDED.format(n=told["n_configurations"]) if told["recorded"] else _DRAWN
        lines += _lines(
            _TABLE.format(**told, drawn=drawn, n=told["rows"][0]["n"], score=told["rows"][0]["score"])
        )
        lines += [*table(_HEAD, [_row(row) for row in told["rows"]]), ""]
    for recorded, where in ((True, "among the recorded configurations"), (False, "drawn from the space")):
        rows = [told["rows"] for told in measured if told["recorded"] == recorded]
        if rows:
            found = ", ".join(f"`{name}`" for name in better(rows)) or "none"
            lines += _lines(f"What is so much better, {where}: {found}.")
    if all(told["recorded"] for told in measured):
        lines += _lines(_NO_TPE)
    return ["## Pausing instead of pruning", "", *lines] if measured else []


def _lines(words: str) -> list[str]:
    return [*paragraph(*words.split()), ""]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    gain = f"{row['gain']:+.4f} ± {row['gain_error']:.4f}"
    times = (_time(row, "easy"), _time(row, "hard"))
    return (row["name"], *times, gain, f"{row['seconds']:.0f}", f"{row['epochs']:.0f}")


def _time(row: Mapping[str, Any], target: str) -> str:
    median, faster, reached = (row[f"{target}_{what}"] for what in ("s", "faster", "reached"))
    if median is None:
        return f"never ({reached})"
    at_least = "at least " if row[f"{target}_at_least"] else ""
    return f"{median:.0f} s, {at_least}{faster:.2f} x ({reached})"
