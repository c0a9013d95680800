"""Runs of one study on several machines that share a PostgreSQL server; only the training is scripted.

The machines are processes with a cache, a name and a boot of their own: nothing but the server joins them.
"""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faults import Sweep, compare, drive, family, seconds_until_gone
from postgres import SECRET, Server

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.server_lock import ServerLock
from fmnist_sweep.storage.studies import study_names

# An export, or runs on two machines, on a busy one.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOST = "The connection that holds the study was lost; it is made again. The trainings go on."
BACK = "The connection that holds the study is back."


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A study that nothing happened to."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"))
    sweep.finish()
    return sweep


@pytest.fixture
def here(tmp_path: Path, postgres: Server) -> Sweep:
    """A sweep on one machine, with an empty database on the server."""
    return Sweep(tmp_path, sleep_s=0.3, server=postgres.make(uuid.uuid4().hex), machine="node-a")


@pytest.fixture
def there(here: Sweep) -> Sweep:
    """The same on another machine."""
    return replace(here, machine="node-b", sleep_s=0.0)


def database(sweep: Sweep) -> str:
    """Return the name of a sweep's database."""
    return sweep.server.rpartition("/")[2]


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def equal(whole: Sweep, cut: Sweep) -> None:
    """Check that a study has all that an uninterrupted one has, and nothing else."""
    found = compare(whole, cut)
    for name in ("lost", "different", "duplicated", "left_running"):
        assert found[name] == 0, found


def told(run: subprocess.Popen[str], *, code: int) -> str:
    """Wait for the end of a run and return what it said."""
    out, said = run.communicate(timeout=240)
    assert run.returncode == code, said
    assert "Traceback" not in said
    assert SECRET not in out + said
    return said


# --- the locks themselves ----------------------------------------------------------------------------------


def test_a_lock_is_one_sessions_and_ends_with_it(postgres: Server, postgres_url: str) -> None:
    """Whoever asks next is told who has it; names are locked apart, and databases too."""
    first, second = (ServerLock(postgres_url, "study a", holder=f"{i} host") for i in (1, 2))
    other = ServerLock(postgres_url, "study b")
    elsewhere = ServerLock(postgres.make(uuid.uuid4().hex), "study a")
    assert (second.holder(), first.take(), first.take(), first.is_held()) == ("", True, True, True)
    assert (second.take(), second.is_held(), second.holder()) == (False, False, "1 host")
    assert other.take()
    assert elsewhere.take()
    # A machine that is switched off says nothing: the server asks, and finds out within half a minute.
    asked = [int(first._ask(f"SHOW tcp_keepalives_{name}")) for name in ("idle", "interval", "count")]
    assert asked[0] + asked[1] * asked[2] <= 30
    postgres.drop_locks(postgres_url.rpartition("/")[2])
    assert not first.is_held()
    assert second.take()
    assert (first.take(), first.holder()) == (False, "2 host")
    second.let_go()
    # The server gives the lock free once it has seen the connection's end.
    first.wait(20)
    assert first.is_held()
    for lock in (first, other, elsewhere):
        lock.let_go()


@pytest.mark.faults
def test_a_lock_that_can_not_be_had_is_told(postgres: Server, postgres_url: str) -> None:
    """Waiting ends, an address that nobody answers is told without its password."""
    first, second = ServerLock(postgres_url, "x"), ServerLock(postgres_url, "x")
    assert first.take()
    with pytest.raises(StorageError, match="canceling statement due to lock timeout"):
        second.wait(1)
    first.let_go()
    second.wait(1)
    second.let_go()
    nobody = ServerLock(postgres.url("empty", port=1), "x")
    with pytest.raises(StorageError, match=r"(?i)connection refused") as caught:
        nobody.take()
    assert SECRET not in str(caught.value)
    assert not nobody.is_held()


def _make(url: str) -> None:
    assert study_names(open_storage(url, create=True)) == []


def test_many_may_make_the_tables_of_one_database_at_once(postgres: Server) -> None:
    """None of them meets a table, or a row, that another is just making."""
    for _ in range(3):
        url = postgres.make(uuid.uuid4().hex)
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_make, args=(url,)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4


# --- runs --------------------------------------------------------------------------------------------------


def test_of_two_machines_that_start_a_study_at_once_one_wins(whole: Sweep, here: Sweep, there: Sweep) -> None:
    """The other names the winner and changes nothing, though neither found a table."""
    runs = [here.start(), replace(there, sleep_s=here.sleep_s).start()]
    said = {run.pid: run.communicate(timeout=240)[1] for run in runs}
    assert sorted(run.returncode for run in runs) == [0, 2], said
    winner, loser = sorted(runs, key=lambda run: run.returncode)
    machine = "node-a" if winner is runs[0] else "node-b"
    assert f"study 'faulty' is being run by process {winner.pid} on {machine}; wait for" in said[loser.pid]
    equal(whole, here)


