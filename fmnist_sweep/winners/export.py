"""Hand a trial out: as a sweep file that `run` accepts, as JSON, and all trials as CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.errors import SweepError
from fmnist_sweep.reports.frames import NUMBERS, best_trials, hyperparameters, score_rule, trials_frame
from fmnist_sweep.reports.html import write_atomically
from fmnist_sweep.reports.style import UNITS


def export_study(study: optuna.Study, folder: Path, *, trial: int | None = None) -> list[Path]:
    """Write a trial's configuration and all trials' results.

    Args:
        study: The study.
        folder: Made where it is missing; files of an earlier export are replaced.
        trial: Number of a COMPLETE trial; by default the best one.

    Returns:
        ``NAME-best.toml``, a sweep file that trains this configuration alone up to its scored epoch;
        ``NAME-best.json``, the same with its scores and its provenance; ``NAME-trials.csv``. With ``trial``
        the first two are called ``NAME-trial-N``. Characters of the study's name that don't belong in a file
        name become hyphens.

    Raises:
        SweepError: No trial is complete, there is no such trial, or it is not complete.
        StorageError: The folder can't be written.
    """
    chosen = _choose(study, trial)
    stem = safe_name(study.study_name)
    name = f"{stem}-best" if trial is None else f"{stem}-trial-{trial}"
    documents = {
        f"{name}.toml": sweep_file(study, chosen, name=name),
        f"{name}.json": json.dumps(_facts(study, chosen), indent=2) + "\n",
        f"{stem}-trials.csv": trials_frame(study).to_csv(index=False, lineterminator="\n"),
    }
    for file, text in documents.items():
        write_atomically(folder / file, text)
    return [folder / file for file in documents]


def sweep_file(study: optuna.Study, trial: FrozenTrial, *, name: str) -> str:
    """Return a sweep file, as TOML, whose space is one point: the trial's configuration.

    It trains up to the trial's scored epoch and scores that epoch.
    """
    config: Mapping[str, Any] = study.user_attrs["config"]
    epochs = trial.user_attrs["epoch"] + 1
    fixed = {
        **config,
        "study": name,
        "space": {**hyperparameters(trial), "epochs": epochs},
        "score": {**config["score"], "epoch_rule": "last"},
        # Patience could end the training before the scored epoch.
        "training": {**config["training"], "patience": None},
        # Nothing is left to draw, nor a second trial to compare with.
        "sampler": {"name": "random", "enqueue_default": False},
        "pruner": {"name": "none"},
        "budget": {"trials": 1},
    }
    return "".join([*_header(study, trial, epochs), "\n", tomli_w.dumps(without_none(fixed))])


def without_none(value: Any) -> Any:
    """Return nested mappings less what is None, for TOML has no such value.

    Example:
        >>> without_none({"a": None, "b": {"c": None, "d": 1}})
        {'b': {'d': 1}}
    """
    if isinstance(value, Mapping):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return value


def safe_name(name: str) -> str:
    """Return a study's name as a file name that can't leave its folder.

    Example:
        >>> [safe_name(n) for n in ("dense", "../../etc/cron", "<b>", "..")]
        ['dense', 'etc-cron', 'b', 'study']
    """
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "study"


def _choose(study: optuna.Study, number: int | None) -> FrozenTrial:
    complete = best_trials(study)
    if not complete:
        raise SweepError(f"study {study.study_name!r} has no complete trial yet; run it first")
    if number is None:
        return complete[0]
    trials = study.get_trials(deepcopy=False)
    chosen = next((t for t in trials if t.number == number), None)
    if chosen is None:
        raise SweepError(
            f"study {study.study_name!r} has no trial {number}; it has trials 0 to {len(trials) - 1}"
        )
    if chosen.state != TrialState.COMPLETE:
        raise SweepError(
            f"trial {number} of study {study.study_name!r} is {chosen.state.name.lower()}, not complete; "
            f"the best complete one is trial {complete[0].number}"
        )
    return chosen


def _header(study: optuna.Study, trial: FrozenTrial, epochs: int) -> list[str]:
    unit = UNITS[score_rule(study).metric]
    attrs = trial.user_attrs
    val, train = (unit.show(attrs.get(f"{part}_{unit.metric}")) for part in ("val", "train"))
    gap = unit.show(attrs.get("gap"), gap=True)
    scored = f"Score {trial.value:.6f} at epoch {epochs} of {attrs.get('n_epochs', epochs)}"
    facts = [
        f"Trial {trial.number} of study {json.dumps(study.study_name)}, written by fmnist-sweep export.",
        f"{scored}: validation {unit.name} {val}, training {train}, gap {gap}.",
        "Unconfirmed: it was picked by these same validation images, so its score is optimistic.",
        f"Data digest {study.user_attrs.get('data_digest')}",
    ]
    return [f"# {fact}\n" for fact in facts]


def _facts(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    attrs = study.user_attrs
    return {
        "study": study.study_name,
        "trial": trial.number,
        "confirmed": False,
        "score": trial.value,
        **{name: trial.user_attrs[name] for name in (*NUMBERS, "curve") if name in trial.user_attrs},
        "hyperparameters": hyperparameters(trial),
        "model": attrs.get("model_path"),
        **{name: attrs.get(name) for name in ("config", "config_digest", "data", "data_digest", "versions")},
    }
