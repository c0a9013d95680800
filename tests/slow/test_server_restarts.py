"""A PostgreSQL server that goes away for a while, at any moment; only the training is scripted."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from faults import Sweep, compare
from postgres import SECRET, Server
from small_study import Small

# An export, or runs on two machines, on a busy one.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Cut: TypeAlias = Literal["", "before", "after"]
"""Whether a connection is cut at what a client sends: before the server gets it, or when it has answered."""

AWAY = "does not answer; trying again for up to 60 s. The trainings go on."
BACK = "answers again."


class Between:
    """Stands between a client and its server, and cuts their connections at moments that are given.

    Args:
        server: What is behind it.
        rule: Told what a client sends.
    """

    def __init__(self, server: Server, rule: Callable[[bytes], Cut]) -> None:
        self.away_until = 0.0
        self._server = server.port
        self._rule = rule
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut all connections and take no more."""
        # Closed alone, it would still be waited on.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def cut_all(self) -> None:
        """Cut all connections."""
        for pair in tuple(self._pairs):
            _close(*pair)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if time.monotonic() < self.away_until:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server))
                self._pairs.append((client, server))
                is_mute = threading.Event()
                for work in (self._up, self._down):
                    threading.Thread(target=work, args=(client, server, is_mute), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, is_mute: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (sent := client.recv(2**16)) and (how := self._rule(sent)) != "before":
                if how == "after":
                    is_mute.set()
                server.sendall(sent)
        if not is_mute.is_set():
            _close(client, server)

    def _down(self, client: socket.socket, server: socket.socket, is_mute: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (answer := server.recv(2**16)) and not is_mute.is_set():
                client.sendall(answer)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A study that nothing happened to."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"))
    sweep.finish()
    return sweep


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Another, and its confirmation."""
    made = Small(tmp_path_factory.mktemp("small"))
    made.finish("run", "small.toml")
    made.finish("confirm", "small", "--top", "1", "--repeats", "2")
    return made


@pytest.fixture
def here(tmp_path: Path, postgres: Server) -> Sweep:
    """A sweep with an empty database on the server."""
    return Sweep(tmp_path, sleep_s=0.2, server=postgres.make(uuid.uuid4().hex), machine="node-a")


@pytest.fixture
def between(postgres: Server) -> Iterator[Callable[[Callable[[bytes], Cut]], Between]]:
    """Make a `Between`; it is closed with the test."""
    made: list[Between] = []

    def make(rule: Callable[[bytes], Cut]) -> Between:
        made.append(Between(postgres, rule))
        return made[-1]

    yield make
    for one in made:
        one.close()


def through(sweep: Sweep, postgres: Server, between: Between) -> Sweep:
    """Return a sweep that reaches its server through another port."""
    return replace(sweep, server=sweep.server.replace(f":{postgres.port}/", f":{between.port}/"))


def commits(every: int, how: Cut) -> Callable[[bytes], Cut]:
    """Return a rule that cuts every so many-th commit."""
    n = 0

    def rule(sent: bytes) -> Cut:
        nonlocal n
        n += b"COMMIT" in sent
        return how if b"COMMIT" in sent and n % every == 0 else ""

    return rule


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def has_begun(sweep: Sweep, n: int) -> Callable[[], bool]:
    """Return a function that tells whether so many epochs of a sweep have begun."""
    return lambda: len(sweep.begun()) >= n


def equal(whole: Sweep, cut: Sweep) -> None:
    """Check that a study has all that an uninterrupted one has, and nothing else; no epoch came twice."""
    found = compare(whole, cut)
    for name in ("lost", "different", "duplicated", "left_running", "epochs_repeated", "epochs_skipped"):
        assert found[name] == 0, found
    assert cut.study().user_attrs["owner"] is None


def told(run: subprocess.Popen[str], *, code: int) -> str:
    """Wait for the end of a run and return what it said."""
    out, said = run.communicate(timeout=180)
    assert run.returncode == code, said
    assert "Traceback" not in said
    assert SECRET not in out + said
    return said


def database(sweep: Sweep) -> str:
    """Return the name of a sweep's database."""
    return sweep.server.rpartition("/")[2]


