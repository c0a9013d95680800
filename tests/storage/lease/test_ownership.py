"""Who may run a study."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import StorageError, StudyBusyError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.lease.ownership import ownership, put_back
from fmnist_sweep.storage.lease.process import Owner, process_start

MakeConfig = Callable[..., SweepConfig]

HOLD = """
import sys, time
from pathlib import Path
from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.storage.lease.file_lock import study_lock
try:
    with study_lock(Path(sys.argv[1]), "tiny"):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except StudyBusyError as error:
    print(error)
"""


@pytest.fixture
def study(make_config: MakeConfig, data: DataRef, storage: optuna.storages.RDBStorage) -> optuna.Study:
    """A study of a small sweep without a trial."""
    return open_study(make_config(sampler={"enqueue_default": False}), data, storage)


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another live process on this machine."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def owner(process: subprocess.Popen[bytes], **other: Any) -> Mapping[str, Any]:
    """Return what a process leaves in a study that it runs."""
    started = process_start(process.pid)
    return {**asdict(Owner.this_process()), "pid": process.pid, "started": started, "run": "abc", **other}


def test_the_owner_is_named_while_a_study_is_held(study: optuna.Study) -> None:
    """Host, process and its start time are in the study while it runs, and gone afterwards."""
    with ownership(study) as me:
        held = study.user_attrs["owner"]
        assert held == asdict(me)
        assert held["host"] == socket.gethostname()
        assert held["pid"] == os.getpid()
        assert held["started"] == process_start(os.getpid())
    assert study.user_attrs["owner"] is None


def test_ownership_ends_with_an_exception(study: optuna.Study) -> None:
    """Whatever ends the sweep, the study is free again."""
    with pytest.raises(ZeroDivisionError), ownership(study):
        1 / 0  # noqa: B018
    assert study.user_attrs["owner"] is None


def test_a_study_that_a_live_process_runs_is_refused(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """The message names the process, its trials stay RUNNING, and it stays the owner."""
    held = owner(other)
    study.set_user_attr("owner", held)
    study.ask()
    with pytest.raises(StudyBusyError) as caught, ownership(study):
        pass
    assert str(caught.value) == (
        f"study 'tiny' is being run by process {other.pid} on {socket.gethostname()}; "
        "wait for it or stop it. Studies of other names can be run beside it."
    )
    assert study.user_attrs["owner"] == held
    assert [t.state for t in study.trials] == [TrialState.RUNNING]


def test_a_dead_owner_is_followed(study: optuna.Study, other: subprocess.Popen[bytes]) -> None:
    """The study of a process that is gone is taken over, and what it ran is put back."""
    study.set_user_attr("owner", owner(other))
    study.ask()
    other.kill()
    other.wait()
    with ownership(study):
        assert study.user_attrs["owner"]["pid"] == os.getpid()
        assert [t.state for t in study.trials] == [TrialState.WAITING]


def test_a_killed_owner_that_nobody_collected_is_dead(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """A zombie, such as a container may keep for ever, holds no study."""
    study.set_user_attr("owner", owner(other))
    other.kill()
    deadline = time.monotonic() + 10
    while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with ownership(study):
        pass


def test_a_reused_process_number_is_another_process(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """A live process of the owner's number that started at another time is not the owner."""
    held = owner(other)
    study.set_user_attr("owner", {**held, "started": held["started"] - 100})
    with ownership(study):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_clock_that_is_set_fools_nobody(
    study: optuna.Study, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start times are counted from the machine's start: what the clock makes of them is not looked at."""
    study.set_user_attr("owner", owner(other))
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() - 1e9)
    with pytest.raises(StudyBusyError), ownership(study):
        pass


def test_an_owner_before_a_restart_is_gone(study: optuna.Study, other: subprocess.Popen[bytes]) -> None:
    """Since this machine was started again, no process of before is alive, whatever its number."""
    study.set_user_attr("owner", owner(other, boot="before"))
    with ownership(study):
        pass


