"""What the address of a storage tells: the file or the server, and the password that nobody is to see."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from fmnist_sweep.core.errors import StorageError

if TYPE_CHECKING:
    import sqlalchemy

_SQLITE: Final = "sqlite:///"
_PSYCOPG: Final = ("postgresql", "postgresql+psycopg")

_LONGEST: Final = 4000
"""Characters of an address: no path of a system may be longer."""

_LONG_SECRET: Final = 8

_LAST_PORT: Final = 65_535

_QUERY: Final = re.compile(r"([?&])([^=&\s]+)=([^&\s]*)")
_SECRET: Final = re.compile(r"pass|pwd|secret|token|key|cred|auth|odbc_connect|dsn|conninfo", re.IGNORECASE)
_SECRET_IN_TEXT: Final = re.compile(
    r"(?:pass\w*|pwd|secret|token|\w*key)\s*=\s*\{?([^;&\s'\"}]*)", re.IGNORECASE
)

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
    if not url.startswith(_SQLITE):
        return None
    name = url.removeprefix(_SQLITE)
    if not {"%", "?"} & {*name}:
        # It says what it means, and `status` need not load SQLAlchemy for it, which takes as long as it does.
        return Path(name)
    parsed = _parsed(url)
    # As SQLAlchemy means it, which takes a %20 for a space.
    return Path(name if parsed is None else parsed.database or "")


def _parsed(url: str) -> sqlalchemy.URL | None:
    """Return the parts of an address; None for what is none."""
    import sqlalchemy  # noqa: PLC0415 - `status` answers without it

    try:
        return sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return None


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite file, whatever characters its path holds."""
    import sqlalchemy  # noqa: PLC0415 - as in `_parsed`

    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


def file_mode(url: str) -> int | None:
    """Return who may read and write the file of an SQLite storage; None where there is no such file.

    Copies of what it holds are made with it: who may not read a storage may not read them.
    """
    path = sqlite_path(url)
    return path.stat().st_mode & 0o666 if path is not None and path.exists() else None


def optuna_url(url: str) -> str:
    """Return an address as Optuna takes one: for a template, in which braces mean something."""
    return url.replace("{", "{{").replace("}", "}}")


def address_words(url: str) -> str:
    """Return an address with the password of its user left out, which may change: it names side folders."""
    # Up to the last @, since a password may hold one.
    url = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*pass\w*=)[^&\s]*", r"\1***", url)


def safe_url(url: str) -> str:
    """Return a storage's address, or a line of text with it, without its password and other secrets.

    Example:
        >>> safe_url("postgresql+psycopg://me:secret@host/studies")
        'postgresql+psycopg://me:***@host/studies'
        >>> safe_url("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret")
        'mssql+pyodbc:///?odbc_connect=***'
    """
    return _QUERY.sub(
        lambda part: f"{part[1]}{part[2]}=***" if _is_secret(part[2], part[3]) else part[0],
        address_words(url),
    )


def _is_secret(name: str, value: str) -> bool:
    """Return whether a part of an address's query holds a secret: by its name, or in a text of several."""
    return bool(_SECRET.search(unquote_plus(name)) or _SECRET_IN_TEXT.search(unquote_plus(value)))


def first_line(error: BaseException, url: str) -> str:
    """Return the first line of an error about a storage, without its password and other secrets."""
    text = str(error)
    if sqlite_path(url) is None:
        # A driver's own words may hold them alone, and decoded.
        for secret in sorted(_secrets(url), key=len, reverse=True):
            found = re.escape(secret)
            if len(secret) < _LONG_SECRET:
                # A short one may be a part of any word: only what stands for itself is it.
                found = rf"(?<!\w){found}(?!\w)"
            text = re.sub(found, "***", text)
    lines = text.strip().splitlines()
    return safe_url(lines[0]) if lines else type(error).__name__


def _secrets(url: str) -> set[str]:
    """Return what an address holds of secrets, decoded; without what is shown of it anyway."""
    parsed = _parsed(url)
    if parsed is None:
        return set()
    of_query = {
        secret
        for name, values in parsed.normalized_query.items()
        for value in values
        if _is_secret(name, value)
        for secret in (value, *_SECRET_IN_TEXT.findall(value))
    }
    shown = {None, "", parsed.username, parsed.host, parsed.database}
    return {secret for secret in {parsed.password, *of_query} if secret not in shown and secret}


