"""Delete studies and rename them: done or not done, whatever happens meanwhile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import optuna
import sqlalchemy.exc
from optuna.storages import RDBStorage
from sqlalchemy import Connection

from fmnist_sweep.core.errors import StudyBusyError, StudyNotFoundError, SweepError
from fmnist_sweep.core.files import STUDY_NAME, STUDY_NAME_WORDS
from fmnist_sweep.core.wording import shown
from fmnist_sweep.storage import tables
from fmnist_sweep.storage.address import is_postgresql, safe_url, sqlite_path
from fmnist_sweep.storage.lease.lease import lease
from fmnist_sweep.storage.lease.ownership import require_unowned
from fmnist_sweep.storage.leftovers import (
    KINDS,
    artifact_files,
    contents,
    copy_folders,
    no_leftovers,
    remove_leftovers,
    size,
)
from fmnist_sweep.storage.opening import check_storage, open_storage, side_folder
from fmnist_sweep.storage.studies import confirm_name

_NAME: Final = re.compile(STUDY_NAME.rstrip("$"))


@dataclass(frozen=True, slots=True)
class Removal:
    """A study that is to be deleted, and what goes with it.

    Attributes:
        study: Its number in the storage.
        name: Its name.
        confirms: The study whose candidates it repeats, if it goes with that one.
        n_trials: Number of its trials.
        n_bytes: Size of each of its side folders, by kind.
        artifacts: Files that optuna-dashboard shows with it.
        artifact_bytes: Their size.
        bundles: Its bundles, which stay.
        shared: Folders in which nodes of a cluster kept its checkpoints.
    """

    study: int
    name: str
    confirms: str | None
    n_trials: int
    n_bytes: dict[str, int] = field(compare=False)
    artifacts: tuple[str, ...]
    artifact_bytes: int = field(compare=False)
    bundles: tuple[str, ...]
    shared: tuple[str, ...]


def plan_removal(
    url: str, wanted: Iterable[str], *, say: Callable[[str], None], take_over: bool = False
) -> list[Removal]:
    """Return what is to be deleted of a storage: the studies that are named, and their confirmations.

    Args:
        url: The storage's address.
        wanted: Names; one that is given twice counts once.
        say: Takes a line for the user.
        take_over: Also a study whose owner, on another machine, may be alive.

    Raises:
        SweepError: One is not there, is read-only, is being run, or has a confirmation that does not tell
            what it is; all problems at once.
        StorageError: The storage can't be opened or written.
    """
    with _opened(url) as storage:
        planned, problems = _planned(url, storage, wanted)
        # Told before anybody is asked. What takes half a minute to see is looked at when it is done.
        take_over = take_over or is_postgresql(url)
        try:
            with _held(url, [one.name for one in planned], say=say):
                for one in planned:
                    try:
                        require_unowned(_study(storage, one.name), take_over=take_over)
                    except StudyBusyError as error:
                        problems.append(str(error))
        except StudyBusyError as error:
            problems.append(str(error))
    if problems:
        raise SweepError("\n".join([*problems, "Nothing was deleted."]))
    return planned


def remove(
    url: str,
    planned: Sequence[Removal],
    *,
    say: Callable[[str], None],
    take_over: bool = False,
    before: Callable[[], None] = lambda: None,
) -> str:
    """Delete studies, all or none, and then their files.

    Args:
        url: The storage's address.
        planned: As `plan_removal` gave them.
        say: Takes a line for the user.
        take_over: As for `plan_removal`.
        before: Called once all of them are held, such as to make a backup; raises where none is to go.

    Returns:
        Why the storage's file could not be made smaller; empty where it was, or where it is none.

    Raises:
        SweepError: One was changed since it was planned, or can't be held; nothing is deleted.
    """
    with _opened(url) as storage:
        names = [one.name for one in planned]
        with _held(url, names, say=say, storage=storage, take_over=take_over):
            now, problems = _planned(url, storage, names)
            if problems or {one.name: _unlinked(one) for one in now} != {
                one.name: _unlinked(one) for one in planned
            }:
                raise SweepError(
                    "\n".join(
                        [*problems, "The studies were changed meanwhile; nothing was deleted. Try again."]
                    )
                )
            before()
            artifacts = {artifact for one in planned for artifact in one.artifacts}
            shared = [folder for one in planned for folder in one.shared]
            with (
                no_leftovers(url, storage, list(filter(_has_folders, names)), artifacts, shared, say=say),
                _change(storage) as to,
            ):
                for one in planned:
                    tables.remove(to, one.study, one.name)
        return _shrink(url, storage)


def rename(
    url: str, old: str, new: str, *, say: Callable[[str], None], take_over: bool = False
) -> list[tuple[str, str]]:
    """Give a study another name, with all that is linked to it by its name: done or not done.

    Args:
        url: The storage's address.
        old: Its name.
        new: A name that a new study could have.
        say: Takes a line for the user.
        take_over: Also a study whose owner, on another machine, may be alive.

    Returns:
        The old and the new name of each study that was renamed: it, and its confirmation.

    Raises:
        SweepError: There is no such study, it may not be changed, or the name can't be had; all problems at
            once, and nothing is changed.
    """
    with _opened(url) as storage:
        with storage.engine.connect() as connection:
            moved = _moved(url, connection, old, new)
        names = [name for pair in moved for name in pair]
        with _held(url, filter(_has_folders, names), say=say, storage=storage, take_over=take_over):
            with storage.engine.connect() as connection:
                if _moved(url, connection, old, new) != moved:
                    raise SweepError(f"study {old!r} was changed meanwhile; nothing was done. Try again.")
                numbers = {name: tables.study_id(connection, name) for name, _ in moved}
            with no_leftovers(url, storage, list(filter(_has_folders, names))):
                for before, after in moved:
                    if _has_folders(before):
                        copy_folders(url, before, after)
                with _change(storage) as to:
                    for before, after in moved:
                        tables.give_name(to, numbers[before] or 0, before, after)
                        tables.follow_name(to, before, after)
        return moved


@contextmanager
def _opened(url: str) -> Iterator[RDBStorage]:
    storage = open_storage(url, create=False)
    try:
        check_storage(url, create=True)
        remove_leftovers(url, storage)
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _study(storage: RDBStorage, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=storage)


def _has_folders(name: str) -> bool:
    """Return whether a study can have side folders and a lease: another tool's may have a name that can't."""
    return _NAME.fullmatch(name.removesuffix(confirm_name(""))) is not None


@contextmanager
def _held(
    url: str,
    names: Iterable[str],
    *,
    say: Callable[[str], None],
    storage: RDBStorage | None = None,
    take_over: bool = False,
) -> Iterator[None]:
    """Hold studies, and see to it that nobody owns those that are there, if the storage is given.

    Raises:
        StudyBusyError: Some can't be held; all are named.
    """
    problems = []
    with ExitStack() as stack:
        for name in filter(_has_folders, names):
            try:
                held = stack.enter_context(lease(url, name, say=say, take_over=take_over))
                if storage is not None:
                    with storage.engine.connect() as connection:
                        is_there = tables.study_id(connection, name) is not None
                    if is_there:
                        held.require_unowned(_study(storage, name))
            except StudyBusyError as error:
                problems.append(str(error))
        if problems:
            raise StudyBusyError("\n".join(problems))
        yield


@contextmanager
def _change(storage: RDBStorage) -> Iterator[Connection]:
    """Change rows, all or none."""
    try:
        with storage.engine.begin() as connection:
            yield connection
    except sqlalchemy.exc.IntegrityError:
        raise SweepError(
            "another program wrote to the study, or made one of that name, meanwhile; nothing was done. Try"
            " again."
        ) from None


def _planned(url: str, storage: RDBStorage, wanted: Iterable[str]) -> tuple[list[Removal], list[str]]:
    """Return the studies that are to go, and why some can't, a line each."""
    # Each that is named, in the order of the names; after it its confirmation, which goes along.
    links: dict[str, str | None] = {}
    problems = []
    given = [*wanted]
    with storage.engine.connect() as connection:
        for name in given:
            study = tables.study_id(connection, name)
            if study is None:
                problems.append(tables.not_found(connection, name))
                continue
            links.setdefault(name, None)
            try:
                if tables.confirmation_of(connection, name) is not None:
                    links[confirm_name(name)] = name
            except SweepError as error:
                # One that is named itself need not tell what it is.
                problems += [] if confirm_name(name) in given else [str(error)]
        found = [_removal(url, connection, name, confirms) for name, confirms in links.items()]
        for one in found:
            why = tables.read_only(connection, one.study)
            if why is not None:
                command = shlex.join(
                    ["optuna", "delete-study", "--storage", safe_url(url), "--study-name", one.name]
                )
                problems.append(
                    f"study {one.name!r} is read-only ({why}): no command changes it. Optuna's own command"
                    f" removes it all the same: {command}"
                )
    return found, problems


