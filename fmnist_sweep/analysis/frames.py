"""Studies as pandas DataFrames: one row a study, one a trial, one an epoch.

Nothing here is rounded. Epochs count from 1, as everywhere that people or scripts read them; the stored
attributes and what Optuna calls a step count from 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from fmnist_sweep.analysis.numbers import number_of, value_of
from fmnist_sweep.analysis.study_rows import study_row
from fmnist_sweep.core.curves import METRICS
from fmnist_sweep.core.foreign import csv_cell
from fmnist_sweep.core.metrics import RETURNED
from fmnist_sweep.storage.stored import StoredStudy

NUMBERS: Final = (
    "val_accuracy",
    "train_accuracy",
    "gap",
    "val_cross_entropy",
    "train_cross_entropy",
    "epoch",
    "n_epochs",
    "n_parameters",
    "seconds",
    "peak_memory_mb",
    "seed",
)
"""Numbers of a trial that become columns; NaN where a trial has none."""

_WHOLE: Final = ("epoch", "n_epochs", "n_parameters", "seed")
_TRIAL_COLUMNS: Final = (
    "number",
    "state",
    "score",
    "pruned_score",
    *NUMBERS,
    "stopped_early",
    "fail_reason",
    "datetime_start",
    "datetime_complete",
)


def studies_frame(studies: Iterable[StoredStudy]) -> pd.DataFrame:
    """Return one row for each study.

    Returns:
        Columns ``name, model, n_trials, complete, pruned, paused, failed, running, interrupted`` (see
        `StoredStudy.is_interrupted`) ``, waiting, unmeasured`` (see `n_unmeasured`); of the best COMPLETE
        trial ``best_trial, score, val_accuracy, train_accuracy, gap, epoch`` (from 1) ``, n_parameters``;
        where another metric is scored, its name ``metric`` and ``val``;
        ``default_score`` and ``difference`` (best minus default score); over all trials ``seconds, epochs,
        last_activity``. Unknown numbers are NaN; of a damaged study so is all that ranks its trials. Where
        there is one, ``damaged`` says why.
    """
    rows = map(study_row, studies)
    frame = pd.DataFrame([{**row, "last_activity": row["last_activity"] or pd.NaT} for row in rows])
    return _whole_numbers(frame, ("best_trial", "epoch", "n_parameters"))


def trials_frame(study: StoredStudy) -> pd.DataFrame:
    """Return one row for each trial, by number.

    Returns:
        Columns ``number, state`` (see `StoredTrial.told_state`) ``, score`` (NaN unless COMPLETE) ``,
        pruned_score`` (the last report of a PRUNED trial: never to be ranked with scores) ``, val_accuracy,
        train_accuracy, gap, val_cross_entropy, train_cross_entropy, epoch`` (from 1) ``, n_epochs,
        n_parameters, seconds, peak_memory_mb, seed, stopped_early, fail_reason, datetime_start,
        datetime_complete`` and, as in
        Optuna's ``trials_dataframe``, ``params_NAME`` for each hyperparameter, fixed ones too; before these
        ``returned``, a number that the user's ``fit`` returned, and ``returned_NAME`` for those of a mapping.
    """
    trials = study.trials
    names = dict.fromkeys(name for t in trials for name in t.hyperparameters)
    # Of a model of someone's own: whatever else it was compiled with.
    more = [n for n in dict.fromkeys(n for t in trials for n in t.scores) if n not in NUMBERS]
    returned = {name: _returned_column(name) for t in trials for name in t.returned}
    rows = []
    for trial in trials:
        values = trial.hyperparameters
        row: dict[str, Any] = {
            "number": trial.number,
            "state": trial.told_state,
            "score": np.nan if trial.score is None else trial.score,
            "pruned_score": value_of(trial if trial.state == "PRUNED" else None),
            **{name: number_of(trial, name) for name in (*NUMBERS, *more)},
            "stopped_early": bool(trial.stopped_early),
            "fail_reason": trial.fail_reason,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
            **{column: trial.returned.get(name, np.nan) for name, column in returned.items()},
        }
        rows.append({**row, **{f"params_{name}": values.get(name) for name in names}})
    params = [f"params_{name}" for name in names]
    frame = pd.DataFrame(rows, columns=[*_TRIAL_COLUMNS, *more, *returned.values(), *params])
    whole = [name for name in names if all(type(t.hyperparameters.get(name, 0)) is int for t in trials)]
    return _whole_numbers(frame, (*_WHOLE, *(f"params_{name}" for name in whole)))


def _returned_column(name: str) -> str:
    return name if name == RETURNED else f"{RETURNED}_{name}"


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV in which no text can be run: not by a terminal, and not by a spreadsheet."""
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    shown = frame.assign(**{str(name): frame[name].map(csv_cell) for name in texts})
    return shown.rename(columns=csv_cell).to_csv(index=False)


def curves_frame(study: StoredStudy) -> pd.DataFrame:
    """Return one row for each trained epoch of each trial that has a curve.

    Returns:
        Columns ``number, state, epoch`` (from 1) ``, train_accuracy, train_cross_entropy, val_accuracy,
        val_cross_entropy, seconds, gap, score`` (by the study's rule) ``, scored`` (true at the epoch whose
        scores stand for the trial).
    """
    rule = study.rule
    parts = []
    for trial in study.trials:
        curve = trial.curve
        if curve is None:
            continue
        # Of a classifier these are the four that there always were.
        part = pd.DataFrame(
            {name: column for name, column in curve.to_attribute().items() if "running" not in name}
        )
        part["number"], part["state"] = trial.number, trial.told_state
        part["epoch"] = np.arange(1, len(curve) + 1)
        part["gap"], part["score"] = rule.gaps(curve), rule.scores(curve)
        part["scored"] = part["epoch"] == number_of(trial, "epoch")
        parts.append(part)
    given = dict.fromkeys(str(name) for part in parts for name in part)
    measured = [name for name in given if name.startswith(("train_", "val_"))]
    names = METRICS if set(measured) <= {*METRICS} else tuple(measured)
    columns = ["number", "state", "epoch", *names, "seconds", "gap", "score", "scored"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _whole_numbers(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    # Plain int64 has no missing value, so one gap would turn 300 units into 300.0.
    return frame.astype({name: "Int64" for name in columns if name in frame and _fits(frame[name])})


def _fits(column: pd.Series[Any]) -> bool:
    # Another tool may have whole numbers of any size.
    return not any(isinstance(value, int) and abs(value) >= 2**63 for value in column)
