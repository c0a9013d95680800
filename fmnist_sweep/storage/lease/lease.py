"""The lease of a study: who holds it may write to it, on this machine and on all others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import optuna

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.storage.lease.file_lock import FileLock, study_lock
from fmnist_sweep.storage.lease.identity import StorageFile, storage_file
from fmnist_sweep.storage.lease.ownership import ownership, require_unowned
from fmnist_sweep.storage.lease.postgres import Claim, claimed
from fmnist_sweep.storage.lease.process import Owner
from fmnist_sweep.storage.opening import side_folder

TRUSTED_S: Final = 0.25
"""How long a server's answer counts for `Lease.check`: no longer than a turn of a loop may take anyway.

A live owner that lost its lock must ask for it again within `GRACE_S`, of which this is a small part."""

# Goes on while the machine sleeps, and others may take the study over.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


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
        self._kept_at = -math.inf
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
        take_over = self._takes_over(study)
        with ownership(study, take_over=take_over, is_there=self._is_there) as owner:
            self._study, self._owner = study, owner
            try:
                yield owner
            finally:
                self._study = self._owner = None

    def require_unowned(self, study: optuna.Study) -> None:
        """Raise what `owning` would; nothing is written, and nobody becomes its owner."""
        require_unowned(study, take_over=self._takes_over(study))

    def _takes_over(self, study: optuna.Study) -> bool:
        return self._take_over or (self._claim is not None and self._claim.owner_stays_away(study))

    def check(self) -> None:
        """Return as long as the study is held, which is asked for again where its server was away.

        To be called before each write, hundreds of times a second where many trials run: a server is asked
        once in `TRUSTED_S`.

        Raises:
            StudyBusyError: Another process has taken the study over.
            StorageError: Its file was removed, moved or replaced, or its server is another.
        """
        self._ask(server=_now() - self._kept_at >= TRUSTED_S)

    def is_kept(self) -> bool:
        """Ask, and return whether the study is known to be held; False while its server is just away.

        Raises:
            StudyBusyError: As `check`.
            StorageError: As `check`.
        """
        return self._ask(server=True)

    def _ask(self, *, server: bool) -> bool:
        try:
            return self._is_kept(server=server)
        except StorageError:
            self._lost = True
            raise

    def _is_there(self) -> bool:
        return not self._lost and (self._file is None or self._file.is_there())

    def _is_kept(self, *, server: bool) -> bool:
        if self._file is not None:
            self._file.check()
        try:
            self._lock.renew()
        except StudyBusyError:
            # The study names its owner: whoever took the lock meanwhile is refused, and gives it back.
            if self._owner is None:
                raise
        if self._claim is None or not server:
            return True
        asked_at, self._kept_at = _now(), -math.inf
        is_kept = self._claim.is_kept(self._study, None if self._owner is None else self._owner.run)
        if is_kept:
            self._kept_at = asked_at
        return is_kept


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
