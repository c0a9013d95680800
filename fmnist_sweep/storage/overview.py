"""What each study is at, read straight from an SQLite file: no Optuna, no pandas.

Optuna makes an object of every trial, with all its epochs, before it can count them. The handful of numbers
that ``status`` shows are a few short queries, and one look at each attribute says whether it is whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import inf, isfinite
from operator import itemgetter
from typing import Any, Final, TypeVar

from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import checking
from fmnist_sweep.storage.address import sqlite_path
from fmnist_sweep.storage.json_text import parsed
from fmnist_sweep.storage.lease.process import was_killed

_SCHEMA: Final = (12, "v3.2.0.a")
"""The tables of Optuna 5: its own schema number, and the last migration."""

_OF_BEST: Final = ("val_accuracy", "train_accuracy", names.GAP, names.N_PARAMETERS)
_OF_CLASSES: Final = ("accuracy", "cross_entropy")
"""Metrics beside which people are told the accuracy, as `ScoreRule.shown_metric` says."""

_VALUES: Final = {"INF_POS": inf, "INF_NEG": -inf}
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
        None, times ISO 8601; and ``damaged``, why no other command uses the study, where that is so. None
        where the storage is no SQLite file, can't be read in this way, or holds
        tables of another Optuna: whoever asks then reads it through Optuna, which says what is wrong.
    """
    return _read(url, _row)


def read_damage(url: str, studies: Collection[str]) -> dict[str, list[str]] | None:
    """Return what is wrong with some studies of an SQLite storage, as `StoredStudy.damaged` has it.

    Args:
        url: The storage's address.
        studies: Names; those that there are not are left out.

    Returns:
        Lines by name; None as with `read_overview`.
    """

    def lines(database: sqlite3.Connection, study: int, name: str) -> list[str]:
        return _known(database, study).problems if name in studies else []

    rows = _read(url, lambda database, study, name: (name, lines(database, study, name)))
    return None if rows is None else dict(rows)


_SCORED: Final = frozenset({names.CONFIG_DIGEST, names.SCORE_RULE})
"""What makes a study one of scored trials: made by a sweep, or by an objective of the user's."""

_T = TypeVar("_T")


def _read(url: str, row: Callable[[sqlite3.Connection, int, str], _T]) -> list[_T] | None:
    """Return a row for each study of an SQLite storage; None where it can't be read in this way."""
    path = sqlite_path(url)
    if path is None or "?" in url or not os.path.isfile(path):  # noqa: PTH113 - False as well for what can be no path
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
            checking.text_names(name for _, name in studies)
            return [row(database, *study) for study in studies]
    except sqlite3.Error:
        return None


def _schema(database: sqlite3.Connection) -> tuple[int | None, str | None]:
    rows = (
        database.execute(f"SELECT {column} FROM {table}").fetchone()  # noqa: S608 - names of this module
        for column, table in (("schema_version", "version_info"), ("version_num", "alembic_version"))
    )
    number, migration = (None if row is None else row[0] for row in rows)
    return number, migration


@dataclass(frozen=True, slots=True)
class _Study:
    """A study's attributes less those that are not of their form, its trials, and what is wrong with all."""

    attributes: Mapping[str, Any]
    trials: Sequence[_Trial]
    problems: list[str]


def _known(database: sqlite3.Connection, study: int) -> _Study:
    given, problems = _study_attributes(database, study)
    attributes, wrong = checking.fitting_study(given)
    problems += wrong
    directions = database.execute("SELECT direction FROM study_directions WHERE study_id = ?", (study,))
    about = checking.direction_problems([direction for (direction,) in directions])
    problems += about
    trials, lines, of_rows = _trials(database, study, band=_widest_band(attributes))
    if attributes.keys() & _SCORED or problems:
        problems += lines
    return _Study(attributes, trials, problems if about else [*problems, *of_rows])