def test_a_machine_that_changed_its_name_is_the_same(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """Containers and laptops do so: the owner is looked for all the same."""
    study.set_user_attr("owner", owner(other, host="another-name"))
    with pytest.raises(StudyBusyError, match="is being run by process"), ownership(study):
        pass
    other.kill()
    other.wait()
    with ownership(study):
        pass


def test_an_owner_on_another_machine_is_asked_about(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """Nothing here can tell whether it lives: the study is refused unless the user says to take it over."""
    held = owner(other, host="another-machine", boot="another")
    study.set_user_attr("owner", held)
    study.ask()
    with pytest.raises(StudyBusyError) as caught, ownership(study):
        pass
    assert str(caught.value) == (
        f"study 'tiny' belongs to process {other.pid} on another-machine, which can't be seen from here; "
        "if it is gone, take the study over with --take-over."
    )
    assert study.user_attrs["owner"] == held
    with ownership(study, take_over=True):
        assert [t.state for t in study.trials] == [TrialState.WAITING]


def test_an_owner_that_was_taken_over_from_leaves_the_new_one(study: optuna.Study) -> None:
    """It gives up what is its own, and nothing else."""
    new = {**asdict(Owner.this_process()), "run": "new"}
    with ownership(study):
        study.set_user_attr("owner", new)
    assert study.user_attrs["owner"] == new


def test_one_process_holds_the_lock(tmp_path: Path) -> None:
    """The second is refused and told who the first is; afterwards nothing is left of it."""
    folder = tmp_path / "studies.db.checkpoints" / "tiny"
    with study_lock(folder, "tiny"):
        with pytest.raises(StudyBusyError) as caught, study_lock(folder, "tiny"):
            pass
        assert json.loads((folder / "lock").read_text())["pid"] == os.getpid()
        with study_lock(folder.parent / "other", "other"):
            pass
    assert f"is being run by process {os.getpid()} on {socket.gethostname()}; wait for it" in str(
        caught.value
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder that comes and goes the next try makes the lock; one that never comes ends the tries."""
    gone = iter(range(3))
    make = Path.mkdir

    def mkdir(path: Path, **options: bool) -> None:
        if next(gone, None) is not None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        make(path, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with study_lock(tmp_path / "tiny", "tiny"):
        pass
    gone = iter(range(1_000_000))
    with pytest.raises(StorageError, match="can't be written: No such file"), study_lock(tmp_path / "b", "b"):
        pass
    assert next(gone) < 1_000


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    """Though it could not remove the file."""
    folder = tmp_path / "tiny"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder, "60"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StudyBusyError, match=f"process {holder.pid} "), study_lock(folder, "tiny"):
            pass
        holder.send_signal(signal.SIGKILL)
    assert (folder / "lock").exists()
    with study_lock(folder, "tiny"):
        pass


@pytest.mark.slow
def test_of_many_that_start_at_once_one_wins(tmp_path: Path) -> None:
    """Every other one is refused, whatever the order in which they come."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a" / "tiny"), "5"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [run.communicate()[0] for run in runs]
    assert sorted(line == "held\n" for line in said) == [False] * 3 + [True]
    assert sum("is being run by" in line for line in said) == 3


def test_checkpoints_keep_their_folder(tmp_path: Path) -> None:
    """Giving the lock back removes nothing else."""
    with study_lock(tmp_path / "a" / "tiny", "tiny"):
        (tmp_path / "a" / "tiny" / "trial-1.checkpoint").touch()
    assert [path.name for path in (tmp_path / "a" / "tiny").iterdir()] == ["trial-1.checkpoint"]


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """The message says which folder, and why."""
    (tmp_path / "a").touch()
    with (
        pytest.raises(StorageError, match=r"tiny can't be written: Not a directory"),
        study_lock(tmp_path / "a" / "tiny", "tiny"),
    ):
        pass


def test_a_trial_that_was_put_back_is_taken_up_first(study: optuna.Study) -> None:
    """It comes before new trials, with its number, its parameters and its reports."""
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    study.tell(study.ask(), 0.5)
    left = study.ask()
    drawn = left.suggest_float("x", 0, 1)
    left.report(0.25, 0)
    assert put_back(study) == 1
    assert put_back(study) == 0
    taken_up, new = study.ask(), study.ask()
    assert (taken_up.number, new.number) == (left.number, left.number + 1)
    assert taken_up.suggest_float("x", 0, 1) == drawn
    assert study.trials[left.number].intermediate_values == {0: 0.25}


def test_trials_of_a_study_that_was_taken_over_are_left_alone(
    study: optuna.Study, other: subprocess.Popen[bytes]
) -> None:
    """Its new owner is training them: whoever had them before puts nothing back."""
    with ownership(study):
        study.ask()
        study.set_user_attr("owner", owner(other))
        assert put_back(study) == 0
    assert [t.state for t in study.trials] == [TrialState.RUNNING]


def test_a_holder_that_has_not_yet_written_its_name_is_waited_for(tmp_path: Path) -> None:
    """Of two runs that start at once the loser can be quicker than the winner's pen."""
    lock = tmp_path / "lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        name = json.dumps(asdict(Owner.this_process()))
        pen = threading.Timer(0.1, lambda: lock.write_text(name))
        pen.start()
        with (
            pytest.raises(StudyBusyError, match=f"is being run by process {os.getpid()} on "),
            study_lock(tmp_path, "demo"),
        ):
            pass
        pen.join()


@pytest.mark.slow
def test_a_holder_that_never_tells_its_name_is_another_process(tmp_path: Path) -> None:
    """The study is busy all the same."""
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StudyBusyError, match="by another process"), study_lock(tmp_path, "demo"):
            pass
