"""Studies as rows of Optuna's tables, for what its own calls can't do at once: remove one, give one a name.

A study that is damaged is a row like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy
from optuna.storages._rdb.models import BaseModel
from sqlalchemy import Connection, Table

from fmnist_sweep.core.errors import SweepError, did_you_mean
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage.checking import text_names
from fmnist_sweep.storage.studies import confirm_name

_TABLES: Final[Mapping[str, Table]] = BaseModel.metadata.tables
STUDIES: Final = _TABLES["studies"]
TRIALS: Final = _TABLES["trials"]
_OF_STUDIES: Final = _TABLES["study_user_attributes"]
_OF_TRIALS: Final = _TABLES["trial_user_attributes"]

_ARTIFACTS: Final = ("artifacts:", "dashboard:artifacts:")
"""What the system attributes begin with that name files, as Optuna and optuna-dashboard write them."""


def study_id(connection: Connection, name: str) -> int | None:
    """Return the number of a study; None where there is none of that name."""
    found: int | None = connection.scalar(
        sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    )
    return found


def all_names(connection: Connection) -> list[str]:
    """Return the names of all studies, oldest first."""
    by_age = sqlalchemy.select(STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    return text_names(connection.scalars(by_age))


def not_found(connection: Connection, name: str) -> str:
    """Return the line that says that there is no study of a name."""
    known = all_names(connection)
    have = f"there are {', '.join(known)}" if known else "the storage has no studies"
    return f"no study {name!r}{did_you_mean(name, known)} ({have})"


def attribute(connection: Connection, study: int, key: str) -> Any:
    """Return a study's attribute as it is stored; None where it has none.

    Raises:
        ValueError: It is no JSON.
    """
    stored = connection.scalar(
        sqlalchemy.select(_OF_STUDIES.c.value_json).where(
            _OF_STUDIES.c.study_id == study, _OF_STUDIES.c.key == key
        )
    )
    return None if stored is None else json.loads(stored)


def confirmation_of(connection: Connection, name: str) -> int | None:
    """Return the number of the study that holds the repeats of another's candidates; None without one.

    What the study of that name stores decides: another one may well be called so.

    Args:
        connection: To the storage.
        name: The other study, which need not exist.

    Raises:
        SweepError: The study of that name is damaged, and does not tell.
    """
    other = confirm_name(name)
    found = study_id(connection, other)
    if found is None:
        return None
    try:
        confirms = attribute(connection, found, names.CONFIRMS)
    except (ValueError, RecursionError):
        confirms = 0
    if confirms is not None and not isinstance(confirms, str):
        raise SweepError(
            f"study {other!r} is damaged, and does not tell whether it confirms {name!r}; if it is of no use"
            f" any more, delete it first"
        )
    return found if confirms == name else None


def read_only(connection: Connection, study: int) -> str | None:
    """Return where a read-only study came from, in words; None for one that may be changed."""
    try:
        why = attribute(connection, study, names.READ_ONLY)
    except (ValueError, RecursionError):
        why = "its attribute read_only can't be read"
    return None if why is None else str(why)


def n_trials(connection: Connection, study: int) -> int:
    """Return the number of a study's trials, in whatever state."""
    count = sqlalchemy.select(sqlalchemy.func.count()).select_from(TRIALS)
    return connection.scalar(count.where(TRIALS.c.study_id == study)) or 0


def bundles(connection: Connection, study: int) -> list[str]:
    """Return the folders of the bundles that a study names."""
    try:
        stored = attribute(connection, study, names.BUNDLES)
        return [str(bundle["folder"]) for bundle in stored or ()]
    except (ValueError, RecursionError, TypeError, LookupError):
        return []


def checkpoint_storage(connection: Connection, study: int) -> list[str]:
    """Return the folders in which nodes of a cluster kept a study's checkpoints."""
    try:
        return [str(folder) for folder in attribute(connection, study, names.CHECKPOINT_STORAGE) or ()]
    except (ValueError, RecursionError, TypeError):
        return []


