"""Try again what failed: the cause is mostly a bug or a full memory, and is mended by now."""

from __future__ import annotations

import optuna

from fmnist_sweep.core.score import exceeds
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.writing import enqueue_again, write_default_trial


def failed_trials(study: StoredStudy) -> list[StoredTrial]:
    """Return the FAIL trials that can be tried again, by number.

    Those that were followed by another try are left out, and those that would fail again: models larger than
    the study allows, and what another tool enqueued with values outside the space.
    """
    followed = study.followed
    return [
        trial
        for trial in study.in_state("FAIL")
        if trial.number not in followed
        and trial.configuration is not None
        and not exceeds(study.size_limit, trial.n_parameters)
    ]


def retry_failed(study: optuna.Study) -> list[int]:
    """Let the trials that failed be drawn again, each as a new trial that comes next; the old ones stay.

    Args:
        study: The study, held with `fmnist_sweep.storage.lease.ownership.ownership`.

    Returns:
        The numbers of the failed trials.
    """
    stored = StoredStudy.of(study)
    failed = failed_trials(stored)
    for trial in failed:
        number = enqueue_again(study, trial)
        if trial.number == stored.default_trial:
            write_default_trial(study, number)
    return [trial.number for trial in failed]
