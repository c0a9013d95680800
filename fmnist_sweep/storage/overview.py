"""What each study is at, read straight from an SQLite file: no Optuna, no pandas, no learning curves.

Optuna reads every trial whole, with all its epochs, before it can count them. The handful of numbers that
``status`` shows are a few short queries.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage.address import sqlite_path
from fmnist_sweep.storage.lease.process import was_killed

_SCHEMA: Final = (12, "v3.2.0.a")
"""The tables of Optuna 5: its own schema number, and the last migration."""

_OF_BEST: Final = ("val_accuracy", "train_accuracy", names.GAP, names.N_PARAMETERS)
_STATES: Final = {
    "complete": "COMPLETE",
    "pruned": "PRUNED",
    "failed": "FAIL",
    "waiting": "WAITING",
}


def read_overview(url: str) -> list[dict[str, Any]] | None:
    """Return one row for each study of an SQLite storage, oldest first.

    Args:
        url: The storage's address.

    Returns:
        The columns of `fmnist_sweep.analysis.frames.studies_frame` as plain values: missing numbers are
        None, times ISO 8601. None where the storage is no SQLite file, can't be read in this way, or holds
        tables of another Optuna: whoever asks then reads it through Optuna, which says what is wrong.
    """
    path = sqlite_path(url)
    if path is None or not os.path.isfile(path):  # noqa: PTH113 - False as well for what can be no path
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            # One transaction: a sweep may be writing, and counts and scores belong together.
            database.execute("BEGIN")
            if _schema(database) != _SCHEMA:
                return None
            studies = database.execute(
                "SELECT study_id, study_name FROM studies ORDER BY study_id"
            ).fetchall()
            return [_row(database, *study) for study in studies]
    except sqlite3.Error:
        return None


def _schema(database: sqlite3.Connection) -> tuple[int, str]:
    (number,) = database.execute("SELECT schema_version FROM version_info").fetchone()
    (migration,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return number, migration


def _row(database: sqlite3.Connection, study: int, name: str) -> dict[str, Any]:
    of_study = "SELECT value_json FROM study_user_attributes WHERE study_id = ? AND key = ?"
    config = _json(database.execute(of_study, (study, names.CONFIG)).fetchone(), {})
    killed = was_killed(_json(database.execute(of_study, (study, names.OWNER)).fetchone(), None))
    default = _json(database.execute(of_study, (study, names.DEFAULT_TRIAL)).fetchone(), None)
    counts = dict(
        database.execute("SELECT state, count(*) FROM trials WHERE study_id = ? GROUP BY state", (study,))
    )
    is_sweep = database.execute(of_study, (study, names.CONFIG_DIGEST)).fetchone() is not None
    complete = database.execute(
        "SELECT t.number, t.trial_id, v.value FROM trials t "
        "JOIN trial_values v ON v.trial_id = t.trial_id AND v.value_type = 'FINITE' "
        "WHERE t.study_id = ? AND t.state = 'COMPLETE' "
        # Nor what has as many values as another tool's study has objectives.
        "AND (SELECT count(*) FROM trial_values w WHERE w.trial_id = t.trial_id) = 1 "
        # Not what another tool told in a sweep's study.
        "AND (NOT ? OR (SELECT count(*) FROM trial_user_attributes a "
        "WHERE a.trial_id = t.trial_id AND a.key IN (?, ?, ?)) = 3)",
        (study, is_sweep, *names.OURS),
    ).fetchall()
    (last,) = database.execute(
        "SELECT max(max(coalesce(datetime_start, ''), coalesce(datetime_complete, ''))) "
        "FROM trials WHERE study_id = ?",
        (study,),
    ).fetchone()
    best, score, attrs = _best(database, complete)
    default_score = next((value for number, _, value in complete if number == default), None)
    return {
        "name": name,
        "model": config.get("model"),
        "n_trials": sum(counts.values()),
        **{word: counts.get(state, 0) for word, state in _STATES.items()},
        "running": 0 if killed else counts.get("RUNNING", 0),
        "interrupted": counts.get("RUNNING", 0) if killed else 0,
        "unmeasured": counts.get("COMPLETE", 0) - len(complete),
        "best_trial": best,
        "score": score,
        **{key: attrs.get(key) for key in _OF_BEST},
        "epoch": attrs[names.EPOCH] + 1 if names.EPOCH in attrs else None,
        "default_score": default_score,
        "difference": None if score is None or default_score is None else score - default_score,
        "seconds": sum(json.loads(stored) for stored in _attributes(database, study, names.SECONDS)),
        "epochs": _n_epochs(database, study),
        "last_activity": datetime.fromisoformat(last).isoformat() if last else None,
    }


def _best(
    database: sqlite3.Connection, complete: Sequence[tuple[int, int, float]]
) -> tuple[int | None, float | None, Mapping[str, Any]]:
    """Return number, score and attributes of the best trial, equal scores ranked as `best_trials` does."""
    if not complete:
        return None, None, {}
    score = max(value for _, _, value in complete)
    ranked = []
    for number, trial, value in complete:
        if value == score:
            attrs = {
                key: json.loads(stored)
                for key, stored in database.execute(
                    "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = ? AND key <> ?",
                    (trial, names.CURVE),
                )
            }
            rank = (*(float(attrs.get(key, "inf")) for key in (names.GAP, names.N_PARAMETERS)), number)
            ranked.append((rank, number, attrs))
    _, number, attrs = min(ranked, key=lambda entry: entry[0])
    return number, score, attrs


def _attributes(database: sqlite3.Connection, study: int, key: str, *, without: str = "") -> list[str]:
    """Return an attribute of the study's trials, by number, of those that lack another one."""
    found = database.execute(
        "SELECT a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id "
        "LEFT JOIN trial_user_attributes b ON b.trial_id = t.trial_id AND b.key = ? "
        "WHERE t.study_id = ? AND a.key = ? AND b.trial_id IS NULL ORDER BY t.number",
        (without, study, key),
    )
    return [stored for (stored,) in found]


def _n_epochs(database: sqlite3.Connection, study: int) -> int:
    told = sum(int(stored) for stored in _attributes(database, study, names.N_EPOCHS))
    curves = map(json.loads, _attributes(database, study, names.CURVE, without=names.N_EPOCHS))
    return told + sum(len(curve["val_accuracy"]) for curve in curves)


def _json(found: tuple[str] | None, otherwise: Any) -> Any:
    return otherwise if found is None else json.loads(found[0])
