"""What can happen to the storage of a sweep, with real processes; only the training is scripted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import optuna
import pytest
from faults import Sweep, compare
from programs import free_port
from small_study import Small

from fmnist_sweep.storage.opening import open_storage

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ROOT = Path(__file__).parent.parent.parent
FILLED_MB = 7.4
"""What is left of the small disk takes the database and some trials."""

BLOCKED_S = 10.0
"""Far above what an answer takes on a busy machine, and far below the minute that SQLite waits for a lock."""


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    long ahead = 0;
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_AHEAD"), "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &ahead) != 1) ahead = 0;
        fclose(file);
    }
    if (!failed) now->tv_sec += ahead;
    return failed;
}

time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}
"""
"""A machine's clock, ahead by the seconds in a file."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A study that nothing happened to."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"), trials=8, epochs=8)
    sweep.finish()
    return sweep


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can't be mounted here: that takes root and its rights")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def equal(whole: Sweep, cut: Sweep) -> None:
    """Check that a study has all that an uninterrupted one has, and nothing else."""
    found = compare(whole, cut)
    for name in ("lost", "different", "duplicated", "left_running"):
        assert found[name] == 0, found


def is_whole(database: Path) -> bool:
    """Return whether SQLite finds nothing wrong with a database."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("PRAGMA integrity_check").fetchall()
        return rows == [("ok",)] and connection.execute("PRAGMA foreign_key_check").fetchall() == []


def snapshot(database: Path, folder: Path) -> Path:
    """Copy a database with its write-ahead log, as a file system has them after a power cut."""
    folder.mkdir()
    for path in (database, database.with_name(f"{database.name}-wal")):
        if path.exists():
            shutil.copy(path, folder)
    return folder / database.name


def finished(database: Path) -> dict[int, Any]:
    """Return the finished trials of a copy, opened as the program opens it."""
    study = optuna.load_study(
        study_name="faulty", storage=open_storage(f"sqlite:///{database}", create=False)
    )
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    return {
        t.number: (t.state, t.params, t.value, t.intermediate_values, t.user_attrs["curve"])
        for t in study.trials
        if t.state.is_finished()
    }


