"""Processes: how they end, and what is left of them."""

from __future__ import annotations

import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from starting import WAYS

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import Cancelled, EpochDone, Failed, Finished, Started, TrialEvent
from fmnist_sweep.core.jobs import DataRef, Scalar, TrialJob
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.engines.machine import find_devices

SCRIPTED = "fmnist_sweep.training.testing:ScriptedTrainer"
NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")

PARENT = """
import pathlib, sys, time
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.core.jobs import DataRef, TrialJob
data = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")
logs = pathlib.Path(sys.argv[1])
engine = LocalEngine(2, trainer="fmnist_sweep.training.testing:ScriptedTrainer", preload=(), log_dir=logs)
for trial in range(2):
    engine.submit(TrialJob(trial, "none:Model", {"crash": "hang"}, epochs=3, seed=0, data=data))
seen = []
while len(seen) < 2:
    seen += engine.events(10)
print("ready", "tensorflow" in sys.modules, "keras" in sys.modules, flush=True)
time.sleep(600)
"""


def make_job(trial: int, *, epochs: int = 3, **hyperparameters: Scalar) -> TrialJob:
    """Return a job for the scripted trainer."""
    return TrialJob(trial, "none:Model", hyperparameters, epochs=epochs, seed=trial, data=NOWHERE)


def trial_processes(parent: psutil.Process | None = None) -> list[psutil.Process]:
    """Return what a process's fork server has running."""
    servers = (psutil.Process() if parent is None else parent).children()
    return [process for server in servers for process in server.children()]


