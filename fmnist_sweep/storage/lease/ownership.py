"""Who may run a study: one process at a time, and none is fooled by a clock or a reused process number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.storage.held import HeldStorage
from fmnist_sweep.storage.lease.process import Owner, OwnerState, busy, owner_state, shown
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import write_owner


@contextmanager
def ownership(
    study: optuna.Study, *, take_over: bool = False, is_there: Callable[[], bool] | None = None
) -> Iterator[Owner]:
    """Be the owner of a study while running it, and name it in the study.

    Entering puts back the trials that a dead owner left RUNNING.

    Args:
        study: The study.
        take_over: Also from an owner on another machine, which may be alive.
        is_there: Returns False where the storage was lost meanwhile: nothing is written to it any more.

    Raises:
        StudyBusyError: A live process on this machine runs the study, or the owner is on another machine,
            where nothing can be seen of it; the message names it.
    """
    require_unowned(study, take_over=take_over)
    me = Owner.this_process()
    write_owner(study, asdict(me))
    try:
        put_back(study)
        yield me
    finally:
        if (is_there is None or is_there()) and owner_of(study).get("run") == me.run:
            write_owner(study, None)


def require_unowned(study: optuna.Study, *, take_over: bool = False) -> None:
    """Raise `StudyBusyError` where `ownership` would; nothing is written."""
    before = owner_of(study)
    state = owner_state(before) if before else OwnerState.GONE
    if state is OwnerState.ALIVE:
        raise StudyBusyError(busy(study.study_name, before))
    if state is OwnerState.ELSEWHERE and not take_over:
        raise StudyBusyError(
            f"study {study.study_name!r} belongs to {shown(before)}, which can't be seen from here; "
            "if it is gone, take the study over with --take-over."
        )


def owner_of(study: optuna.Study) -> Mapping[str, Any]:
    """Return the `Owner` that a study names, as a mapping; empty where it names none."""
    return StoredStudy.of(study).owner


def is_elsewhere(owner: Mapping[str, Any]) -> bool:
    """Return whether an owner is on another machine, where nothing can be seen of its process."""
    return bool(owner) and owner_state(owner) is OwnerState.ELSEWHERE


def _is_this_process(owner: Mapping[str, Any]) -> bool:
    me = asdict(Owner.this_process())
    return all(owner[name] == me[name] for name in ("boot", "pid", "started"))


def put_back(study: optuna.Study) -> int:
    """Make RUNNING trials WAITING, so that the next run takes them up first, and return how many.

    A trial keeps its number and its drawn parameters. Equal jobs give equal curves, so what it had already
    reported stays true. Those of a study that another process has taken over meanwhile are left to it.
    """
    owner = owner_of(study)
    if owner and not _is_this_process(owner):
        return 0
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        # Optuna has no public call for this; its own retry adds a second trial with the same parameters.
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)  # noqa: SLF001
    if isinstance(study._storage, HeldStorage):  # noqa: SLF001
        study._storage.write()  # noqa: SLF001
    return len(running)