@contextmanager
def program(sweep: Sweep, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run another command on a sweep's storage; it is ended with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "fmnist_sweep", *arguments, "--storage", sweep.url],
        cwd=sweep.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_epochs(sweep: Sweep, n: int) -> None:
    """Wait until so many epochs of a sweep have begun."""
    until = time.monotonic() + 60
    while len(sweep.begun()) < n:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_full_disk_ends_the_sweep_and_space_lets_it_go_on(
    whole: Sweep, tmp_path: Path, small_disk: Path
) -> None:
    """With a message and exit code 2; what was stored is whole, and the same command finishes the study."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(int(FILLED_MB * 2**20)))
    cut = Sweep(tmp_path, trials=8, epochs=8, disk=small_disk)
    said = cut.finish(code=2)
    assert "can no longer be used: (sqlite3.OperationalError) database or disk is full" in said
    assert "once that is mended, the same command goes on" in said
    assert "Traceback" not in said
    copy = snapshot(cut.database, tmp_path / "copy")
    assert is_whole(copy)
    kept = finished(copy)
    assert kept
    filler.unlink()
    cut.finish()
    equal(whole, cut)
    assert kept.items() <= finished(cut.database).items()
    assert {path.name for path in small_disk.iterdir()} <= {"studies.db", "studies.db-wal", "studies.db-shm"}


def _remove(disk: Path) -> None:
    (disk / "studies.db").unlink()


def _remove_all(disk: Path) -> None:
    for path in disk.glob("studies.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _move(disk: Path) -> None:
    (disk / "studies.db").rename(disk.parent / "moved.db")


def _replace(disk: Path) -> None:
    open_storage(f"sqlite:///{disk.parent}/other.db", create=True).engine.dispose()
    (disk.parent / "other.db").replace(disk / "studies.db")


@pytest.mark.parametrize("take_away", [_remove, _remove_all, _move, _replace])
def test_a_storage_that_is_taken_away_ends_the_run(
    whole: Sweep, tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    """At once, and what it says makes the study whole; all trials that had finished were saved."""
    disk = tmp_path / "disk"
    disk.mkdir()
    cut = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.1, disk=disk)
    run = cut.start()
    wait_for_epochs(cut, 20)
    take_away(disk)
    began = time.monotonic()
    _, said = run.communicate(timeout=60)
    assert time.monotonic() - began < BLOCKED_S
    assert run.returncode == 2, said
    assert f"{disk}/studies.db was " in said
    assert "Traceback" not in said
    (saved,) = disk.glob("studies-saved-*.db")
    assert f"is saved in {saved}: " in said
    kept = finished(saved)
    assert kept
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in disk.glob("studies.db*"):
        if path.is_file():
            path.rename(aside / path.name)
    for path in disk.glob("studies-saved-*"):
        path.rename(disk / path.name.replace(saved.name, "studies.db"))
    replace(cut, sleep_s=0.0).finish()
    equal(whole, cut)
    assert kept.items() <= finished(cut.database).items()


def test_a_second_run_beside_one_whose_storage_was_removed(whole: Sweep, tmp_path: Path) -> None:
    """It makes a study of its own; the first one ends within seconds and leaves that alone."""
    disk = tmp_path / "disk"
    disk.mkdir()
    first = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.5, disk=disk)
    run = first.start()
    wait_for_epochs(first, 2)
    _remove_all(disk)
    second = replace(first, sleep_s=0.0)
    second.finish()
    _, said = run.communicate(timeout=BLOCKED_S)
    assert run.returncode == 2, said
    assert second.found() == whole.found()


def test_a_power_cut_leaves_a_whole_database(tmp_path: Path) -> None:
    """Cut wherever the log of writes may end: it opens, and holds the trials that had finished until then.

    The run is halted in the middle of whatever it does. Of the log, which is not forced to the disk at each
    write, a second copy loses its end as well.
    """
    draw = random.Random(0)  # noqa: S311 - nothing secret
    cut = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.05)
    run = cut.start()
    wait_for_epochs(cut, 2)
    first = cut.database.read_bytes()
    copies: list[Path] = []
    shortened: list[Path] = []
    while run.poll() is None and len(copies) < 25:
        time.sleep(draw.uniform(0.0, 0.2))
        run.send_signal(signal.SIGSTOP)
        copy = snapshot(cut.database, tmp_path / f"copy-{len(copies)}")
        run.send_signal(signal.SIGCONT)
        copies.append(copy)
        log = copy.with_name("studies.db-wal")
        # Once the log has gone into the database it was on the disk.
        if log.exists() and copy.read_bytes() == first:
            short = snapshot(copy, copy.parent / "short")
            content = log.read_bytes()
            short.with_name(log.name).write_bytes(content[: draw.randrange(len(content))])
            shortened.append(short)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert len(copies) >= 10
    assert shortened
    assert all(map(is_whole, [*copies, *shortened]))
    end = finished(cut.database)
    before: dict[int, Any] = {}
    for copy in copies:
        now = finished(copy)
        assert before.items() <= now.items() <= end.items()
        before = now
    assert before
    for short in shortened:
        with closing(sqlite3.connect(short)) as connection:
            names = connection.execute("SELECT study_name FROM studies").fetchall()
        assert names in ([], [("faulty",)])
        if names:
            assert finished(short).items() <= end.items()


def test_a_reader_that_never_ends_blocks_nobody(whole: Sweep, tmp_path: Path) -> None:
    """A transaction that reads the storage from the first trial to the last sees one state of it."""
    cut = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.05)
    run = cut.start()
    wait_for_epochs(cut, 2)
    with closing(sqlite3.connect(cut.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        n = reader.execute("SELECT count(*) FROM trial_values").fetchone()
        _, said = run.communicate(timeout=60)
        assert reader.execute("SELECT count(*) FROM trial_values").fetchone() == n
    assert run.returncode == 0, said
    equal(whole, cut)


def test_the_dashboard_and_the_sweep_do_not_wait_for_each_other(whole: Sweep, tmp_path: Path) -> None:
    """Its pages are answered all the while, and neither meets a locked database."""
    cut = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.4)
    run = cut.start()
    wait_for_epochs(cut, 2)
    port = free_port()
    answers: list[float] = []
    with program(cut, "dashboard", "--port", str(port)) as dashboard:
        while run.poll() is None:
            for page in ("studies", "studies/1?after=0"):
                began = time.monotonic()
                try:
                    with urlopen(f"http://127.0.0.1:{port}/api/{page}", timeout=60) as answer:
                        json.load(answer)
                except URLError:
                    # It has not opened its port yet.
                    assert not answers, page
                    time.sleep(0.1)
                    continue
                answers.append(time.monotonic() - began)
        dashboard.terminate()
        _, also_said = dashboard.communicate(timeout=20)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert "locked" not in said + also_said
    assert len(answers) > 10
    assert max(answers) < BLOCKED_S
    equal(whole, cut)


def test_status_and_the_sweep_do_not_wait_for_each_other(whole: Sweep, tmp_path: Path) -> None:
    """Asked again and again it counts up, and neither meets a locked database."""
    cut = Sweep(tmp_path, trials=8, epochs=8, sleep_s=0.3)
    run = cut.start()
    wait_for_epochs(cut, 2)
    n_complete = []
    while run.poll() is None:
        with program(cut, "status", "--json") as status:
            out, also_said = status.communicate(timeout=60)
        assert status.returncode == 0, also_said
        assert also_said == ""
        n_complete.append(json.loads(out)["studies"][0]["complete"])
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert "locked" not in said
    assert len(n_complete) > 1
    assert n_complete == sorted(n_complete)
    equal(whole, cut)


def test_a_clock_that_jumps_by_days_changes_nothing(
    whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set forth, and back, while a run goes on: no limit is reached sooner, and no time is negative."""
    source, library, ahead = (tmp_path / name for name in ("clock.c", "clock.so", "ahead"))
    source.write_text(CLOCK)
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a clock of its own can't be made here: that takes a C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    ahead.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_AHEAD", str(ahead))
    folder = tmp_path / "run"
    folder.mkdir()
    cut = Sweep(folder, trials=8, epochs=8, sleep_s=0.05)
    run = cut.start("--set", "budget.trial_seconds=600", "--timeout", "3600")
    monkeypatch.delenv("LD_PRELOAD")
    for epochs, days in ((10, 3), (25, -4), (40, 9)):
        wait_for_epochs(cut, epochs)
        ahead.write_text(str(days * 86_400))
    _, said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    equal(whole, cut)
    trials = cut.study().trials
    begun = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    assert max(begun) - min(begun) > timedelta(days=2)
    assert all(0 <= trial.user_attrs["seconds"] < 3600 for trial in trials)


@pytest.mark.parametrize("table", ["studies", "trials", "trial_user_attributes"])
def test_a_damaged_page_is_told(tmp_path: Path, table: str) -> None:
    """By whatever meets it, exit code 2; nothing is written, and no copy of it is made."""
    sweep = Sweep(tmp_path)
    sweep.finish()
    with closing(sqlite3.connect(sweep.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        ((size,),) = connection.execute("PRAGMA page_size")
    with sweep.database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    damaged = sweep.database.read_bytes()
    said = sweep.finish("--trials", "6", code=2)
    for command in (("status",), ("backup", str(tmp_path / "copy.db"))):
        with program(sweep, *command) as process:
            out, also_said = process.communicate(timeout=120)
        assert process.returncode == 2, out + also_said
        said += also_said
    assert said.count("malformed") + said.count("is damaged") >= 3, said
    assert "Traceback" not in said
    assert sweep.database.read_bytes() == damaged
    assert not (tmp_path / "copy.db").exists()


def test_a_disk_that_fills_up_as_a_bundle_is_written_costs_no_reading(
    tmp_path: Path, small_disk: Path
) -> None:
    """With a message and exit code 2, nothing half written; with space the next export writes it."""
    small = Small(tmp_path)
    small.finish("run", "small.toml")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(8 * 2**20 - 2**16))
    export = ("export", "small", "--repeats", "2", "--output", str(small_disk))
    said = small.finish(*export, code=2)
    assert f"{small_disk}/small can't be written: No space left on device" in said
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    filler.unlink()
    assert "from the trainings and the reading that are kept" in small.finish(*export)
    assert (small_disk / "small" / "metrics.json").exists()
    assert [reading["complete"] for reading in small.study().user_attrs["test_readings"]] == [True]
