"""Tables and sentences for the terminal, and the same facts for scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fmnist_sweep.address import safe_url
from fmnist_sweep.config import SweepConfig
from fmnist_sweep.display import points
from fmnist_sweep.progress import Progress, Stop
from fmnist_sweep.reports.frames import best_trials, default_trial, hyperparameters
from fmnist_sweep.space import Parameter
from fmnist_sweep.study import DEFAULT_STORAGE

_N_BEST = 5


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain values that JSON can hold: missing ones are None, times ISO 8601."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, pd.Timestamp):
        return None if pd.isna(value) else value.isoformat()
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def _shown(value: Any, how: str = "{}") -> str:
    value = _plain(value)
    return "-" if value is None else escape(how.format(value))


def _fraction(value: Any) -> str:
    return _shown(value, "{:.4f}")


def _difference(value: Any) -> str:
    return _shown(value, "{:+.4f}")


def print_studies(console: Console, frame: pd.DataFrame) -> None:
    """Print one row for each study."""
    if frame.empty:
        console.print("There are no studies yet.")
        return
    table = _table(
        "study", "done", "pruned", "failed", "running", "best trial", "score", "val acc", "gap", "vs default"
    )
    for row in frame.to_dict("records"):
        table.add_row(
            _shown(row["name"]),
            _shown(row["complete"] + row["pruned"] + row["failed"]),
            _shown(row["pruned"]),
            _shown(row["failed"]),
            _shown(row["running"]),
            _shown(row["best_trial"]),
            _fraction(row["score"]),
            _fraction(row["val_accuracy"]),
            _difference(row["gap"]),
            _difference(row["difference"]),
        )
    console.print(table)


def print_trials(console: Console, frame: pd.DataFrame) -> None:
    """Print one row for each trial, with the parameters that vary."""
    settings = [column for column in frame.columns if column.startswith("params_")]
    varying = [column for column in settings if len(set(frame[column].dropna().map(str))) > 1]
    table = _table("trial", "state", "score", "val acc", "gap", "epoch", "configuration")
    table.columns[-1].justify = "left"
    for row in frame.to_dict("records"):
        epoch = _plain(row["epoch"])
        told = {column.removeprefix("params_"): _plain(row[column]) for column in varying}
        table.add_row(
            _shown(row["number"]),
            _shown(row["state"]).lower(),
            _fraction(row["score"]),
            _fraction(row["val_accuracy"]),
            _difference(row["gap"]),
            "-" if epoch is None else str(int(epoch) + 1),
            _configuration({name: value for name, value in told.items() if value is not None}),
        )
    console.print(table)


def _configuration(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_setting(value)}" for name, value in values.items())


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def print_summary(
    console: Console, study: optuna.Study, stop: Stop, progress: Progress, *, storage: str
) -> None:
    """Print what came of a sweep: the five best trials, what to do next, and where things are."""
    name = study.study_name
    counts = f"{progress.n_complete} complete, {progress.n_pruned} pruned, {progress.n_failed} failed"
    reused = f"; {progress.n_reused_epochs} epochs reused" if progress.n_reused_epochs else ""
    console.print(f"\nStudy {name!r}: {stop.value}; {counts}{reused}.", highlight=False, markup=False)
    best = best_trials(study, _N_BEST)
    if best:
        table = _table("trial", "score", "val acc", "train acc", "gap", "epoch", "parameters", "seconds")
        for trial in best:
            attrs = trial.user_attrs
            table.add_row(
                str(trial.number),
                _fraction(trial.value),
                _fraction(attrs["val_accuracy"]),
                _fraction(attrs["train_accuracy"]),
                _difference(attrs["gap"]),
                f"{attrs['epoch'] + 1}/{attrs['n_epochs']}",
                f"{attrs['n_parameters']:,}",
                f"{attrs['seconds']:.0f}",
            )
        console.print(table)
        searched = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
        setting = {k: v for k, v in hyperparameters(best[0]).items() if k in searched}
        console.print(f"Trial {best[0].number}: {_configuration(setting)}.", highlight=False, soft_wrap=True)
        _print_against_default(console, study, best[0])
    where = "" if storage == DEFAULT_STORAGE else f" --storage {safe_url(storage)}"
    console.print(
        f"Next: fmnist-sweep dashboard{where} (browse) | fmnist-sweep report{where} (a page) | "
        f"fmnist-sweep export {name}{where} (the winner as a bundle)",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _print_against_default(console: Console, study: optuna.Study, best: optuna.trial.FrozenTrial) -> None:
    default = default_trial(study)
    if default is None or default.value is None or best.value is None:
        return
    if default.number == best.number:
        console.print("The best is the model's default configuration; nothing tried so far beats it.")
        return
    in_accuracy = study.user_attrs["config"]["score"]["metric"] == "accuracy"
    difference = best.value - default.value
    by = points(difference) if in_accuracy else f"{difference:+.4f}"
    console.print(
        f"Against the model's default configuration (trial {default.number}): {by}.", highlight=False
    )


def outline(config: SweepConfig) -> dict[str, Any]:
    """Return what ``validate`` tells of a sweep: its size is None where the space is continuous."""
    size = config.sampled_space.size
    counts = config.n_parameters_range()
    return {
        **config.to_dict(),
        "searched": list(config.sampled_space.searched),
        "size": None if math.isinf(size) else size,
        "n_parameters": None if counts is None else list(counts),
        "digest": config.digest,
    }


def print_config(console: Console, file: str, config: SweepConfig) -> None:
    """Print what a sweep file asks for."""
    facts = outline(config)
    console.print(
        f"\n{file}: study {config.file.study!r}, model {config.file.model}", style="bold", markup=False
    )
    table = _table("parameter", "type", "values", "when")
    for column in table.columns[1:]:
        column.justify = "left"
    for name in config.space:
        parameter = config.space[name]
        table.add_row(name, parameter.type, escape(_values(parameter)), escape(_when(parameter)))
    console.print(table)
    size = "continuous" if facts["size"] is None else f"{facts['size']:,} points"
    counts = facts["n_parameters"]
    weights = "unknown" if counts is None else f"{counts[0]:,} to {counts[1]:,}"
    budget = config.file.budget
    limits = [f"{budget.trials} trials"]
    limits += [] if budget.seconds is None else [f"{budget.seconds:g} s"]
    limits += [] if budget.epochs is None else [f"{budget.epochs} epochs"]
    best = config.file.score.epoch_rule == "best"
    epochs = f"up to {config.epochs[-1]}, the best counts" if best else "sampled"
    console.print(
        f"{len(facts['searched'])} searched; size: {size}; weights: {weights}; epochs: {epochs}; "
        f"sampler {config.file.sampler.name}, pruner {config.file.pruner.name}; budget: {', '.join(limits)}",
        highlight=False,
        markup=False,
    )


def _values(parameter: Parameter) -> str:
    if parameter.type in ("int", "float"):
        low, high = parameter.ends()
        step = getattr(parameter, "step", None)
        steps = f", step {step:g}" if step not in (None, 1) else ""
        return f"{low:g} to {high:g}{', log' if parameter.log else ''}{steps}"
    return ", ".join(str(value) for value in parameter.ends())


def _when(parameter: Parameter) -> str:
    return ", ".join(f"{parent} in {list(values)}" for parent, values in parameter.when.items())