def _removal(url: str, connection: Connection, name: str, confirms: str | None) -> Removal:
    study = tables.study_id(connection, name) or 0
    artifacts = tables.artifacts(connection, study)
    has_folders = _has_folders(name)
    return Removal(
        study,
        name,
        confirms,
        tables.n_trials(connection, study),
        {kind: size(side_folder(url, name, kind=kind)) if has_folders else 0 for kind in KINDS},
        tuple(sorted(artifacts)),
        sum(path.stat().st_size for path in artifact_files(url, artifacts)),
        tuple(tables.bundles(connection, study)),
        tuple(tables.checkpoint_storage(connection, study)) if has_folders else (),
    )


def _unlinked(one: Removal) -> tuple[int, int, tuple[str, ...]]:
    """Return what must not have changed since a study was shown to the user."""
    return one.study, one.n_trials, one.artifacts


def _moved(url: str, connection: Connection, old: str, new: str) -> list[tuple[str, str]]:
    """Return the names before and after of a study and of its confirmation.

    Raises:
        SweepError: It can't be renamed so; all problems at once.
    """
    study = tables.study_id(connection, old)
    if study is None:
        raise StudyNotFoundError(tables.not_found(connection, old))
    moved = [(old, new)]
    problems = _kept_names(connection, study, old)
    try:
        if tables.confirmation_of(connection, old) is not None:
            moved.append((confirm_name(old), confirm_name(new)))
    except SweepError as error:
        problems.append(str(error))
    if _NAME.fullmatch(new) is None:
        problems.append(f"{shown(new)} can't be used as a name; {STUDY_NAME_WORDS}")
    else:
        problems += [line for _, after in moved for line in _taken(url, connection, after)]
        if len(moved) == 1 and _is_confirmed(connection, new):
            problems.append(
                f"study {confirm_name(new)!r} confirms an earlier study {new!r}, and would be taken for the"
                " confirmation of this one; delete it first, or choose another name"
            )
    if problems:
        raise SweepError("\n".join(problems))
    return moved


