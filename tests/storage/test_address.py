"""Addresses of storages: what they name, and that their password stays secret."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.address import (
    check_server_url,
    check_url,
    first_line,
    is_postgresql,
    safe_url,
    sqlite_path,
    sqlite_url,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:se:cr@et@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("redis://:secret@host", "redis://:***@host"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///a@b:c.db", "sqlite:///a@b:c.db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me&password=***"),
        ("postgresql://host/db?sslpassword=secret&a=b", "postgresql://host/db?sslpassword=***&a=b"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        (
            "mssql+pyodbc://host/db?driver=x&Authentication_Token=secret",
            "mssql+pyodbc://host/db?driver=x&Authentication_Token=***",
        ),
        ("oracle://host?x=1&extra=user%3Dme+password%3Dsecret", "oracle://host?x=1&extra=***"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    """Addresses are shown without their password, whatever characters it holds."""
    assert safe_url(url) == shown


def test_only_sqlite_addresses_name_a_file() -> None:
    """A relative and an absolute path, and a database that is no file."""
    assert sqlite_path("sqlite:///studies.db") == Path("studies.db")
    assert sqlite_path("sqlite:////tmp/studies.db") == Path("/tmp/studies.db")  # noqa: S108 - no file is made
    assert sqlite_path("postgresql://host/db") is None


def test_postgresql_is_known_by_its_address() -> None:
    """With any driver."""
    assert is_postgresql("postgresql://host/db")
    assert is_postgresql("postgresql+psycopg://me:secret@host/db")
    assert not is_postgresql("mysql+pymysql://host/db")
    assert not is_postgresql("sqlite:///postgresql.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("studies.db", "write it as sqlite:///FILE.db"),
        ("postgresql+psycopg://me:se@cret@host/db", "with %40 for an @ in the password"),
        ("postgresql+psycopg://me:se@ver/cret@host/db", "with %40 for an @ in the password"),
        ("postgresql+psycopg://me:secret@host:port/db", "is no database address"),
        ("postgres://me:secret@host/db", "write it as postgresql+psycopg://..."),
    ],
)
def test_what_is_no_address_is_told_without_its_password(url: str, said: str) -> None:
    """A mistyped address is told with how to write it; SQLAlchemy's own error would quote a part of it."""
    with pytest.raises(StorageError) as caught:
        check_server_url(url)
    assert said in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_missing_driver_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL needs a package that is no dependency: the message has the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for driver in ("postgresql", "postgresql+psycopg"):
        with pytest.raises(StorageError) as caught:
            check_server_url(f"{driver}://me:secret@host/db")
        assert str(caught.value) == (
            f"{driver}://me:***@host/db needs psycopg, not installed here; "
            "pip install 'fmnist-sweep[postgres]'"
        )


def test_a_drivers_error_is_cleared_of_the_password() -> None:
    """Written out or decoded, in an address or alone, of one line."""
    url = "postgresql+psycopg://me:se%40cret@host/db?password=an+other"
    error = ValueError(f"no route to {url}; tried se@cret and 'an other'\nse@cret")
    assert first_line(error, url) == (
        "no route to postgresql+psycopg://me:***@host/db?password=*** tried *** and '***'"
    )
    assert first_line(ValueError(), url) == "ValueError"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://:memory:",
        "sqlite+pysqlite://",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:///file::memory:?cache=shared&uri=true",
    ],
)
def test_a_database_that_would_be_lost_is_refused(url: str) -> None:
    """In memory, or without a name: a sweep in it is gone as the command ends."""
    with pytest.raises(StorageError, match=r"(in memory|names no file).*; write it as sqlite:///FILE\.db"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///x.db?timeout=abc", "takes no options; write it as sqlite:///FILE.db"),
        ("sqlite:///file:x.db?mode=ro&uri=true", "takes no options"),
        ("sqlite://x.db", "is no address of an SQLite file; write it as sqlite:///FILE.db"),
        ("sqlite+pysqlite:///x.db", "is no address of an SQLite file; write it as sqlite:///FILE.db"),
        (
            "sqlite:///" + "x" * 5000,
            "has 5,010 characters, and may have 4,000; it begins with 'sqlite:///xxx",
        ),
        ("mysql://me:cret@host/db", "mysql://me:***@host/db needs the Python package MySQLdb"),
        ("nosuchdb://me:cret@host/db", "'nosuchdb' is no database that is known here"),
        ("postgresql://me:cret@host:port/db", "and a number for a port"),
        ("postgresql://me:cret@host:99999/db", "port 99999 is none; it is from 1 to 65535"),
        ("postgresql://me:cret@host/db?connect_timeout=abc", "connect_timeout=abc is no number of seconds"),
        ("postgresql://me:cret@" + "x" * 5000, "has 5,021 characters"),
    ],
)
def test_an_address_that_can_not_be_is_told_in_a_line(url: str, said: str) -> None:
    """What is wrong with it, how it is written, and nothing secret."""
    with pytest.raises(StorageError) as caught:
        check_url(url)
    message = str(caught.value)
    assert said in message
    assert "cret" not in message
    assert "\n" not in message
    assert len(message) < 300


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    """Its address leads back to it, whatever SQLAlchemy makes of single characters."""
    for name in ("a b%20c.db", "{x}{.db", "a?b#c.db", "a@b:c.db", "\N{SNOWMAN}.db"):
        assert sqlite_path(sqlite_url(tmp_path / name)) == tmp_path / name


def test_a_short_password_takes_nothing_from_a_message() -> None:
    """Only where it stands for itself is it hidden: a letter is a part of other words."""
    url = "postgresql://me:a@host/db"
    said = OSError('connection to the host at "db" failed: wrong "a" in :a@, password=a')
    assert (
        first_line(said, url) == 'connection to the host at "db" failed: wrong "***" in :***@, password=***'
    )


def test_what_is_shown_anyway_stays_readable() -> None:
    """A password that is the user's name, or the database's, would take the cause from the message."""
    said = OSError('password authentication failed for user "postgres"')
    assert first_line(said, "postgresql://postgres:postgres@host/studies") == str(said)


def test_a_drivers_words_hold_no_secret_of_the_query() -> None:
    """Neither whole nor in part: an ODBC driver gets a password in a text of its own."""
    url = "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter-22%3BUID%3Dme"
    said = first_line(OSError("can't log in with hunter-22 (DRIVER=x;PWD=hunter-22;UID=me)"), url)
    assert said == "can't log in with *** (***)"