def check_url(url: str) -> None:
    """Raise `StorageError` for what is no address of a database, or of one that keeps nothing."""
    if len(url) > _LONGEST:
        raise StorageError(
            f"the storage's address has {len(url):,} characters, and may have {_LONGEST:,}; it begins with"
            f" {safe_url(url)[:40]!r}"
        )
    if url.lower().startswith("sqlite"):
        _check_sqlite_url(url)
    else:
        check_server_url(url)


def _check_sqlite_url(url: str) -> None:
    name = url.removeprefix(_SQLITE)
    write = "write it as sqlite:///FILE.db"
    if not url.startswith(_SQLITE):
        if re.fullmatch(r"sqlite(\+\w+)?:(//)?(:memory:)?", url):
            raise StorageError(f"{url} is a database in memory, which is lost as the command ends; {write}")
        raise StorageError(f"storage {url!r} is no address of an SQLite file; {write}")
    if not name:
        raise StorageError(f"storage {url!r} names no file; {write}")
    if name.startswith(":memory:") or (name.startswith("file:") and "memory" in name):
        raise StorageError(f"{url} is a database in memory, which is lost as the command ends; {write}")
    if "?" in name or name.startswith("file:"):
        raise StorageError(
            f"storage {url!r}: the address of an SQLite file takes no options; {write}, with %3F for a ? in"
            " its name"
        )


def check_server_url(url: str) -> None:
    """Raise `StorageError` for what is no address of a database, or of one whose driver is missing."""
    if "://" not in url:
        raise StorageError(f"storage {url!r} is no database address; write it as sqlite:///FILE.db")
    import sqlalchemy  # noqa: PLC0415 - as in `_parsed`

    # The error's own text may hold a part of the password.
    parsed = _parsed(url)
    if parsed is None or (parsed.password and "@" in f"{parsed.host}{parsed.database}"):
        raise StorageError(
            f"storage {safe_url(url)} is no database address; write it as DATABASE://USER:PASSWORD@HOST/NAME,"
            " with %40 for an @ in the password, and a number for a port"
        )
    driver = parsed.drivername
    if driver == "postgres":
        raise StorageError(f"{safe_url(url)} can't be opened: write it as postgresql+psycopg://...")
    if driver in _PSYCOPG and importlib.util.find_spec("psycopg") is None:
        raise StorageError(
            f"{safe_url(url)} needs psycopg, not installed here; pip install 'fmnist-sweep[postgres]'"
        )
    try:
        parsed.get_dialect().import_dbapi()
    except sqlalchemy.exc.ArgumentError:
        raise StorageError(
            f"storage {safe_url(url)}: {driver!r} is no database that is known here; write it as"
            " sqlite:///FILE.db or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from None
    except ImportError as error:
        raise StorageError(
            f"{safe_url(url)} needs the Python package {error.name}, which can't be loaded here; install it,"
            " or name another driver, as in postgresql+psycopg://..."
        ) from None
    _check_options(url, parsed)


def _check_options(url: str, parsed: sqlalchemy.URL) -> None:
    """Raise `StorageError` for what the driver itself would find wrong with a port or a number."""
    if parsed.port is not None and not 0 < parsed.port <= _LAST_PORT:
        raise StorageError(
            f"storage {safe_url(url)}: port {parsed.port} is none; it is from 1 to {_LAST_PORT}"
        )
    for name, values in parsed.normalized_query.items():
        for value in values:
            if "timeout" in name and not re.fullmatch(r"-?\d{1,9}(\.\d+)?", value):
                raise StorageError(
                    f"storage {safe_url(url)}: {name}={value[:40]} is no number of seconds; write one, or"
                    " leave it out"
                )


def is_postgresql(url: str) -> bool:
    """Return whether a storage is in a PostgreSQL server."""
    if sqlite_path(url) is not None:
        return False
    parsed = _parsed(url)
    return parsed is not None and parsed.get_backend_name() == "postgresql"


def server_options(url: str) -> dict[str, Any]:
    """Return the options with which SQLAlchemy opens the database of a server."""
    # A server may be restarted between two epochs, and a router forget a connection that is idle.
    options: dict[str, Any] = {"pool_pre_ping": True}
    parsed = _parsed(url)
    if parsed is not None and parsed.drivername in _PSYCOPG:
        options["connect_args"] = dict(_CONNECTION)
    return options
