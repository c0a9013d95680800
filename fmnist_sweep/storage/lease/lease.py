"""The lease of a study: who holds it may write to it, on this machine and on all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna

from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.lease.postgres import Claim, claimed
from fmnist_sweep.storage.lease.process import Owner
from fmnist_sweep.storage.opening import side_folder


class Lease:
    """A study that is held. Take one with `lease`.

    Args:
        study: Name of the study.
        claim: That on a study in a server; None in a file, which its lock on this machine holds.
        take_over: Also own a study whose owner, on another machine, may be alive.
    """

    def __init__(self, study: str, claim: Claim | None, *, take_over: bool) -> None:
        self.study = study
        self._claim = claim
        self._take_over = take_over
        self._study: optuna.Study | None = None
        self._owner: Owner | None = None

    @contextmanager
    def owning(self, study: optuna.Study) -> Iterator[Owner]:
        """Be the owner that the study names, and put back what a dead owner left RUNNING.

        Args:
            study: The study, which could not be opened, or made, before it was held.

        Raises:
            StudyBusyError: A live process runs the study, or its owner is on another machine and may live.
            StorageError: The server can't be asked.
        """
        stays_away = self._claim is not None and self._claim.owner_stays_away(study)
        with ownership(study, take_over=self._take_over or stays_away) as owner:
            self._study, self._owner = study, owner
            try:
                yield owner
            finally:
                self._study = self._owner = None

    def check(self) -> None:
        """Return as long as the study is held, which is asked for again where its server was away.

        To be called before each write.

        Raises:
            StudyBusyError: Another process has taken the study over.
        """
        if self._claim is not None:
            self._claim.check(self._study, None if self._owner is None else self._owner.run)


@contextmanager
def lease(url: str, study: str, *, say: Callable[[str], None], take_over: bool = False) -> Iterator[Lease]:
    """Hold a study: nobody else runs, confirms or exports it meanwhile, on any machine.

    To be taken before the study is made: of two processes that start at once, one gets it. It ends with the
    process, however that ends.

    Args:
        url: Address of the storage.
        study: Name of the study; it need not exist yet.
        say: Takes a line for the user.
        take_over: Also own a study whose owner, on another machine, may be alive.

    Raises:
        StudyBusyError: Another process holds it; the message names it.
        StorageError: The place of its lock can't be written, or its server can't be asked.
    """
    with study_lock(side_folder(url, study), study), claimed(url, study, say=say) as claim:
        yield Lease(study, claim, take_over=take_over)