def _kept_names(connection: Connection, study: int, name: str) -> list[str]:
    """Return why a study has to keep its name."""
    problems = []
    why = tables.read_only(connection, study)
    if why is not None:
        go_on = shlex.join(["--study", "NEW", "--import-from", name])
        problems.append(
            f"study {name!r} is read-only ({why}): no command changes it, nor its name; a study of your own"
            f" takes its trials over with: run ... {go_on}"
        )
    confirmed = name.removesuffix(confirm_name(""))
    is_there = confirmed != name and tables.study_id(connection, confirmed) is not None
    if is_there and _is_confirmed(connection, confirmed):
        problems.append(f"study {name!r} confirms {confirmed!r}; rename that one, and this goes along")
    return problems


def _taken(url: str, connection: Connection, name: str) -> list[str]:
    """Return why a study can't get a name that is allowed."""
    if tables.study_id(connection, name) is not None:
        return [f"study {name!r} exists already; choose another name, or rename or delete that one"]
    return [
        f"{folder} holds files of an earlier study {name!r}; move or remove that folder, or choose another"
        " name"
        for folder in (side_folder(url, name, kind=kind) for kind in KINDS)
        if contents(folder)
    ]


def _is_confirmed(connection: Connection, name: str) -> bool:
    """Return whether there is a study that is, or may be, the confirmation of one, which need not exist."""
    try:
        return tables.confirmation_of(connection, name) is not None
    except SweepError:
        return True


def _shrink(url: str, storage: RDBStorage) -> str:
    """Give the space of what was deleted back to the disk, and return why that could not be done."""
    if sqlite_path(url) is None:
        return ""
    try:
        with storage.engine.connect() as connection:
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            outside.exec_driver_sql("VACUUM")
            outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlalchemy.exc.SQLAlchemyError as error:
        return str(getattr(error, "orig", error))
    return ""
