"""When a run keeps a study, and when it gives it up; the server is scripted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import optuna
import pytest

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease import postgres as module
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.lease.postgres import Claim, claimed
from fmnist_sweep.storage.lease.process import Owner

URL = "postgresql+psycopg://me:secret@host/db"


class Server:
    """A lock and who has it: "" for nobody, "me" for the claim under test; None for a server that is away."""

    def __init__(self) -> None:
        self.has: str | None = ""
        self.tries = 0

    def take(self) -> bool:
        """Take the lock if it is free."""
        self.tries += 1
        if self.has is None:
            raise StorageError("away")
        self.has = self.has or "me"
        return self.has == "me"

    def is_held(self) -> bool:
        """Return whether the claim under test has it."""
        return self.has == "me"

    def holder(self) -> str:
        """Return who has it."""
        return self.has or ""

    def let_go(self) -> None:
        """Give it back."""
        if self.has == "me":
            self.has = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server's side."""
    made = Server()
    monkeypatch.setattr(module, "ServerLock", lambda *_, **__: made)
    return made


@pytest.fixture
def said() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def study(
    make_config: Callable[..., SweepConfig], data: DataRef, memory: optuna.storages.InMemoryStorage
) -> optuna.Study:
    """A study of a small sweep."""
    return open_study(make_config(), data, memory)


def elsewhere() -> dict[str, Any]:
    """Return an owner on another machine."""
    return {**asdict(Owner.this_process()), "host": "node-b", "boot": "b", "pid": 7, "run": "other"}


def test_a_file_needs_no_claim(said: list[str]) -> None:
    """Nor does another kind of server: there is none to be had."""
    for url in ("sqlite:///studies.db", "mysql+pymysql://me@host/db"):
        with claimed(url, "tiny", say=said.append) as claim:
            assert claim is None


def test_a_claim_is_given_up_at_the_end(server: Server, said: list[str]) -> None:
    """Whatever the end."""
    with pytest.raises(LookupError, match="me"), claimed(URL, "tiny", say=said.append):
        raise LookupError(server.has)
    assert server.has == ""


@pytest.mark.parametrize(
    ("holder", "who"), [("4711 node-b", "process 4711 on node-b"), ("pooler", "another process")]
)
def test_whoever_has_it_is_named(server: Server, said: list[str], holder: str, who: str) -> None:
    """Where its connection bears its name."""
    server.has = holder
    with pytest.raises(StudyBusyError, match=f"study 'tiny' is being run by {who}; wait for it"):
        Claim(URL, "tiny", say=said.append)


def test_an_owner_that_can_be_seen_is_not_waited_for(
    server: Server, said: list[str], study: optuna.Study
) -> None:
    """None, or one on this machine: `ownership` knows what became of it."""
    claim = Claim(URL, "tiny", say=said.append)
    assert not claim.owner_stays_away(study)
    study.set_user_attr("owner", asdict(Owner.this_process()))
    assert not claim.owner_stays_away(study)
    assert (said, server.tries) == ([], 1)


def test_an_owner_elsewhere_that_stays_away_is_gone(
    server: Server, said: list[str], study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is free for it all the while; only then is it taken for gone, and the user is told before."""
    study.set_user_attr("owner", elsewhere())
    free = []
    monkeypatch.setattr(time, "sleep", lambda s: free.append((s, server.has)))
    claim = Claim(URL, "tiny", say=said.append)
    assert claim.owner_stays_away(study)
    assert (free, server.has) == ([(module.GRACE_S, "")], "me")
    (line,) = said
    assert line.startswith(
        "Study 'tiny' belongs to process 7 on node-b, which is not connected; it is taken "
    )


def test_an_owner_elsewhere_that_comes_back_keeps_its_study(
    server: Server, said: list[str], study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes its lock again, and whoever waited is refused."""
    study.set_user_attr("owner", elsewhere())
    monkeypatch.setattr(time, "sleep", lambda _: setattr(server, "has", "7 node-b"))
    claim = Claim(URL, "tiny", say=said.append)
    with pytest.raises(StudyBusyError, match="is being run by process 7 on node-b"):
        claim.owner_stays_away(study)


def test_a_lost_lock_is_asked_for_until_it_is_back(
    server: Server, said: list[str], study: optuna.Study
) -> None:
    """While the server is away, and while another process looks; each change is told once."""
    claim = Claim(URL, "tiny", say=said.append)
    with ownership(study) as owner:
        claim.is_kept(study, owner.run)
        assert said == []
        for has in (None, None, "7 node-b"):
            server.has = has
            claim.is_kept(study, owner.run)
        assert len(said) == 1
        server.has = ""
        claim.is_kept(study, owner.run)
        claim.is_kept(study, owner.run)
    assert said == [
        "The connection that holds the study was lost; it is made again. The trainings go on.",
        "The connection that holds the study is back.",
    ]
    assert server.tries == 5


@pytest.mark.parametrize("has", ["", "7 node-b", None])
def test_a_study_that_was_taken_over_is_given_up(
    server: Server, said: list[str], study: optuna.Study, has: str | None
) -> None:
    """Also when the follower has gone again, or no connection can be had; nothing of it is touched."""
    claim = Claim(URL, "tiny", say=said.append)
    with ownership(study) as owner:
        server.has = has
        study.set_user_attr("owner", elsewhere())
        with pytest.raises(
            StudyBusyError, match="was taken over by process 7 on node-b while the connection"
        ):
            claim.is_kept(study, owner.run)
    assert study.user_attrs["owner"] == elsewhere()
