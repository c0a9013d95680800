"""Studies as text: a file of JSON lines that can be committed, compared and brought back.

The first line is the study, each further one a finished trial. What comes back is called ``reference-NAME``
and is read-only: no command adds a trial to it or reads the test set for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.wording import shown
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import checking
from fmnist_sweep.storage.attributes import CONFIRMS, LOADING, MACHINE, OWNER, READ_ONLY, RUN
from fmnist_sweep.storage.bulk_writes import add_trials
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.scratch import scratch_folder
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import UNREADABLE, load_study, study_names

PREFIX: Final = "reference-"
FORMAT: Final = "fmnist-sweep study 1"

_LAST_STEP: Final = 2**31 - 1
"""What the tables of every database hold."""

_OF_ONE_RUN: Final = (OWNER, RUN, READ_ONLY, LOADING)
"""User attributes of studies and trials that mean nothing elsewhere."""


def dump(
    study: optuna.Study, path: Path, *, machine: Mapping[str, Any] | None = None, mode: int | None = None
) -> int:
    """Write a study to a file, whole or not at all.

    Args:
        study: The study; trials that are not finished are left out.
        path: The file; its folder is made where it is missing.
        machine: What the study ran on, written where it does not tell.
        mode: The file's permissions; None lets all read it.

    Returns:
        Number of trials.

    Raises:
        StorageError: The file can't be written.
    """
    own = {k: v for k, v in study.user_attrs.items() if k not in _OF_ONE_RUN}
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    kinds = sorted({distribution_to_json(d) for t in trials for d in t.distributions.values()})
    head = {
        "format": FORMAT,
        "name": study.study_name,
        "direction": study.direction.name.lower(),
        "distributions": kinds,
        "user_attrs": {**({} if machine is None else {MACHINE: machine}), **own},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own, which the next one removes if this is killed.
        with scratch_folder(path.parent) as folder:
            new = folder / "study.jsonl"
            with new_file(new, mode=0o644 if mode is None else mode) as file:
                for line in (head, *(_told(trial, kinds) for trial in trials)):
                    file.write(_line(line))
            new.replace(path)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror or error}") from None
    return len(trials)


def _line(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        # Half a character, which UTF-8 can't hold and JSON's escapes can.
        return json.dumps(value, sort_keys=True).encode() + b"\n"


def _told(trial: FrozenTrial, kinds: Sequence[str]) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "value": trial.value,
        # Each with the place of its distribution among the study's.
        "params": {
            name: [value, kinds.index(distribution_to_json(trial.distributions[name]))]
            for name, value in trial.params.items()
        },
        "reports": [[step, value] for step, value in sorted(trial.intermediate_values.items())],
        "user_attrs": {k: v for k, v in trial.user_attrs.items() if k not in _OF_ONE_RUN},
        "times": [
            None if t is None else t.isoformat() for t in (trial.datetime_start, trial.datetime_complete)
        ],
    }


def load(path: Path, storage: BaseStorage) -> optuna.Study | None:
    """Bring a study back under its name with `PREFIX`.

    Args:
        path: A file that `dump` wrote.
        storage: Where the study is made.

    Returns:
        The study; None where it is there already.

    Raises:
        StorageError: The file can't be read, is none of these, or holds what `dump` can't have written.
        StudyDamagedError: The study is there already, and is damaged.
    """
    try:
        # Not `splitlines`: it takes more characters for an end of a line than JSON escapes.
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").split("\n") if line]
        if not lines or lines[0].get("format") != FORMAT:
            raise StorageError(f"{path} holds no study: its first line is not of the format {FORMAT!r}")
        head = lines[0]
        trials = list(_trials(lines[1:], [json_to_distribution(kind) for kind in head["distributions"]]))
        name = PREFIX + head["name"]
        problems = [*checking.direction_problems([head["direction"].upper()])]
        problems += _problems(head["user_attrs"], trials)
    except OSError as error:
        raise StorageError(f"{path} can't be read: {error.strerror}") from None
    except (*UNREADABLE, OverflowError) as error:
        raise StorageError(f"{path} is damaged: {one_line(error)}") from None
    if problems:
        raise StorageError(f"{path} is damaged: {checking.in_short(problems)}")
    if name in study_names(storage):
        before = load_study(storage, name)
        if not _is_half(before):
            require_whole(StoredStudy.of(before))
            return None
        # A process was killed in the middle of it.
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, direction=head["direction"])
    study.set_user_attr(LOADING, True)
    attrs = {**head["user_attrs"], READ_ONLY: f"brought from {path.name}"}
    if CONFIRMS in attrs:
        attrs[CONFIRMS] = PREFIX + attrs[CONFIRMS]
    for key, value in attrs.items():
        study.set_user_attr(key, value)
    add_trials(study, trials)
    # Optuna deletes no attribute.
    study.set_user_attr(LOADING, None)
    return study


def _is_half(study: optuna.Study) -> bool:
    """Return whether a study was not brought back whole: marked as such, or made and not even that."""
    try:
        attributes = study.user_attrs
        return bool(attributes.get(LOADING)) or not (attributes or study.get_trials(deepcopy=False))
    except UNREADABLE:
        return False


def _problems(attributes: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> list[str]:
    """Return a line on all of a study or of its trials that this program can't have written."""
    _, problems = checking.fitting_study(attributes)
    is_ours = names.CONFIG_DIGEST in attributes
    looked_at = [StoredTrial.of(trial) for trial in trials]
    found = [
        (i, line)
        for i, t in enumerate(looked_at)
        for line in (*(t.problems if is_ours else ()), *t.row_problems)
    ]
    found += [
        (i, f"report {shown(step)}: {shown(value)} is none")
        for i, trial in enumerate(trials)
        for step, value in trial.intermediate_values.items()
        if not _is_report(step, value)
    ]
    return [*(problems if is_ours else ()), *(f"trial {i}: {line}" for i, line in found)]


def _is_report(step: Any, value: Any) -> bool:
    is_step = isinstance(step, int) and not isinstance(step, bool) and 0 <= step <= _LAST_STEP
    return is_step and isinstance(value, int | float) and not isinstance(value, bool)


def _trials(lines: Sequence[Mapping[str, Any]], kinds: Sequence[BaseDistribution]) -> Iterator[FrozenTrial]:
    for line in lines:
        trial = optuna.trial.create_trial(
            state=TrialState[line["state"]],
            value=line["value"],
            params={name: value for name, (value, _) in line["params"].items()},
            distributions={name: kinds[kind] for name, (_, kind) in line["params"].items()},
            intermediate_values=dict(line["reports"]),
            user_attrs=line["user_attrs"],
        )
        trial.datetime_start, trial.datetime_complete = (
            None if time is None else datetime.fromisoformat(time) for time in line["times"]
        )
        yield trial