def _row(database: sqlite3.Connection, study: int, name: str) -> dict[str, Any]:
    known = _known(database, study)
    attributes, trials, problems = known.attributes, known.trials, known.problems
    config = attributes.get(names.CONFIG, {})
    killed = was_killed(attributes.get(names.OWNER))
    default = attributes.get(names.DEFAULT_TRIAL)
    counts = dict(
        database.execute("SELECT state, count(*) FROM trials WHERE study_id = ? GROUP BY state", (study,))
    )
    paused = [trial.state for trial in trials if trial.is_paused]
    counts = {state: n - paused.count(state) for state, n in counts.items()}
    is_scored = bool(attributes.keys() & _SCORED)
    rule = config.get("score", attributes.get(names.SCORE_RULE, {}))
    metric = rule.get("metric", _OF_CLASSES[0])
    complete = [
        trial
        for trial in trials
        if trial.is_complete
        and trial.score is not None
        # Not what another tool told in a sweep's study.
        and (not is_scored or trial.attributes.keys() >= {*names.OURS})
    ]
    near = _near_best(complete, known) if is_scored and not problems else {}
    best = None
    if complete and not problems:
        first = next(iter(near), None)
        best = next((t for t in complete if t.number == first), None) or min(complete, key=_rank)
    score, attrs = (None, {}) if best is None else _at(best, near, attributes)
    baseline = next((t for t in complete if t.number == default), None) if not problems else None
    default_score = None if baseline is None else _at(baseline, near, attributes)[0]
    return {
        "name": name,
        "model": config.get("model"),
        "n_trials": sum(counts.values()),
        **{word: counts.get(state, 0) for word, state in _STATES.items()},
        "paused": len(paused),
        "running": 0 if killed else counts.get("RUNNING", 0),
        "interrupted": counts.get("RUNNING", 0) if killed else 0,
        "unmeasured": counts.get("COMPLETE", 0) - (0 if problems else len(complete)),
        "best_trial": None if best is None else best.number,
        "score": score,
        **{key: attrs.get(key) for key in _OF_BEST},
        **({} if metric in _OF_CLASSES else {"metric": metric}),
        **({"val": attrs[f"val_{metric}"]} if metric not in _OF_CLASSES and f"val_{metric}" in attrs else {}),
        "epoch": attrs[names.EPOCH] + 1 if names.EPOCH in attrs else None,
        "default_score": default_score,
        "difference": None if score is None or default_score is None else score - default_score,
        "seconds": sum(t.attributes.get(names.SECONDS, 0) for t in trials),
        "epochs": sum(t.n_epochs for t in trials),
        "last_activity": max((t.last for t in trials if t.last is not None), default=None),
        **({"damaged": checking.in_short(problems)} if problems else {}),
    }


@dataclass(frozen=True, slots=True)
class _Trial:
    """What is counted of a trial: its attributes hold no curve.

    Attributes:
        columns: Its curve, if the study's rule may choose another epoch of it; else empty.
    """

    number: int
    state: str
    score: float | None
    attributes: Mapping[str, Any]
    n_epochs: int
    last: str | None
    columns: Mapping[str, Sequence[float]]

    @property
    def is_complete(self) -> bool:
        return self.state == "COMPLETE"

    @property
    def is_paused(self) -> bool:
        """As `StoredTrial.is_paused` has it."""
        return self.state in ("RUNNING", "WAITING") and self.attributes.get(names.PAUSED) is not None


def _rank(trial: _Trial) -> tuple[float, float, float, int]:
    """Return what `fmnist_sweep.analysis.ranking.best_trials` sorts by."""
    gap, size = (trial.attributes.get(name) for name in (names.GAP, names.N_PARAMETERS))
    value = -inf if trial.score is None else trial.score
    return -value, inf if gap is None else gap, inf if size is None else size, trial.number


def _near_best(complete: Sequence[_Trial], known: _Study) -> dict[int, int]:
    """Return what a study's rule can't tell from the best, as `StoredStudy.near_best` has it."""
    if not any(trial.columns for trial in complete):
        return {}
    # NumPy, too, only for a study that needs it.
    from fmnist_sweep.storage.choice import choice_among  # noqa: PLC0415

    return choice_among(complete, known.attributes)


def _at(
    trial: _Trial, near: Mapping[int, int], study: Mapping[str, Any]
) -> tuple[float | None, Mapping[str, Any]]:
    """Return a trial's score and attributes at the epoch that its study's rule chooses."""
    if trial.number not in near:
        return trial.score, trial.attributes
    from fmnist_sweep.storage.choice import at_epoch, stored_rule  # noqa: PLC0415 - as above

    return at_epoch(trial.columns, trial.attributes, near[trial.number], stored_rule(study))


def _study_attributes(database: sqlite3.Connection, study: int) -> tuple[dict[str, Any], list[str]]:
    """Return a study's attributes, and a line on each that is no JSON."""
    rows = database.execute("SELECT key, value_json FROM study_user_attributes WHERE study_id = ?", (study,))
    return _parsed(rows)