def test_a_server_that_is_restarted_in_the_middle_is_waited_for(
    whole: Sweep, here: Sweep, postgres: Server
) -> None:
    """The run says so, trains on meanwhile, and comes to the very study that it would have had."""
    run = here.start()
    wait_for(has_begun(here, 3))
    before = len(here.begun())
    postgres.stop()
    wait_for(lambda: len(here.begun()) > before)
    time.sleep(2)
    postgres.start()
    said = told(run, code=0)
    assert (said.count(AWAY), said.count(BACK)) == (1, 1)
    equal(whole, here)


@pytest.mark.faults
def test_a_server_may_be_restarted_again_and_again(whole: Sweep, here: Sweep, postgres: Server) -> None:
    """Each time is waited for anew."""
    run = replace(here, sleep_s=0.5).start()
    for n in (1, 4, 7):
        wait_for(has_begun(here, n))
        postgres.restart(1.0)
    told(run, code=0)
    equal(whole, here)


@pytest.mark.parametrize(
    "rule",
    [
        # Not so many that none is left for what takes several, such as opening a storage.
        commits(7, "after"),
        pytest.param(commits(7, "before"), marks=pytest.mark.faults),
        pytest.param(commits(11, "after"), marks=pytest.mark.faults),
    ],
)
def test_an_answer_that_is_lost_is_no_write_that_is_done_twice(
    whole: Sweep, here: Sweep, postgres: Server, between: Callable[..., Between], rule: Callable[[bytes], Cut]
) -> None:
    """Cut off at a commit, whether or not the server got it, in all that a run writes."""
    replace(through(here, postgres, between(rule)), sleep_s=0.0).finish()
    equal(whole, here)


@pytest.mark.faults
def test_connections_that_are_cut_all_the_time(whole: Sweep, here: Sweep, postgres: Server) -> None:
    """A server's administrator ends them all, some twice a second: the run makes them anew."""
    run = here.start()
    wait_for(here.begun)
    n = 0
    while run.poll() is None and n < 40:
        n += postgres.cut(database(here))
        time.sleep(0.4)
    assert n > 4
    said = told(run, code=0)
    assert "can no longer be used" not in said
    equal(whole, here)


def test_a_server_that_is_away_as_a_run_ends_is_waited_for(
    whole: Sweep, here: Sweep, postgres: Server, between: Callable[..., Between]
) -> None:
    """From the moment on at which the study is given back: its summary comes after all, exit code 0."""

    def rule(sent: bytes) -> Cut:
        if b"UPDATE study_user_attributes" in sent and b"null" in sent and not proxy.away_until:
            proxy.away_until = time.monotonic() + 2
            return "before"
        return ""

    proxy = between(rule)
    said = replace(through(here, postgres, proxy), sleep_s=0.0).finish()
    assert proxy.away_until
    assert (said.count("does not answer; trying again"), said.count(BACK)) == (1, 1)
    equal(whole, here)


@pytest.mark.faults
def test_a_server_that_is_away_as_the_summary_is_read_is_waited_for(
    whole: Sweep, here: Sweep, postgres: Server, between: Callable[..., Between]
) -> None:
    """After the study was given back, by a connection that was not there before."""
    is_given_back = False

    def rule(sent: bytes) -> Cut:
        nonlocal is_given_back
        is_given_back = is_given_back or (b"UPDATE study_user_attributes" in sent and b"null" in sent)
        if is_given_back and b"COMMIT" in sent and not proxy.away_until:
            proxy.away_until = time.monotonic() + 2
            return "after"
        return ""

    proxy = between(rule)
    replace(through(here, postgres, proxy), sleep_s=0.0).finish()
    assert proxy.away_until
    equal(whole, here)


