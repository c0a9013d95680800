"""The table of all trials of a study, as the page's own script sorts and filters it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fmnist_sweep.analysis.numbers import is_missing
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import Unit, show_score, show_value
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_DECIMALS: Final = 6


def trial_rows(study: StoredStudy) -> dict[str, Any] | None:
    """Return the table of all trials of a study; None where there are none.

    Returns:
        ``columns``, the titles; ``rows``, a list of cells each: a text, or ``[number, text]`` where it is
        sorted by a number, in the unit that is shown, and None where there is nothing to show; ``same``, the
        hyperparameters that all trials share, in words.
    """
    if not study.trials:
        return None
    unit = UNITS[study.rule.metric]
    given = [trial.hyperparameters for trial in study.trials]
    names = list(dict.fromkeys(name for values in given for name in values))
    varying = [name for name in names if len({str(values.get(name)) for values in given}) > 1]
    same = {name: given[0][name] for name in names if name not in varying}
    titles = ["trial", "state", "score", f"validation {unit.name}", f"training {unit.name}", "gap"]
    rows = [
        [*_measured(study, trial, unit), *(_setting(trial.hyperparameters, name) for name in varying)]
        for trial in study.trials
    ]
    return {
        "columns": [*titles, "epoch", "epochs", "parameters", "seconds", *varying],
        "rows": rows,
        "same": ", ".join(f"{name} {show_value(value)}" for name, value in same.items()),
    }


def _measured(study: StoredStudy, trial: StoredTrial, unit: Unit) -> list[Any]:
    again = study.followed.get(trial.number)
    state = study.state_word(trial)
    return [
        [trial.number, study.label(trial)],
        state if again is None else f"{state}, again as {again}",
        _number(trial.score, 1, None if trial.score is None else show_score(trial.score)),
        *(_in_unit(trial.scores.get(f"{part}_{unit.metric}"), unit) for part in ("val", "train")),
        _in_unit(trial.gap, unit, gap=True),
        _number(None if trial.epoch is None else trial.epoch + 1),
        _number(trial.n_epochs),
        _number(trial.n_parameters, 1, None if trial.n_parameters is None else f"{trial.n_parameters:,}"),
        _number(trial.seconds, 1, None if trial.seconds is None else f"{trial.seconds:.1f}"),
    ]


def _in_unit(value: float | None, unit: Unit, *, gap: bool = False) -> Any:
    return _number(value, unit.factor, unit.show(value, gap=gap))


def _number(value: float | None, factor: float = 1, shown: str | None = None) -> Any:
    if value is None or is_missing(value):
        return None
    return [round(factor * value, _DECIMALS), str(value) if shown is None else shown]


def _setting(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        return None
    value, shown = values[name], show_value(values[name])
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # A rate of 1e-7 has no six decimals.
    return [value, shown] if is_number and not is_missing(value) else shown
