"""What can happen to a sweep, with real processes and signals; only the training is scripted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults import PHASES, Sweep, compare, drive, family, seconds_until_gone, trainings

from fmnist_sweep.storage.overview import read_overview
from fmnist_sweep.storage.stored import StoredStudy

pytestmark = pytest.mark.slow

DEATHS = [
    # One of them stands for all in the short form.
    pytest.param(how, phase, marks=[] if (how, phase) == ("SIGKILL", "epoch") else pytest.mark.faults)
    for how in ("SIGKILL", "SIGSEGV", "SIGTERM")
    for phase in PHASES
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A study that nothing happened to."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"))
    sweep.finish()
    assert sweep.states() == ["COMPLETE"] * 4
    assert sweep.leftovers() == []
    return sweep


def wait_for(condition: Callable[[], Any], *, within_s: float = 30.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def equal(whole: Sweep, cut: Sweep, *, epochs_repeated: int = 0) -> None:
    """Check that a study has all that an uninterrupted one has, and nothing else."""
    found = compare(whole, cut)
    for name in ("lost", "different", "duplicated", "left_running", "epochs_skipped"):
        assert found[name] == 0, found
    assert found["leftovers"] == []
    assert found["epochs_repeated"] <= epochs_repeated


@pytest.mark.parametrize(("how", "phase"), DEATHS)
def test_a_training_that_dies_goes_on(whole: Sweep, tmp_path: Path, how: str, phase: str) -> None:
    """Whatever killed it, and wherever: the study is as if nothing had happened, but for the retry."""
    cut = Sweep(tmp_path, fault=f"{how}:{phase}")
    said = cut.finish()
    assert f"trial 1: process was killed by {how}" in said
    equal(whole, cut, epochs_repeated=1 if phase in ("epoch", "saving") else 0)
    assert [t.user_attrs.get("n_retries", 0) for t in cut.study().trials] == [0, 1, 0, 0]


@pytest.mark.parametrize("n_deaths", [1, 2])
def test_a_fork_server_that_dies_as_it_loads(
    whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_deaths: int
) -> None:
    """It is started again once; then the run ends with its last words, and the same command goes on."""
    monkeypatch.setenv("FAULT_PRELOAD", "dying_preload")
    monkeypatch.setenv("DEATHS", str(tmp_path / "deaths"))
    monkeypatch.setenv("N_DEATHS", str(n_deaths))
    cut = Sweep(tmp_path)
    said = cut.finish(code=0 if n_deaths == 1 else 2)
    if n_deaths == 2:
        assert "died once more, with exit code 1; its last words:" in said
        assert said.splitlines()[-1] == "  RuntimeError: the library is broken"
        assert "Aborted" not in said
        assert cut.states() == ["WAITING"]
        assert cut.study().user_attrs["owner"] is None
        cut.finish()
    (tmp_path / "deaths").unlink()
    equal(whole, cut)


@pytest.mark.faults
def test_a_fork_server_that_is_killed_in_between_costs_two_retries(whole: Sweep, tmp_path: Path) -> None:
    """Its trainings die with it, and go on in those of another one."""
    cut = Sweep(tmp_path, sleep_s=0.3)
    run = cut.start()
    wait_for(lambda: len(set(cut.begun())) >= 3)
    before = trainings(run)
    psutil.Process(before[0].ppid()).kill()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert seconds_until_gone(before) < 1
    equal(whole, cut, epochs_repeated=2)


@pytest.mark.faults
def test_a_training_that_always_dies_fails(tmp_path: Path) -> None:
    """With the reason; the others complete."""
    cut = Sweep(tmp_path, fault="SIGSEGV:loading")
    cut.finish("--max-retries", "0")
    assert cut.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    attrs = cut.study().trials[1].user_attrs
    assert attrs["fail_reason"] == "process was killed by SIGSEGV"
    assert "Fatal Python error: Segmentation fault" in attrs["fail_detail"]
    assert cut.leftovers() == []


@pytest.mark.faults
def test_a_score_that_is_no_number_fails_the_trial_at_once(tmp_path: Path) -> None:
    """The same job would give it again: it is not tried again."""
    cut = Sweep(tmp_path, fault="nan:epoch")
    cut.finish()
    assert cut.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    attrs = cut.study().trials[1].user_attrs
    assert attrs["fail_reason"] == "train_accuracy is nan after epoch 2: the training diverged"
    assert "n_retries" not in attrs
    assert cut.leftovers() == []


@pytest.mark.faults
def test_a_training_that_finds_no_memory_fails(tmp_path: Path) -> None:
    """An address-space limit ends one trial, with the reason, and not the sweep."""
    cut = Sweep(tmp_path, fault="memory:epoch")
    assert "trial 1 fail: out of memory" in cut.finish()
    assert cut.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    attrs = cut.study().trials[1].user_attrs
    assert attrs["fail_reason"] == "out of memory"
    assert "MemoryError" in attrs["fail_detail"]
    assert len(attrs["curve"]["val_accuracy"]) == 1
    assert "n_retries" not in attrs
    assert cut.leftovers() == []


@pytest.mark.faults
def test_a_checkpoint_that_finds_no_room_costs_the_trial_nothing(whole: Sweep, tmp_path: Path) -> None:
    """The trial goes on without it and says so; what was half written is removed."""
    cut = Sweep(tmp_path, fault="full:saving")
    said = cut.finish()
    assert "trial 1: no checkpoint could be written: File too large; goes on" in said
    equal(whole, cut)


@pytest.mark.faults
def test_a_training_that_hangs_is_ended(tmp_path: Path) -> None:
    """With the time limit as the reason; the others complete."""
    cut = Sweep(tmp_path, fault="hang:epoch")
    cut.finish("--set", "budget.trial_seconds=1.5")
    assert cut.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert cut.study().trials[1].user_attrs["fail_reason"] == "passed the time limit of 1.5 s"
    assert cut.leftovers() == []


@pytest.mark.faults
def test_a_damaged_checkpoint_starts_its_trial_over(whole: Sweep, tmp_path: Path) -> None:
    """It is neither believed nor fatal."""
    cut = Sweep(tmp_path, fault="hang:between")
    run = cut.start()
    file = tmp_path / "studies.db.checkpoints" / "faulty" / "trial-1.checkpoint"
    wait_for((tmp_path / "log.met").exists)
    run.kill()
    run.communicate()
    file.write_bytes(file.read_bytes()[:-40])
    cut = replace(cut, fault="")
    cut.finish()
    # Both of trial 1's, and the one that the other worker was killed in.
    equal(whole, cut, epochs_repeated=3)


def test_a_run_that_was_killed_leaves_nothing_behind(whole: Sweep, tmp_path: Path) -> None:
    """Its trainings end by themselves, and the next run takes up what it left."""
    cut = Sweep(tmp_path, sleep_s=0.3)
    run = cut.start()
    wait_for(lambda: len(set(cut.begun())) >= 3)
    others = family(run)
    assert len(trainings(run)) == 2
    run.kill()
    run.communicate()
    assert seconds_until_gone(others) < 5
    assert "RUNNING" in cut.states()
    assert cut.study().user_attrs["owner"]["pid"] == run.pid
    cut = replace(cut, sleep_s=0.0)
    cut.finish()
    equal(whole, cut, epochs_repeated=2)
    assert cut.study().user_attrs["owner"] is None


def test_trials_that_wait_survive_kills(whole: Sweep, tmp_path: Path) -> None:
    """Killed with some paused and some in training, twice: nothing is lost, and what goes on is the same."""
    promotion = ("--set", "pruner.name=promotion", "--set", "pruner.min_resource=1", "--trials", "8")
    cut = Sweep(tmp_path, sleep_s=0.4)

    def n_paused() -> int:
        return sum(row["paused"] for row in read_overview(cut.url) or ())

    for n in (1, 3):
        run = cut.start(*promotion)
        wait_for(lambda n=n: n_paused() >= n, within_s=90)  # type: ignore[misc]
        run.kill()
        run.communicate()
        assert n_paused() >= n
    cut = replace(cut, sleep_s=0.0)
    cut.finish(*promotion)
    trials = StoredStudy.of(cut.study()).trials
    assert {trial.told_state for trial in trials} == {"COMPLETE", "PAUSED"}
    assert [trial.number for trial in trials] == list(range(8))
    unbroken = {str(trial.params): trial for trial in StoredStudy.of(whole.study()).trials}
    for trial in trials[:4]:
        curve, other = trial.curve, unbroken[str(trial.params)].curve
        assert curve is not None
        assert other is not None
        assert curve.values("val_accuracy").tolist() == other.values("val_accuracy").tolist()[: len(curve)]
    # Of the epochs that were told none is trained again: only those that a kill or a pause cut short.
    assert compare(whole, cut)["most_repeated_by_one_kill"] <= 1
    assert all(name.startswith("studies.db.checkpoints") for name in cut.leftovers())


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ([signal.SIGINT], "Go on with: fmnist-sweep run"),
        pytest.param([signal.SIGTERM], "Go on with: fmnist-sweep run", marks=pytest.mark.faults),
        pytest.param([signal.SIGHUP], "Go on with: fmnist-sweep run", marks=pytest.mark.faults),
        pytest.param([signal.SIGINT, signal.SIGINT], "Stopping", marks=pytest.mark.faults),
    ],
)
def test_a_run_that_is_asked_to_stop(
    whole: Sweep, tmp_path: Path, signals: list[signal.Signals], said: str
) -> None:
    """It puts its trials back, leaves nothing running, and says how to go on; twice is no worse than once."""
    cut = Sweep(tmp_path, sleep_s=0.3)
    run = cut.start()
    wait_for(lambda: len(set(cut.begun())) >= 3)
    others = family(run)
    for number in signals:
        run.send_signal(number)
        time.sleep(0.02)
    _, told = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "Traceback" not in told
    assert said in told
    assert seconds_until_gone(others) < 5
    assert "RUNNING" not in cut.states()
    if signals == [signal.SIGTERM]:
        assert "Checkpoints of unfinished trials take 0.0 MB in" in told
    cut = replace(cut, sleep_s=0.0)
    cut.finish()
    equal(whole, cut, epochs_repeated=2)


@pytest.mark.faults
def test_a_terminal_that_is_closed_ends_the_run_in_order(whole: Sweep, tmp_path: Path) -> None:
    """The hang-up is taken for Ctrl-C, and that nothing can be printed any more does no harm."""
    cut = Sweep(tmp_path, sleep_s=0.3)
    ours, theirs = os.openpty()
    run = cut.start_in(theirs)
    os.close(theirs)
    wait_for(lambda: len(set(cut.begun())) >= 3)
    os.close(ours)
    assert run.wait(20) == 130
    assert "RUNNING" not in cut.states()
    cut = replace(cut, sleep_s=0.0)
    cut.finish()
    equal(whole, cut, epochs_repeated=2)


def test_of_two_runs_that_start_at_once_one_wins(whole: Sweep, tmp_path: Path) -> None:
    """The other names the winner and changes nothing, though neither found a database."""
    cut = Sweep(tmp_path, sleep_s=0.2)
    runs = [cut.start(), cut.start()]
    told = {run.pid: run.communicate(timeout=60)[1] for run in runs}
    assert sorted(run.returncode for run in runs) == [0, 2]
    winner, loser = sorted(runs, key=lambda run: run.returncode)
    assert f"study 'faulty' is being run by process {winner.pid} on " in told[loser.pid]
    equal(whole, cut)


@pytest.mark.faults
def test_two_studies_may_start_at_once_in_one_new_database(tmp_path: Path) -> None:
    """Neither gets in the other's way."""
    cut = Sweep(tmp_path)
    runs: list[subprocess.Popen[str]] = [cut.start(), cut.start("--study", "other")]
    for run in runs:
        _, told = run.communicate(timeout=60)
        assert run.returncode == 0, told
    assert cut.states() == ["COMPLETE"] * 4


@pytest.mark.faults
def test_a_study_that_was_killed_at_random_is_whole(tmp_path: Path) -> None:
    """Nothing lost, doubled or left running, and at most one epoch of a training repeated for each kill."""
    found = drive(tmp_path, kills=8, seed=1)
    assert sum(found["kills"].values()) == 8
    for name in ("lost", "different", "duplicated", "left_running", "epochs_skipped"):
        assert found[name] == 0, found
    assert found["leftovers"] == []
    assert found["most_repeated_by_one_kill"] <= 1