def test_a_server_that_stays_away_ends_the_run(whole: Sweep, here: Sweep, postgres: Server) -> None:
    """When the time is over, once; the same command goes on. What only reads does not wait."""
    run = here.start("--set", "budget.reconnect_seconds=1.5")
    wait_for(has_begun(here, 3))
    postgres.stop()
    try:
        said = told(run, code=2)
        reader = Small(here.folder, url=here.server).finish("status", code=2)
    finally:
        postgres.start()
    assert said.count("does not answer; trying again for up to 1.5 s. The trainings go on.") == 1
    assert "can no longer be used: (psycopg.OperationalError)" in said
    assert "once that is mended, the same command goes on" in said
    assert "can't be opened" in reader
    assert "trying again" not in reader
    replace(here, sleep_s=0.0).finish()
    found = compare(whole, here)
    assert (found["lost"], found["different"], found["duplicated"], found["left_running"]) == (0, 0, 0, 0)


@pytest.mark.faults
def test_no_time_ends_the_run_at_once(here: Sweep, postgres: Server) -> None:
    """As long as nobody asks for a wait, none is told."""
    run = here.start("--set", "budget.reconnect_seconds=0")
    wait_for(has_begun(here, 3))
    postgres.stop()
    try:
        said = told(run, code=2)
    finally:
        postgres.start()
    assert "trying again" not in said


@pytest.mark.faults
def test_a_study_that_was_taken_over_while_its_server_was_away_is_left_alone(
    whole: Sweep, here: Sweep, postgres: Server
) -> None:
    """A machine that waits for the server, and sleeps over its return, writes nothing when it wakes."""
    run = here.start()
    wait_for(has_begun(here, 3))
    postgres.stop()
    assert run.stderr is not None
    lines: list[str] = []
    while not any(AWAY in line for line in lines):
        lines.append(run.stderr.readline())
    run.send_signal(signal.SIGSTOP)
    postgres.start()
    there = replace(here, machine="node-b", sleep_s=0.2)
    follower = there.start()
    wait_for(lambda: here.study().user_attrs["owner"]["host"] == "node-b")
    run.send_signal(signal.SIGCONT)
    assert f"study 'faulty' was taken over by process {follower.pid} on node-b" in told(run, code=2)
    told(follower, code=0)
    found = compare(whole, there)
    assert (found["lost"], found["different"], found["duplicated"], found["left_running"]) == (0, 0, 0, 0)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_confirmation_and_an_export_wait_as_well(
    small: Small, tmp_path: Path, postgres: Server, between: Callable[..., Between], how: Cut
) -> None:
    """Every seventh of their commits is cut off: each repeat is there once, the test set read once."""
    address = postgres.make(uuid.uuid4().hex)
    n = 0

    def rule(sent: bytes) -> Cut:
        nonlocal n
        n += b"COMMIT" in sent
        # Not at its start, where a command opens the storage: that is told at once.
        if b"COMMIT" not in sent or n % 7 or n <= 14:
            return ""
        if n % 21 == 0:
            proxy.away_until = time.monotonic() + 1
        return how

    proxy = between(rule)
    cut = Small(tmp_path, url=address.replace(f":{postgres.port}/", f":{proxy.port}/"))
    direct = replace(cut, url=address)
    direct.finish("run", "small.toml")
    assert "does not answer" in cut.finish("confirm", "small", "--top", "1", "--repeats", "2")
    assert direct.found("small-confirm") == small.found("small-confirm")
    n = 0
    cut.finish("export", "small", "--repeats", "2")
    assert (tmp_path / "exports" / "small" / "metrics.json").exists()
    assert [reading["complete"] for reading in direct.study().user_attrs["test_readings"]] == [True]


@pytest.mark.faults
def test_two_machines_with_folders_of_their_own_follow_each_other(
    whole: Sweep, here: Sweep, postgres: Server
) -> None:
    """Stopped on one, a study goes on on the other, and back again: what was unfinished starts over there."""
    there = replace(here, machine="node-b")
    for sweep, n in ((here, 3), (there, 6)):
        run = sweep.start()
        wait_for(has_begun(here, n))
        run.send_signal(signal.SIGINT)
        told(run, code=130)
    replace(here, sleep_s=0.0).finish()
    found = compare(whole, here)
    assert (found["lost"], found["different"], found["duplicated"], found["left_running"]) == (0, 0, 0, 0)
    assert postgres.cut(database(here)) == 0
