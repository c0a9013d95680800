"""The lease of a study: who holds it may write to it, on this machine and on all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.storage.lease.file_lock import FileLock, study_lock
from fmnist_sweep.storage.lease.identity import StorageFile, storage_file
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.lease.postgres import Claim, claimed
from fmnist_sweep.storage.lease.process import Owner
from fmnist_sweep.storage.opening import side_folder


class Lease:
    """A study that is held. Take one with `lease`.

    Args:
        study: Name of the study.
        lock: That on this machine.
        file: That of the storage; None where it is in a server.
        claim: That on a study in a server; None in a file, which its lock on this machine holds.
        take_over: Also own a study whose owner, on another machine, may be alive.
    """

    def __init__(
        self,
        study: str,
        *,
        lock: FileLock,
        file: StorageFile | None,
        claim: Claim | None,
        take_over: bool,
    ) -> None:
        self.study = study
        self._lock = lock
        self._file = file
        self._lost = False
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
        if self._file is not None:
            self._file.take(study)
        stays_away = self._claim is not None and self._claim.owner_stays_away(study)
        with ownership(study, take_over=self._take_over or stays_away, is_there=self._is_there) as owner:
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
            StorageError: Its file was removed, moved or replaced, or its server is another.
        """
        self.is_kept()

    def is_kept(self) -> bool:
        """Return whether the study is known to be held; as `check`, but for a server that is just away.

        Raises:
            StudyBusyError: As `check`.
            StorageError: As `check`.
        """
        try:
            return self._is_kept()
        except StorageError:
            self._lost = True
            raise

    def _is_there(self) -> bool:
        return not self._lost and (self._file is None or self._file.is_there())

    def _is_kept(self) -> bool:
        if self._file is not None:
            self._file.check()
        try:
            self._lock.renew()
        except StudyBusyError:
            # The study names its owner: whoever took the lock meanwhile is refused, and gives it back.
            if self._owner is None:
                raise
        run = None if self._owner is None else self._owner.run
        return self._claim is None or self._claim.is_kept(self._study, run)


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
    with (
        study_lock(side_folder(url, study), study) as lock,
        claimed(url, study, say=say) as claim,
        storage_file(url, study) as file,
    ):
        yield Lease(study, lock=lock, file=file, claim=claim, take_over=take_over)