def _parsed(rows: Iterable[tuple[str, str]]) -> tuple[dict[str, Any], list[str]]:
    found, problems = {}, []
    for key, stored in rows:
        try:
            found[key] = parsed(stored)
        except (ValueError, TypeError, RecursionError) as error:
            problems.append(checking.unreadable(key, error))
    return found, problems


def _widest_band(attributes: Mapping[str, Any]) -> float | None:
    score = attributes.get(names.CONFIG, {}).get("score", {})
    if not score.get("within_se"):
        return None
    from fmnist_sweep.storage.choice import widest_band  # noqa: PLC0415 - NumPy, as in `_choice`

    return widest_band(attributes)


def _trials(
    database: sqlite3.Connection, study: int, *, band: float | None
) -> tuple[list[_Trial], list[str], list[str]]:
    """Return a study's trials, by number, and lines: on what is wrong with each, and with its rows.

    Args:
        database: Where they are.
        study: The study's row.
        band: Keep the curves of what is no further below the best score than that; None keeps none.
    """
    # Of several objectives, a trial has no value that could be ranked.
    values = database.execute(
        "SELECT t.number, t.trial_id, t.state, t.datetime_start, t.datetime_complete, min(v.value), "
        "min(v.value_type), count(v.value_type) "
        "FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id "
        "WHERE t.study_id = ? GROUP BY t.trial_id ORDER BY t.trial_id",
        (study,),
    )
    rows = database.execute(
        "SELECT a.trial_id, a.key, a.value_json FROM trials t "
        "JOIN trial_user_attributes a ON a.trial_id = t.trial_id WHERE t.study_id = ? ORDER BY t.trial_id",
        (study,),
    )
    not_drawn = defaultdict(list)
    for trial, name in database.execute(_NOT_DRAWN, (study,)):
        not_drawn[trial].append(name)
    # Both by trial: the attributes of one at a time, for its curve takes more room than all else.
    by_trial = groupby(rows, key=itemgetter(0))
    ahead = next(by_trial, None)
    found: list[_Trial] = []
    problems: list[str] = []
    of_rows: list[str] = []
    highest = -inf
    for number, trial, state, start, end, value, kind, n_values in values:
        own: Iterable[tuple[str, str]] = ()
        if ahead is not None and ahead[0] == trial:
            own = [row[1:] for row in ahead[1]]
            ahead = next(by_trial, None)
        given, lines = _parsed(own)
        score = _VALUES.get(kind, value) if n_values == 1 else None
        is_complete = state == "COMPLETE"
        fitting, wrong = checking.fitting_trial(given, score, is_complete=is_complete)
        problems += [f"trial {number}: {line}" for line in (*lines, *wrong)]
        last, bad_times = _last([start, end])
        row_lines = [
            *bad_times,
            *checking.row_problems(n_values, not_drawn.get(trial, ()), is_complete=is_complete),
        ]
        of_rows += [f"trial {number}: {line}" for line in row_lines]
        curve = fitting.get(names.CURVE)
        n_epochs = fitting.get(names.N_EPOCHS)
        if n_epochs is None:
            n_epochs = 0 if curve is None else len(curve["seconds"])
        small = {**fitting, names.CURVE: None} if curve is not None else fitting
        ranked = score if isinstance(score, int | float) and isfinite(score) else None
        kept: Mapping[str, Sequence[float]] = {}
        if band is not None and curve is not None and is_complete and ranked is not None:
            highest = max(highest, ranked)
            kept = curve if ranked >= highest - band else {}
        found.append(_Trial(number, state, ranked, small, n_epochs, last, kept))
    return found, problems, of_rows


_NOT_DRAWN: Final = (
    "SELECT p.trial_id, p.param_name FROM trials t JOIN trial_params p ON p.trial_id = t.trial_id "
    "WHERE t.study_id = ? "
    "AND (typeof(p.param_value) NOT IN ('real', 'integer') OR abs(p.param_value) = 9e999)"
)
"""Parameters whose number is none, or infinite."""


def _last(times: Iterable[Any]) -> tuple[str | None, list[str]]:
    """Return the latest of some times, ISO 8601, and a line where one is no time."""
    try:
        return max((datetime.fromisoformat(t).isoformat() for t in times if t is not None), default=None), []
    except (TypeError, ValueError) as error:
        return None, [checking.unreadable("its times", error)]
