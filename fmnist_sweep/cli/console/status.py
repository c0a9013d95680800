"""What each study is at, printed. Nothing here loads pandas or Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from fmnist_sweep.cli.console.cells import new_table, say, shown
from fmnist_sweep.core.wording import difference, fraction, unmeasured_note

_COUNTS: Final = ("done", "pruned", "paused", "failed", "running", "interrupted", "waiting")
_RARE: Final = ("paused", "interrupted")
"""Shown where there are any."""

_RESULTS: Final = ("best trial", "score", "val acc", "gap", "vs default")

_NO_LIMIT: Final = 10_000


def print_studies(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each study, given as `read_overview` gives it; two where the console is narrow."""
    if not rows:
        console.print("There are no studies yet.")
        return
    counts = [word for word in _COUNTS if word not in _RARE or any(row[word] for row in rows)]
    whole = _studies_table(rows, [*counts, *_RESULTS])
    wide = console.options.update(max_width=_NO_LIMIT)
    if console.measure(whole, options=wide).maximum <= console.width:
        console.print(whole)
    else:
        console.print(_studies_table(rows, counts))
        console.print()
        console.print(_studies_table(rows, _RESULTS))
    for row in rows:
        if "damaged" in row:
            say(console, f"{row['name']} is damaged, and no other command uses it: {row['damaged']}.")
        elif row["unmeasured"]:
            say(console, f"{row['name']}: {unmeasured_note(row['unmeasured'])}")


def _validation(row: Mapping[str, Any]) -> str:
    """Return the validation accuracy of the best trial, or the metric that is scored, with its name."""
    if "metric" not in row:
        return fraction(row["val_accuracy"])
    return f"{shown(row['metric'])} {fraction(row['val'])}"


def _studies_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = new_table("study", *columns)
    for row in rows:
        cells = {
            **{word: shown(row[word]) for word in _COUNTS if word != "done"},
            "done": shown(row["complete"] + row["pruned"] + row["failed"]),
            "best trial": shown(row["best_trial"]),
            "score": fraction(row["score"]),
            "val acc": _validation(row),
            "gap": difference(row["gap"]),
            "vs default": difference(row["difference"]),
        }
        table.add_row(shown(row["name"]), *(cells[name] for name in columns))
    return table
