"""A PostgreSQL server for tests, from the programs that Debian's package ``postgresql`` installs."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from programs import free_port

SECRET = secrets.token_hex(8)
"""The part of the password that looks the same in every way of writing it: it may be seen nowhere."""

_PASSWORD = SECRET + "%{x}@:/?"
_QUOTED = quote(_PASSWORD, safe="")
_ROOT = os.geteuid() == 0


def programs() -> Path:
    """Return the folder of the newest server's programs; skips the test where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if not found:
        pytest.skip("no PostgreSQL server here; on Debian: apt-get install postgresql")
    return found[-1].parent


class Server:
    """A server of its own on this machine's loopback, with a password, gone with its folder when stopped."""

    def __init__(self) -> None:
        self._programs = programs()
        # Not in pytest's folder: the server's own user may not look into that.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self._folder / "data"
        self.port = free_port()
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        if _ROOT:
            shutil.chown(self._folder, "postgres")
            shutil.chown(password, "postgres")
        self._call(
            "initdb", "--username=me", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--no-sync",
        )  # fmt: skip
        self.start()

    def url(self, database: str, *, password: str = _QUOTED, port: int | None = None) -> str:
        """Return the address of a database of this server."""
        return f"postgresql+psycopg://me:{password}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories='' -c fsync=off"
        self._call("pg_ctl", "start", "--wait", "--options", options, "--log", str(self._folder / "log"))

    def dump(self, database: str) -> str:
        """Return all that a database holds, as SQL."""
        command = [str(self._programs / "pg_dump"), self.url(database).replace("+psycopg", "")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """Stop the server at once; its data stay."""
        self._call("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def restart(self, away_s: float = 2.0) -> None:
        """Stop the server at once, and start it again after a while."""
        self.stop()
        time.sleep(away_s)
        self.start()

    def remove(self) -> None:
        """Stop the server and delete all it has."""
        self.stop()
        shutil.rmtree(self._folder)

    def make(self, database: str, *, like: str = "template1") -> str:
        """Make a database as a copy of another and return its address."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{like}"')
        return self.url(database)

    def execute(self, statement: str, *, database: str = "postgres") -> int:
        """Run one statement from outside, and return how many rows it gave or met."""
        import psycopg

        address = self.url(database).replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            return connection.execute(statement.encode()).rowcount

    def drop_locks(self, database: str) -> int:
        """End the connections that hold locks of runs in a database, and return how many there were."""
        return self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database "
            "WHERE locktype = 'advisory' AND granted AND datname = current_database()",
            database=database,
        )

    def cut(self, database: str) -> int:
        """End all connections to a database, and return how many there were."""
        return self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            database=database,
        )

    def _call(self, program: str, *arguments: str) -> None:
        # A server refuses to run as root.
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if _ROOT else []
        subprocess.run(
            [*user, str(self._programs / program), "--pgdata", str(self._data), *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