def wait_until(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Return whether a condition comes true in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def last_event(engine: LocalEngine, *, within_s: float = 20) -> TrialEvent:
    """Return the event that ends the one running trial."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        for event in engine.events(1):
            if isinstance(event, Finished | Failed):
                return event
    raise AssertionError(f"no end within {within_s} s")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    """An engine with two workers that keeps its logs."""
    with LocalEngine(2, trainer=SCRIPTED, preload=(), log_dir=tmp_path / "logs") as engine:
        yield engine


def test_close_leaves_no_process(engine: LocalEngine) -> None:
    """Trials' processes are gone when close returns, also those that hang."""
    for trial in range(2):
        engine.submit(make_job(trial, crash="hang"))
    # What a test before this one left may be going yet.
    assert wait_until(lambda: len(trial_processes()) == 2, within_s=10)
    engine.close()
    assert trial_processes() == []


def test_cancel_ends_the_process(engine: LocalEngine) -> None:
    """The cancelled trial's process is gone once that is told; the other trial goes on."""
    engine.submit(make_job(0, crash="hang"))
    engine.submit(make_job(1, sleep_s=0.2))
    engine.cancel(0)
    while (event := engine.events(10)) != [Cancelled(0)]:
        assert all(isinstance(one, Started | EpochDone) and one.trial == 1 for one in event)
    assert len(trial_processes()) == 1
    assert last_event(engine).trial == 1


def test_a_finished_process_is_gone(engine: LocalEngine) -> None:
    """No process is left over from a trial that has ended."""
    engine.submit(make_job(0))
    assert last_event(engine) == Finished(0)
    assert trial_processes() == []


def test_memory_is_that_of_the_trials_process(engine: LocalEngine) -> None:
    """Each epoch tells its process's peak memory, in MiB."""
    engine.submit(make_job(0))
    events: list[TrialEvent] = []
    while not events or not isinstance(events[-1], Finished):
        events += engine.events(10)
    peaks = [event.peak_memory_mb for event in events if isinstance(event, EpochDone)]
    assert len(peaks) == 3
    assert all(peak is not None and 5 < peak < 5000 for peak in peaks)


def test_a_killed_process_is_seen_at_once(engine: LocalEngine) -> None:
    """SIGKILL, as the kernel sends it when memory runs out, fails the trial and names the likely cause."""
    engine.submit(make_job(0, crash="hang"))
    assert isinstance(engine.events(10)[0], Started)
    began = time.monotonic()
    trial_processes()[0].kill()
    assert last_event(engine) == Failed(0, "process was killed by SIGKILL (out of memory?)", "", died=True)
    assert time.monotonic() - began < 2


def test_scores_before_a_kill_are_kept(engine: LocalEngine) -> None:
    """What a process sent before it died still comes up, in order."""
    engine.submit(make_job(0, crash="sigkill", crash_epoch=2))
    events: list[TrialEvent] = []
    while not events or not isinstance(events[-1], Failed):
        events += engine.events(10)
    assert [type(event) for event in events] == [Started, EpochDone, EpochDone, Failed]


def test_last_words_are_kept(engine: LocalEngine) -> None:
    """A process that exits by itself fails its trial with its exit code and what it printed last."""
    engine.submit(make_job(0, crash="exit"))
    assert last_event(engine) == Failed(
        0, "process ended with exit code 3: scripted last words", "scripted last words", died=True
    )


def test_output_goes_to_the_trials_log(engine: LocalEngine, capfd: pytest.CaptureFixture[str]) -> None:
    """What a trial prints, also below Python, is in its own log and not on the terminal."""
    engine.submit(make_job(3, crash="exit"))
    last_event(engine)
    assert engine.log_path(3).read_text() == "scripted last words\n"
    assert "scripted" not in "".join(capfd.readouterr())


def test_own_logs_are_removed() -> None:
    """An engine that was named no folder for logs leaves none behind."""
    with LocalEngine(1, trainer=SCRIPTED, preload=()) as engine:
        engine.submit(make_job(0))
        last_event(engine)
        log = engine.log_path(0)
        assert log.exists()
    assert not log.parent.exists()


def test_time_limit_ends_a_trial(tmp_path: Path) -> None:
    """A job that passes the limit fails, and its process is gone, even if it does nothing at all."""
    with LocalEngine(1, trainer=SCRIPTED, preload=(), log_dir=tmp_path, time_limit_s=0.5) as engine:
        engine.submit(make_job(0, crash="hang"))
        assert last_event(engine) == Failed(0, "passed the time limit of 0.5 s", "")
        assert trial_processes() == []


def test_a_trainer_that_cannot_be_imported_fails_the_trial(tmp_path: Path) -> None:
    """What goes wrong before training starts is told like anything else."""
    with LocalEngine(1, trainer="fmnist_sweep.nowhere:Trainer", preload=(), log_dir=tmp_path) as engine:
        engine.submit(make_job(0))
        last = last_event(engine)
    assert isinstance(last, Failed)
    assert last.reason == "ModuleNotFoundError: No module named 'fmnist_sweep.nowhere'"


def test_interrupts_of_the_terminal_leave_trials_alone(engine: LocalEngine) -> None:
    """Ctrl-C goes to every process of the terminal; trials run on, since the parent decides."""
    engine.submit(make_job(0, sleep_s=0.1))
    for process in trial_processes():
        process.send_signal(signal.SIGINT)
    assert isinstance(last_event(engine), Finished)


def noted(file: Path) -> list[psutil.Process]:
    """Return the processes whose numbers a file holds."""
    assert wait_until(lambda: file.exists() and file.read_text().endswith("\n"), within_s=20)
    found = []
    for pid in file.read_text().split():
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(int(pid)))
    return found


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended, whether or not somebody has asked after them since."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    """An engine whose trials start processes."""
    # The fork server that runs already knows nothing of it: jobs that name the file come with the trial.
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    stop_server()
    with LocalEngine(2, trainer="starting:StartingTrainer", preload=(), time_limit_s=15) as engine:
        yield engine
    stop_server()


def stop_server() -> None:
    """End the fork server: the next one starts with the environment of that moment."""
    vars(multiprocessing.forkserver)["_forkserver"]._stop()


@pytest.mark.parametrize("then", ["end", "die", "hang"])
@pytest.mark.parametrize("way", WAYS)
def test_what_a_trial_started_ends_with_it(
    starting: LocalEngine, tmp_path: Path, way: str, then: str
) -> None:
    """Whether the trial finished, was killed or cancelled, and however its process was started."""
    starting.submit(make_job(0, way=way, then=then))
    family = noted(tmp_path / "pids")
    if then == "hang":
        starting.cancel(0)
    while starting.running:
        starting.events(1)
    assert not alive(family)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stopped", [False, True])
def test_what_trials_started_ends_with_the_parent(tmp_path: Path, way: str, *, stopped: bool) -> None:
    """Where the parent is killed, and its trial can't see that for itself as it has been stopped."""
    script = tmp_path / "parent.py"
    script.write_text(
        PARENT.replace("fmnist_sweep.training.testing:ScriptedTrainer", "starting:StartingTrainer").replace(
            '{"crash": "hang"}', f'{{"way": "{way}", "then": "hang"}}'
        )
    )
    pids = tmp_path / "pids"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PIDS": str(pids),
    }
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready False False\n"
        family = [*psutil.Process(parent.pid).children(recursive=True), *noted(pids)]
        for trial in trial_processes(psutil.Process(parent.pid)) if stopped else ():
            trial.suspend()
        parent.kill()
        parent.wait(5)
        assert wait_until(lambda: not alive(family), within_s=5)


