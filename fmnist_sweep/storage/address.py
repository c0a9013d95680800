"""What the address of a storage tells: the file or the server, and the password that nobody is to see."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, Final

import sqlalchemy
import sqlalchemy.exc

from fmnist_sweep.core.errors import StorageError

_SQLITE: Final = "sqlite:///"
_PSYCOPG: Final = ("postgresql", "postgresql+psycopg")

_CONNECTION: Final = {
    "connect_timeout": 10,
    # Of a network that is cut nothing is heard: an answer that does not come is not waited for half an hour.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite storage; None for any other database."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def safe_url(url: str) -> str:
    """Return a storage's address, or a line of text with it, without its password.

    Example:
        >>> safe_url("postgresql+psycopg://me:secret@host/studies")
        'postgresql+psycopg://me:***@host/studies'
    """
    # Up to the last @, since a password may hold one.
    url = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*pass\w*=)[^&\s]*", r"\1***", url)


def first_line(error: BaseException, url: str) -> str:
    """Return the first line of an error about a storage, without its password."""
    text = str(error)
    if sqlite_path(url) is None:
        parsed = sqlalchemy.make_url(url)
        # A driver's own words may hold it alone, and decoded.
        for secret in (parsed.password, *parsed.normalized_query.get("password", ())):
            text = text.replace(str(secret), "***") if secret else text
    lines = text.strip().splitlines()
    return safe_url(lines[0]) if lines else type(error).__name__


def check_server_url(url: str) -> None:
    """Raise `StorageError` for what is no address of a database, or of one whose driver is missing."""
    if "://" not in url:
        raise StorageError(f"storage {url!r} is no database address; write it as sqlite:///FILE.db")
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # The error's own text may hold a part of the password.
        parsed = None
    if parsed is None or (parsed.password and "@" in f"{parsed.host}{parsed.database}"):
        raise StorageError(
            f"storage {safe_url(url)} is no database address; write it as DATABASE://USER:PASSWORD@HOST/NAME,"
            " with %40 for an @ in the password"
        )
    driver = parsed.drivername
    if driver == "postgres":
        raise StorageError(f"{safe_url(url)} can't be opened: write it as postgresql+psycopg://...")
    if driver in _PSYCOPG and importlib.util.find_spec("psycopg") is None:
        raise StorageError(
            f"{safe_url(url)} needs psycopg, not installed here; pip install 'fmnist-sweep[postgres]'"
        )


def is_postgresql(url: str) -> bool:
    """Return whether a storage is in a PostgreSQL server."""
    return sqlite_path(url) is None and sqlalchemy.make_url(url).get_backend_name() == "postgresql"


def server_options(url: str) -> dict[str, Any]:
    """Return the options with which SQLAlchemy opens the database of a server."""
    # A server may be restarted between two epochs, and a router forget a connection that is idle.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if sqlalchemy.make_url(url).drivername in _PSYCOPG:
        options["connect_args"] = dict(_CONNECTION)
    return options
