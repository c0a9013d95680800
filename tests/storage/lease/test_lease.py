"""How often a server is asked whether a study is held still; the server is scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import optuna
import pytest

from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.storage.lease import lease as module
from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.lease.lease import TRUSTED_S, Lease
from fmnist_sweep.storage.lease.postgres import GRACE_S, Claim


class Asked:
    """A claim that counts how often it is asked, and answers what it is told to."""

    def __init__(self) -> None:
        self.n = 0
        self.answer: bool | Exception = True

    def is_kept(self, _study: optuna.Study | None, _run: str | None) -> bool:
        """Answer."""
        self.n += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Clock:
    """A clock that is set."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of the lease."""
    made = Clock()
    monkeypatch.setattr(module, "_now", lambda: made.now)
    return made


@pytest.fixture
def claim() -> Asked:
    """The claim of the lease."""
    return Asked()


@pytest.fixture
def held(tmp_path: Path, claim: Asked) -> Iterator[Lease]:
    """A lease on a study in a server."""
    with study_lock(tmp_path / "side", "one") as lock:
        yield Lease("one", lock=lock, file=None, claim=cast("Claim", claim), take_over=False)


def test_an_answer_counts_for_a_moment(held: Lease, claim: Asked, clock: Clock) -> None:
    """A hundred turns in one moment ask once; after it, and where it must be known, it is asked again."""
    for _ in range(100):
        held.check()
    assert claim.n == 1
    assert held.is_kept()
    assert claim.n == 2
    clock.now += TRUSTED_S * 0.9
    held.check()
    assert claim.n == 2
    clock.now += TRUSTED_S * 0.2
    held.check()
    assert claim.n == 3
    assert TRUSTED_S < GRACE_S / 100


@pytest.mark.usefixtures("clock")
def test_what_was_no_clear_answer_is_asked_for_each_time(held: Lease, claim: Asked) -> None:
    held.check()
    claim.answer = False
    assert not held.is_kept()
    held.check()
    held.check()
    assert claim.n == 4
    claim.answer = StudyBusyError("taken over")
    for _ in range(2):
        with pytest.raises(StudyBusyError):
            held.check()
    assert claim.n == 6
    claim.answer = True
    held.check()
    held.check()
    assert claim.n == 7
