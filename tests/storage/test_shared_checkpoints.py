"""Checkpoints of a study in a folder that nodes share, as the parent sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.storage.opening import shared_name
from fmnist_sweep.storage.shared_checkpoints import SharedCheckpoints

DATA = DataRef("tiny", "0" * 64, (2, 2, 1), ("a", "b"), 100, "/nowhere")
JOB = TrialJob(1, "none:Model", {"units": 3}, epochs=2, seed=0, data=DATA)
LONGER = replace(JOB, trial=7, epochs=5)


@pytest.fixture
def shared(tmp_path: Path) -> SharedFolder:
    """Checkpoints of trials 1, 2 and 10, weights of 2, what was being written, and what is none of them."""
    folder = SharedFolder(f"file://{tmp_path}/shared")
    for name in (*(f"trial-{n}.checkpoint" for n in (1, 2, 10)), "trial-2.npz", "notes"):
        folder.write(name, b"x" * 100)
    folder.write(".trial-2.checkpoint-abc.part", b"x" * 50)
    return folder


@pytest.fixture
def checkpoints(shared: SharedFolder, tmp_path: Path) -> SharedCheckpoints:
    """The same, and one of trial 1 on this machine."""
    found = SharedCheckpoints(shared, tmp_path / "here")
    found.path.mkdir()
    found.file(1).write_bytes(b"y" * 10)
    return found


def names(checkpoints: SharedCheckpoints, shared: SharedFolder) -> set[str]:
    checkpoints.size()
    return set(shared.sizes())


def test_leftovers_are_removed_and_nothing_else(checkpoints: SharedCheckpoints, shared: SharedFolder) -> None:
    """What killed processes left goes, on this machine too; unfinished trials keep theirs."""
    assert checkpoints.size() == 460
    checkpoints.keep({2, 7})
    assert checkpoints.size() == 200
    assert names(checkpoints, shared) == {"notes", "trial-2.checkpoint", "trial-2.npz"}
    assert not checkpoints.file(1).exists()
    assert checkpoints.holds() == "unfinished"


def test_a_trial_that_ended_has_no_checkpoint(checkpoints: SharedCheckpoints, shared: SharedFolder) -> None:
    """And no weights beside it; removing twice, or where there was none, is no mistake."""
    for trial in (1, 1, 2, 99):
        checkpoints.remove(trial)
    assert {name for name in names(checkpoints, shared) if not name.startswith(".")} == {
        "notes",
        "trial-10.checkpoint",
    }
    assert not checkpoints.file(1).exists()


def test_a_longer_job_is_given_the_checkpoint_of_a_shorter_one(
    checkpoints: SharedCheckpoints, shared: SharedFolder, tmp_path: Path
) -> None:
    """Also by another run; it is given once, and a job that has one of its own keeps that."""
    checkpoints.finish(JOB)
    checkpoints.remove(JOB.trial)
    assert checkpoints.holds() == "unfinished and finished"
    other = SharedCheckpoints(shared, tmp_path / "elsewhere")
    assert not other.go_on(replace(LONGER, trial=10))
    assert other.go_on(LONGER)
    assert not other.go_on(replace(LONGER, trial=8))
    assert shared.read("trial-7.checkpoint") == b"x" * 100
    assert not other.go_on(replace(LONGER, hyperparameters={"units": 4}))


def test_those_of_finished_trials_take_no_more_than_they_may(shared: SharedFolder, tmp_path: Path) -> None:
    """Those that were kept first go first."""
    checkpoints = SharedCheckpoints(shared, tmp_path / "here", max_finished_bytes=150)
    checkpoints.finish(JOB)
    checkpoints.finish(replace(JOB, trial=2, seed=1))
    assert not checkpoints.go_on(LONGER)
    assert checkpoints.go_on(replace(LONGER, seed=1))


def test_what_is_only_on_this_machine_is_gone_on_from(checkpoints: SharedCheckpoints) -> None:
    """A study may have been begun without the shared folder."""
    job = replace(JOB, trial=3)
    checkpoints.file(3).write_bytes(b"z")
    super(SharedCheckpoints, checkpoints).finish(job)
    assert checkpoints.go_on(LONGER)
    assert checkpoints.file(7).read_bytes() == b"z"


def test_a_folder_that_is_lost_costs_checkpoints_alone(tmp_path: Path) -> None:
    """The search goes on."""
    (tmp_path / "file").touch()
    checkpoints = SharedCheckpoints(SharedFolder(f"file://{tmp_path}/file/inside"), tmp_path / "here")
    checkpoints.keep(())
    checkpoints.finish(JOB)
    checkpoints.remove(1)
    assert checkpoints.size() == 0
    assert not checkpoints.go_on(LONGER)


def test_a_store_that_fails_is_not_asked_for_each_file(
    checkpoints: SharedCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a run would wait for all of them; the next run removes what is left."""
    asked: list[str] = []

    def fails(_: SharedFolder, name: str) -> None:
        asked.append(name)
        raise OSError("no answer")

    monkeypatch.setattr(SharedFolder, "remove", fails)
    for trial in range(100):
        checkpoints.remove(trial)
    assert checkpoints.size() > 0
    assert asked == ["trial-0.checkpoint"]


def test_studies_of_different_storages_have_their_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One storage has one, however its address is written."""
    monkeypatch.chdir(tmp_path)
    here = shared_name("sqlite:///studies.db", "my study")
    assert here == shared_name(f"sqlite:///{tmp_path}/studies.db", "my study")
    assert here.endswith("/my study")
    assert here != shared_name("sqlite:///other.db", "my study")
    server = "postgresql+psycopg://me:{}@host/studies"
    assert shared_name(server.format("a"), "x") == shared_name(server.format("b"), "x")
