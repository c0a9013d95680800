"""A run's claim on a study in a PostgreSQL server: kept while it runs, and given up to whoever took it over.

The lock in the server says that a run lives, on whatever machine; the study's owner says which one may write.
A live run may lose the lock, as when the server is restarted, and asks for it again at once. So whoever finds
a study without a lock and with an owner on another machine waits, and takes it over only if nobody came back.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import optuna

from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.storage.address import is_postgresql
from fmnist_sweep.storage.lease.ownership import is_elsewhere, owner_of
from fmnist_sweep.storage.lease.process import busy, shown
from fmnist_sweep.storage.opening import storage_in_use
from fmnist_sweep.storage.reconnecting import waiting
from fmnist_sweep.storage.server_lock import DatabaseReplacedError, ServerLock

GRACE_S: Final = 30
"""How long a live owner may take to come back: far above what keeps a run from its loop, the start of its
fork server included."""


class Claim:
    """The claim on one study.

    Args:
        url: Address of the server's database.
        study: Name of the study; it need not exist yet.
        say: Takes a line for the user.

    Raises:
        StudyBusyError: Another process has the lock; the message names it.
        StorageError: The server can't be asked.
    """

    def __init__(self, url: str, study: str, *, say: Callable[[str], None]) -> None:
        self._url = url
        self._name = study
        self._say = say
        self._missing = False
        self._me = f"{os.getpid()} {socket.gethostname()}"
        self._lock = ServerLock(url, f"study {study}", holder=self._me)
        self._require_lock()

    def _require_lock(self) -> None:
        if not self._lock.take():
            holder = self._holder() or {}
            self._lock.let_go()
            raise StudyBusyError(busy(self._name, holder))

    def owner_stays_away(self, study: optuna.Study) -> bool:
        """Return whether the study's owner, on another machine, is gone, which takes a while to see.

        Raises:
            StudyBusyError: It came back, or another process was quicker.
            StorageError: The server can't be asked.
        """
        owner = owner_of(study)
        if not is_elsewhere(owner):
            return False
        self._say(
            f"Study {self._name!r} belongs to {shown(owner)}, which is not connected; it is taken over in "
            f"{GRACE_S} s unless that comes back."
        )
        self._lock.let_go()
        time.sleep(GRACE_S)
        self._require_lock()
        return True

    def is_kept(self, study: optuna.Study | None, run: str | None) -> bool:
        """Ask for the lock again where it was lost, and return whether this process has it.

        Without it the study may be written to as long as it names this process its owner. Only after a time
        in which the server did not answer that is not enough: who has the lock may be about to own it.

        Args:
            study: The study; None where this process does not own it, and the lock alone tells.
            run: As its owner names it.

        Raises:
            StudyBusyError: Another process has taken the study over.
            DatabaseReplacedError: Another database has come into the place of the study's.
        """
        if self._lock.is_held():
            return True
        if not self._missing:
            self._missing = True
            self._say("The connection that holds the study was lost; it is made again. The trainings go on.")
        try:
            back = self._taken_again()
            holder = self._other_holder(study, run, back=back)
        except DatabaseReplacedError:
            raise
        except StorageError:
            # The server is away: what can't be written will say so, and nobody else can write either.
            return False
        if holder is not None:
            raise StudyBusyError(
                f"study {self._name!r} was taken over by {shown(holder)} while the connection to its server "
                "was lost; this run ends and leaves it as it is."
            )
        if back:
            self._missing = False
            self._say("The connection that holds the study is back.")
        return back

    def _taken_again(self) -> bool:
        try:
            return self._lock.take()
        except DatabaseReplacedError:
            raise
        except StorageError:
            return False

    def _other_holder(
        self, study: optuna.Study | None, run: str | None, *, back: bool
    ) -> Mapping[str, Any] | None:
        if study is None:
            return None if back else self._holder()
        # Read last: whoever held the lock until now has written its name. A server that is away is no reason
        # to wait here: no write may be due for long.
        with storage_in_use(self._url), waiting(study, None):
            owner = owner_of(study)
        return None if owner.get("run") == run else owner

    def _holder(self) -> Mapping[str, Any] | None:
        """Return who else has the lock, as a message shows it; None where nobody has it."""
        holder = self._lock.holder()
        if holder == self._me:
            # A server that was cut off takes our own old connection for alive, for half a minute at most.
            return None
        pid, _, host = holder.partition(" ")
        return {"pid": pid, "host": host} if host else None

    def release(self) -> None:
        """Give the claim up."""
        self._lock.let_go()


@contextmanager
def claimed(url: str, study: str, *, say: Callable[[str], None]) -> Iterator[Claim | None]:
    """Hold the `Claim` on a study; None where its storage is no PostgreSQL server.

    To be taken before the study is made: of two processes that start at once, one gets it, wherever they run.

    Raises:
        StudyBusyError: Another process has it; the message names it.
        StorageError: The server can't be asked.
    """
    claim = Claim(url, study, say=say) if is_postgresql(url) else None
    try:
        yield claim
    finally:
        if claim is not None:
            claim.release()