@pytest.mark.faults
def test_two_studies_may_start_at_once_in_one_empty_database(here: Sweep, there: Sweep) -> None:
    """Neither gets in the other's way."""
    runs = [here.start("--study", "other"), there.start()]
    for run in runs:
        told(run, code=0)
    assert here.states() == ["COMPLETE"] * 4


@pytest.mark.faults
def test_a_machine_that_died_is_followed_without_being_asked(whole: Sweep, here: Sweep, there: Sweep) -> None:
    """Its connection is gone and does not come back: its trials are put back and trained."""
    run = here.start()
    wait_for(lambda: len(here.begun()) >= 4)
    others = family(run)
    run.kill()
    run.communicate()
    assert seconds_until_gone(others) < 5
    said = there.finish()
    assert (
        f"Study 'faulty' belongs to process {run.pid} on node-a, which is not connected; it is taken over"
        in said
    )
    equal(whole, there)


@pytest.mark.faults
def test_a_live_run_that_loses_its_lock_gets_it_back(
    whole: Sweep, here: Sweep, there: Sweep, postgres: Server
) -> None:
    """It goes on as if nothing had been, and another machine that comes in that moment is refused."""
    # It must outlast the start of the other one, on the busiest machine.
    run = replace(here, sleep_s=6.0).start()
    wait_for(here.begun)
    assert postgres.drop_locks(database(here)) == 1
    assert f"study 'faulty' is being run by process {run.pid} on node-a" in there.finish(code=2)
    said = told(run, code=0)
    assert (said.count(LOST), said.count(BACK)) == (1, 1)
    equal(whole, here)


@pytest.mark.faults
def test_a_server_that_is_restarted_costs_no_lock(here: Sweep, there: Sweep, postgres: Server) -> None:
    """Between two epochs, all connections at once: the run takes its lock again."""
    # An epoch that outlasts all of this, on the busiest machine.
    run = replace(here, sleep_s=60.0, epochs=1, trials=2).start()
    wait_for(here.begun)
    time.sleep(0.5)
    postgres.stop()
    postgres.start()
    refused = there.finish(code=2)
    run.send_signal(signal.SIGINT)
    said = told(run, code=130)
    assert f"study 'faulty' is being run by process {run.pid} on node-a" in refused
    assert (said.count(LOST), said.count(BACK)) == (1, 1)


@pytest.mark.faults
def test_a_run_whose_database_was_replaced_ends(here: Sweep, postgres: Server) -> None:
    """Another of its name takes nothing of its study."""
    run = replace(here, sleep_s=1.0).start()
    wait_for(here.begun)
    # Halted meanwhile, it never meets a server without a database of that name.
    run.send_signal(signal.SIGSTOP)
    try:
        postgres.execute(f'DROP DATABASE "{database(here)}" WITH (FORCE)')
        postgres.make(database(here))
    finally:
        run.send_signal(signal.SIGCONT)
    said = told(run, code=2)
    assert "was replaced by another database while it was in use; this command ends here" in said
    assert "COPY" not in postgres.dump(database(here))


def test_a_run_that_was_taken_over_ends_and_changes_nothing(
    whole: Sweep, here: Sweep, there: Sweep, postgres: Server
) -> None:
    """A machine that sleeps loses its connection: when it wakes, the study is another's."""
    run = here.start()
    wait_for(lambda: len(here.begun()) >= 3)
    run.send_signal(signal.SIGSTOP)
    others = family(run)
    assert postgres.drop_locks(database(here)) == 1
    follower = replace(there, sleep_s=0.5).start()
    wait_for(lambda: here.study().user_attrs["owner"]["host"] == "node-b")
    run.send_signal(signal.SIGCONT)
    said = told(run, code=2)
    assert f"study 'faulty' was taken over by process {follower.pid} on node-b while the connection" in said
    assert seconds_until_gone(others) < 5
    told(follower, code=0)
    equal(whole, there)
    assert there.study().user_attrs["owner"] is None


@pytest.mark.faults
def test_a_study_on_a_server_that_was_killed_at_random_is_whole(tmp_path: Path, postgres: Server) -> None:
    """As one in a file: nothing lost, doubled or left running; at most one epoch repeated for each kill."""
    found = drive(tmp_path, kills=8, seed=2, server=postgres.make(uuid.uuid4().hex))
    assert sum(found["kills"].values()) == 8
    for name in ("lost", "different", "duplicated", "left_running", "epochs_skipped"):
        assert found[name] == 0, found
    assert found["leftovers"] == []
    assert found["most_repeated_by_one_kill"] <= 1