def artifacts(connection: Connection, study: int | None = None) -> set[str]:
    """Return the names of the files that a study, or any study, shows in optuna-dashboard."""
    of_studies, of_trials = _TABLES["study_system_attributes"], _TABLES["trial_system_attributes"]
    trials = sqlalchemy.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study)
    found = set()
    for table, mine in (
        (of_studies, of_studies.c.study_id == study),
        (of_trials, of_trials.c.trial_id.in_(trials)),
    ):
        wanted = sqlalchemy.or_(*(table.c.key.startswith(prefix) for prefix in _ARTIFACTS))
        if study is not None:
            wanted = sqlalchemy.and_(wanted, mine)
        for stored in connection.scalars(sqlalchemy.select(table.c.value_json).where(wanted)):
            try:
                # A text that holds JSON; a null is left of one that was removed.
                found.add(str(json.loads(json.loads(stored))["artifact_id"]))
            except (ValueError, RecursionError, TypeError, LookupError):
                continue
    return found


def remove(connection: Connection, study: int, name: str) -> None:
    """Remove a study and all that is stored of it.

    Raises:
        SweepError: It is not there any more.
    """
    trials = sqlalchemy.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study)
    for table in reversed(BaseModel.metadata.sorted_tables):
        if table is not STUDIES and "study_id" in table.c:
            connection.execute(table.delete().where(table.c.study_id == study))
        elif "trial_id" in table.c:
            connection.execute(table.delete().where(table.c.trial_id.in_(trials)))
    gone = STUDIES.delete().where(STUDIES.c.study_id == study, STUDIES.c.study_name == name)
    if connection.execute(gone).rowcount != 1:
        raise SweepError(f"study {name!r} was changed meanwhile; nothing was done")


def give_name(connection: Connection, study: int, old: str, new: str) -> None:
    """Give a study another name, in its own settings too.

    Raises:
        SweepError: It is not there any more.
    """
    named = STUDIES.update().where(STUDIES.c.study_id == study, STUDIES.c.study_name == old)
    if connection.execute(named.values(study_name=new)).rowcount != 1:
        raise SweepError(f"study {old!r} was changed meanwhile; nothing was done")
    try:
        config = attribute(connection, study, names.CONFIG)
    except (ValueError, RecursionError):
        return
    if isinstance(config, dict) and config.get("study") == old:
        _write(connection, study, names.CONFIG, {**config, "study": new})


def follow_name(connection: Connection, old: str, new: str) -> None:
    """Let confirmations and imported trials that name a study name it anew; read-only studies stay."""
    ids = connection.scalars(sqlalchemy.select(STUDIES.c.study_id)).all()
    mine = [study for study in ids if read_only(connection, study) is None]
    confirming = _OF_STUDIES.update().where(
        _OF_STUDIES.c.study_id.in_(mine),
        _OF_STUDIES.c.key == names.CONFIRMS,
        _OF_STUDIES.c.value_json == json.dumps(old),
    )
    connection.execute(confirming.values(value_json=json.dumps(new)))
    for row, origin in _origins(connection, mine, old):
        key = _OF_TRIALS.c.trial_user_attribute_id
        changed = json.dumps({**origin, "study": new})
        connection.execute(_OF_TRIALS.update().where(key == row).values(value_json=changed))


def _origins(
    connection: Connection, studies: Sequence[int], name: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row and value of each attribute of a trial that was imported from a study."""
    trials = sqlalchemy.select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(studies))
    rows = connection.execute(
        sqlalchemy.select(_OF_TRIALS.c.trial_user_attribute_id, _OF_TRIALS.c.value_json).where(
            _OF_TRIALS.c.trial_id.in_(trials), _OF_TRIALS.c.key == names.IMPORTED_FROM
        )
    ).all()
    for row, stored in rows:
        try:
            origin = json.loads(stored)
        except (ValueError, RecursionError):
            continue
        if isinstance(origin, dict) and origin.get("study") == name:
            yield row, origin


def _write(connection: Connection, study: int, key: str, value: Any) -> None:
    own = _OF_STUDIES.update().where(_OF_STUDIES.c.study_id == study, _OF_STUDIES.c.key == key)
    connection.execute(own.values(value_json=json.dumps(value)))
