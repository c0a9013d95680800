"""Tables and sentences on trials for the terminal, and the same facts for scripts."""

from __future__ import annotations

import math
import shlex
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console

from fmnist_sweep.analysis.ranking import best_trials, default_trial
from fmnist_sweep.analysis.summary import price_words
from fmnist_sweep.cli.console.cells import new_table, print_rows, say
from fmnist_sweep.cli.console.trial_table import configuration, print_left_out, short_name
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.core.wording import MAX_CELL, difference, fraction, points
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_N_BEST = 5
_RARE: Final = ("damaged", "metric", "val")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain values that JSON can hold: missing ones are None, times ISO 8601."""
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]
    # Few studies are damaged, or score another metric: the others don't say that they are not.
    return [{k: v for k, v in row.items() if k not in _RARE or v is not None} for row in rows]


def print_frame(console: Console, frame: pd.DataFrame) -> None:
    """Print the rows and columns of a frame as they are, numbers to four digits."""

    def cell(value: Any) -> str:
        return (
            "-"
            if value is None
            else f"{value:.4g}"
            if isinstance(value, float)
            else safe_line(str(value), MAX_CELL)
        )

    rows = [[cell(_plain(value)) for value in row] for row in frame.itertuples(index=False)]
    print_rows(console, [safe_line(str(name).removeprefix("params_"), MAX_CELL) for name in frame], rows)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, pd.Timestamp):
        return None if pd.isna(value) else value.isoformat()
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def print_summary(
    console: Console, study: StoredStudy, stop: Stop, progress: Progress, *, storage: str
) -> None:
    """Print what came of a sweep: the five best trials, what to do next, and where things are."""
    name = study.name
    counts = f"{progress.n_complete} complete, {progress.n_pruned} pruned, {progress.n_failed} failed"
    n_saved = progress.n_reused_epochs
    reused = f"; saved {n_saved} {'epoch' if n_saved == 1 else 'epochs'} by reuse" if n_saved else ""
    say(console, f"\nStudy {name!r}: {stop.value}; {counts}{reused}.")
    best = best_trials(study, _N_BEST)
    if best:
        metric = study.rule.shown_metric
        columns = [f"{part} {short_name(metric)}" for part in ("val", "train")]
        table = new_table("trial", "score", *columns, "gap", "epoch", "parameters", "seconds")
        for trial in best:
            table.add_row(
                study.label(trial),
                fraction(trial.value),
                fraction(trial.scores.get(f"val_{metric}")),
                fraction(trial.scores.get(f"train_{metric}")),
                difference(trial.gap),
                f"{trial.scored_after}/{trial.n_epochs}",
                f"{trial.n_parameters:,}",
                f"{trial.seconds:.0f}",
            )
        console.print(table)
        searched = {name for trial in study.trials for name in trial.params}
        setting = {k: v for k, v in best[0].hyperparameters.items() if k in searched}
        told = configuration(setting) or "nothing was searched"
        say(console, f"Trial {best[0].number}: {told}.")
        _print_against_default(console, study, best[0])
        for sentence in price_words(study):
            say(console, sentence)
    print_left_out(console, study)
    where = "" if storage == DEFAULT_STORAGE else f" --storage {safe_url(storage)}"
    typed = shlex.quote(name)
    steps = [f"fmnist-sweep dashboard{where} (browse)", f"fmnist-sweep report{where} (a page)"]
    # Before a trial is complete these are refused.
    if best:
        afresh = "fresh seeds and splits" if study.splits_are_drawn else "fresh seeds"
        steps.append(f"fmnist-sweep confirm {typed}{where} (the best on {afresh})")
        steps.append(f"fmnist-sweep export {typed}{where} (the winner as a bundle)")
    say(console, f"Next: {' | '.join(steps)}")


def _print_against_default(console: Console, study: StoredStudy, best: StoredTrial) -> None:
    default = default_trial(study)
    if default is None or default.value is None or best.value is None:
        return
    if default.number == best.number:
        console.print("The best is the model's default configuration; nothing tried so far beats it.")
        return
    in_points = study.rule.quantity.unit.in_points
    gain = best.value - default.value
    by = points(gain) if in_points else f"{gain:+.4f}"
    console.print(
        f"Against the model's default configuration (trial {default.number}): {by}.", highlight=False
    )
