"""What of the locks in a server needs no server; the rest is in slow/test_postgres_runs.py."""

from __future__ import annotations

import pytest

from fmnist_sweep.storage.server_lock import lock_key, tables_lock


def test_a_names_number_never_changes() -> None:
    """Runs of different versions must meet under one number of 64 bits; names have numbers of their own."""
    assert lock_key("study dense") == 1094536188741287853
    assert len({lock_key(f"study {i}") for i in range(1000)}) == 1000
    assert all(-(2**63) <= lock_key(f"study {i}") < 2**63 for i in range(1000))


@pytest.mark.parametrize("url", ["sqlite:///studies.db", "mysql+pymysql://host/db"])
def test_other_databases_are_not_asked(url: str) -> None:
    """Making tables there needs no lock, or has none."""
    with tables_lock(url):
        pass
