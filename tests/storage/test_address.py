"""Addresses of storages: what they name, and that their password stays secret."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.address import check_server_url, first_line, is_postgresql, safe_url, sqlite_path


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
