"""Locks in a PostgreSQL server: every machine sees them, and each ends with the connection that took it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy
import sqlalchemy.exc

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.address import first_line, is_postgresql, safe_url, server_options

# By default a server finds out after two hours that a machine was switched off.
_SESSION: Final = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}

_TABLES_TIMEOUT_S: Final = 60

_HOLDER: Final = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pg_locks.database = pg_stat_activity.datid
AND datname = current_database() AND (classid::bigint << 32 | objid::bigint) = :key
"""

_DATABASE: Final = """
SELECT system_identifier || ' ' || oid FROM pg_control_system(), pg_database
WHERE datname = current_database()
"""


class DatabaseReplacedError(StorageError):
    """Another database has come into the place of the one that a lock was taken in."""


class ServerLock:
    """A lock in the database of a PostgreSQL server, on a connection of its own.

    It ends when it is let go, and with the connection, however that ends: with the process, the machine, the
    network or the server. Not for use from several threads.

    Args:
        url: Address of the database.
        name: What is locked; equal names exclude each other in one database.
        holder: Who asks, for `holder` of all others: up to 63 characters.

    Example:
        >>> lock = ServerLock("postgresql+psycopg://me@host/studies", "study dense", holder="4711 laptop")
        >>> lock.take(), lock.is_held()  # doctest: +SKIP
        (True, True)
    """

    def __init__(self, url: str, name: str, *, holder: str = "") -> None:
        self._url = url
        self._key = lock_key(name)
        self._holder = holder
        self._connection: sqlalchemy.Connection | None = None
        self._held = False
        self._database = ""

    def take(self) -> bool:
        """Try to take the lock, and return whether this has it now; nobody is waited for.

        Raises:
            DatabaseReplacedError: It is taken again, in another database than before.
            StorageError: The server can't be asked.
        """
        if not self.is_held():
            self._held = bool(self._ask("SELECT pg_try_advisory_lock(:key)", key=self._key))
            if self._held:
                self._require_same_database()
        return self._held

    def wait(self, timeout_s: float) -> None:
        """Take the lock once nobody else has it.

        Raises:
            StorageError: It was not to be had in that time, or the server can't be asked.
        """
        self._ask("SELECT set_config('lock_timeout', :value, false)", value=f"{timeout_s:.0f}s")
        self._ask("SELECT pg_advisory_lock(:key)", key=self._key)
        self._held = True

    def is_held(self) -> bool:
        """Ask the server whether this has the lock still; False where it does not answer."""
        try:
            return self._held and self._ask("SELECT 1") == 1
        except StorageError:
            return False

    def holder(self) -> str:
        """Return who has the lock, in the words of that `ServerLock`; empty where nobody has it.

        Raises:
            StorageError: The server can't be asked.
        """
        return str(self._ask(_HOLDER, key=self._key) or "")

    def let_go(self) -> None:
        """Give the lock back; one that is not held is no mistake."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            # Without a pool, this ends the connection and all that it holds.
            connection.close()
            connection.engine.dispose()

    def _require_same_database(self) -> None:
        database = str(self._ask(_DATABASE))
        if self._database not in {"", database}:
            self.let_go()
            raise DatabaseReplacedError(
                f"{safe_url(self._url)} was replaced by another database while it was in use; this command"
                " ends here.\nPut the old one in its place, and the same command goes on."
            )
        self._database = database

    def _ask(self, statement: str, **values: Any) -> Any:
        try:
            if self._connection is None:
                self._connection = self._connected()
            return self._connection.execute(sqlalchemy.text(statement), values).scalar()
        except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError, ValueError) as error:
            self.let_go()
            raise StorageError(
                f"{safe_url(self._url)} can't be opened: {first_line(error, self._url)}"
            ) from None

    def _connected(self) -> sqlalchemy.Connection:
        engine = sqlalchemy.create_engine(
            self._url,
            poolclass=sqlalchemy.NullPool,
            # A transaction left open would keep the server from cleaning up.
            isolation_level="AUTOCOMMIT",
            connect_args=server_options(self._url).get("connect_args", {}),
        )
        connection = engine.connect()
        for name, value in {**_SESSION, "application_name": self._holder}.items():
            values = {"name": name, "value": str(value)}
            connection.execute(sqlalchemy.text("SELECT set_config(:name, :value, false)"), values)
        return connection


def lock_key(name: str) -> int:
    """Return the number under which a name is locked: the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(f"fmnist-sweep {name}".encode()).digest()[:8], "big", signed=True)


@contextmanager
def tables_lock(url: str) -> Iterator[None]:
    """Let one process at a time make the tables of a database; without effect where it is no PostgreSQL.

    Raises:
        StorageError: Another process is at it for a minute, or the server can't be asked.
    """
    if not is_postgresql(url):
        yield
        return
    lock = ServerLock(url, "tables")
    try:
        lock.wait(_TABLES_TIMEOUT_S)
        yield
    finally:
        lock.let_go()