def test_a_copy_of_a_trial_is_no_trial(starting: LocalEngine, tmp_path: Path) -> None:
    """A model that calls `os.fork` and lets both go on trains once, and leaves nothing behind."""
    starting.submit(make_job(0, way="copy"))
    events: list[TrialEvent] = []
    while starting.running:
        events += starting.events(1)
    assert [type(event) for event in events if not isinstance(event, Started)] == [*[EpochDone] * 3, Finished]
    assert not alive(noted(tmp_path / "pids"))


def test_a_server_that_is_killed_takes_what_its_trials_started_along(
    starting: LocalEngine, tmp_path: Path
) -> None:
    """Its trials die with it, told as any that died; the next one gets another server."""
    starting.submit(make_job(0, way="plain", then="hang"))
    family = noted(tmp_path / "pids")
    trial = trial_processes()[0]
    psutil.Process(trial.ppid()).kill()
    last = last_event(starting)
    assert isinstance(last, Failed)
    assert last.died
    assert wait_until(lambda: not alive([trial, *family]), within_s=5)
    starting.submit(make_job(1, way="plain"))
    assert last_event(starting) == Finished(1)


@pytest.mark.parametrize(
    ("death", "said"),
    [("error", "RuntimeError: the library is broken"), ("signal", "no room for the library")],
)
@pytest.mark.parametrize("n_deaths", [1, 2])
def test_a_server_that_dies_as_it_loads_is_started_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_deaths: int, death: str, said: str
) -> None:
    """Then it is told how it ended and what it said last."""
    monkeypatch.setenv("DEATHS", str(tmp_path / "deaths"))
    monkeypatch.setenv("N_DEATHS", str(n_deaths))
    monkeypatch.setenv("DEATH", death)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    stop_server()
    with LocalEngine(1, trainer=SCRIPTED, preload=("dying_preload",)) as engine:
        if n_deaths == 1:
            engine.submit(make_job(0))
            assert last_event(engine) == Finished(0)
        else:
            with pytest.raises(EngineError) as caught:
                engine.submit(make_job(0))
            assert str(caught.value).splitlines()[-1] == f"  {said}"
            how = "exit code 1" if death == "error" else "SIGKILL (out of memory?)"
            assert f"died once more, with {how}; its last words:" in str(caught.value)
            assert engine.running == ()
    assert len((tmp_path / "deaths").read_text().split()) == 2
    stop_server()


def test_workers_must_be_some() -> None:
    """An engine without workers is refused with the number given."""
    with pytest.raises(ValueError, match="at least 1; got 0"):
        LocalEngine(0)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_parent(tmp_path: Path, how: signal.Signals) -> None:
    """Trials and fork server end by themselves when the parent is killed; the parent loads no TensorFlow.

    The parent's script has no main guard, which must not start it again in its children.
    """
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready False False\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(trial_processes(psutil.Process(parent.pid))) == 2
        parent.send_signal(how)
        parent.wait(5)
        assert wait_until(lambda: not any(process.is_running() for process in family), within_s=5)


def test_devices_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own choice of accelerators is honoured; an empty one means none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert find_devices() == ("2", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_devices() == ()


def test_slots_share_the_devices_out() -> None:
    """In turn, as many slots to each as can be; a slot that is free again has its own device still."""
    with LocalEngine(3, trainer="placing:DeviceTrainer", preload=(), devices=("4", "7")) as engine:
        for trial in range(3):
            engine.submit(make_job(trial, epochs=1, sleep_s=0.0 if trial == 1 else 60.0))
        seen: dict[int, int | None] = {}
        running = {0, 1, 2}
        while len(seen) < 4:
            for event in engine.events(20):
                if isinstance(event, Started):
                    seen[event.trial] = event.n_parameters
                if isinstance(event, Finished):
                    running.discard(event.trial)
                    engine.submit(make_job(3, epochs=1, sleep_s=60.0))
        assert running == {0, 2}
    assert seen == {0: 4, 1: 7, 2: 4, 3: 7}
