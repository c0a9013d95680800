"""The table of a study's trials on the terminal. Nothing here loads pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

from rich.console import Console

from fmnist_sweep.analysis.ranking import left_out_notes
from fmnist_sweep.cli.console.cells import print_rows, say
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.wording import MAX_CELL, difference, fraction
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_MAX_REASONS: Final = 10
"""Reasons of failures, and trials of one reason, that are printed."""


def print_trials(
    console: Console,
    study: StoredStudy,
    *,
    trials: Sequence[StoredTrial] | None = None,
    wide: bool = False,
) -> None:
    """Print one row for each trial, with the parameters that vary.

    Args:
        console: Where it is printed.
        study: The study.
        trials: Some of its trials, in their order; None prints all, and what is wrong with any.
        wide: Give each parameter that varies a column, and name the others once.
    """
    shown = study.trials if trials is None else trials
    given = [trial.hyperparameters for trial in shown]
    columns = {name: _alike([values.get(name) for values in given]) for name in dict.fromkeys(_names(given))}
    varying = {
        safe_line(name, MAX_CELL): column
        for name, column in columns.items()
        if len({str(value) for value in column if value is not None}) > 1
    }
    rows, metric = [], study.rule.shown_metric
    for i, trial in enumerate(shown):
        told = [(name, column[i]) for name, column in varying.items()]
        one_line = ", ".join(f"{name} {_setting(value)}" for name, value in told if value is not None)
        each = ["-" if value is None else _setting(value) for _, value in told]
        rows.append(
            (
                study.label(trial),
                _state(study, trial),
                fraction(trial.score),
                fraction(trial.scores.get(f"val_{metric}")),
                difference(trial.gap),
                "-" if trial.epoch is None else str(trial.scored_after),
                *(each if wide else [one_line]),
            )
        )
    numbers = ("trial", "state", "score", f"val {short_name(metric)}", "gap", "epoch")
    print_rows(console, (*numbers, *(varying if wide else ["configuration"])), rows)
    if wide:
        rest = {name: column for name, column in columns.items() if safe_line(name, MAX_CELL) not in varying}
        if same := {name: column[0] for name, column in rest.items() if None not in column}:
            say(console, f"In all of them: {configuration(same)}.")
    if trials is not None:
        return
    _print_failures(console, study)
    print_left_out(console, study)


def short_name(metric: str) -> str:
    """Return a metric's name as the title of a column."""
    return "acc" if metric == "accuracy" else safe_line(metric, MAX_CELL)


def _names(given: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for values in given for name in values]


def _alike(column: Sequence[Any]) -> list[Any]:
    """Return a parameter's values as one kind of number where it has two, and without what is no number."""
    kinds = {type(value) for value in column}
    if float not in kinds:
        return list(column)
    all_numbers = kinds <= {float, int, type(None)}
    numbers = [float(value) if all_numbers and value is not None else value for value in column]
    return [None if isinstance(value, float) and not isfinite(value) else value for value in numbers]


def _print_failures(console: Console, study: StoredStudy) -> None:
    """Print why trials failed; each reason once, for whatever is wrong tends to be so in many trials."""
    failed: dict[str, list[str]] = {}
    for trial in study.in_state("FAIL"):
        failed.setdefault(trial.fail_words, []).append(study.label(trial))
    for reason, labels in list(failed.items())[:_MAX_REASONS]:
        which = ", ".join(labels[:_MAX_REASONS]) + (", ..." if len(labels) > _MAX_REASONS else "")
        say(console, f"{'trial' if len(labels) == 1 else 'trials'} {which} failed: {safe_line(reason)}")
    if len(failed) > _MAX_REASONS:
        say(console, f"{len(failed) - _MAX_REASONS} more reasons: --csv has them all")


def _state(study: StoredStudy, trial: StoredTrial) -> str:
    again = study.followed.get(trial.number)
    return study.state_word(trial) if again is None else f"{study.state_word(trial)}, again as {again}"


def configuration(values: Mapping[str, Any]) -> str:
    """Return parameters and their values in one line."""
    return ", ".join(f"{safe_line(name, MAX_CELL)} {_setting(value)}" for name, value in values.items())


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else safe_line(str(value), MAX_CELL)


def print_left_out(console: Console, study: StoredStudy) -> None:
    """Print which complete trials are in no ranking, and why."""
    for note in left_out_notes(study):
        say(console, note)
