"""The folder of a study's checkpoints."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.storage.checkpoints import CheckpointFolder

DATA = DataRef("tiny", "0" * 64, (2, 2, 1), ("a", "b"), 100, "/nowhere")
JOB = TrialJob(1, "none:Model", {"units": 3}, epochs=2, seed=0, data=DATA)
LONGER = replace(JOB, trial=7, epochs=5)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Checkpoints of trials 1, 2 and 10, one that was being written, and what is none of them."""
    found = CheckpointFolder(tmp_path)
    for trial in (1, 2, 10):
        found.file(trial).write_bytes(b"x" * 100)
    (tmp_path / ".trial-2.checkpoint-abc.part").write_bytes(b"x" * 50)
    (tmp_path / "lock").touch()
    (tmp_path / "notes about trial-3.checkpoint").touch()
    return found


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def test_leftovers_are_removed_and_nothing_else(folder: CheckpointFolder) -> None:
    """What killed processes left goes; checkpoints of unfinished trials and other files stay."""
    folder.keep({2, 7})
    assert names(folder) == ["lock", "notes about trial-3.checkpoint", "trial-2.checkpoint"]


def test_a_trial_that_ended_has_no_checkpoint(folder: CheckpointFolder) -> None:
    """Half-written ones go too; removing twice, or where there was none, is no mistake."""
    for trial in (1, 1, 2, 99):
        folder.remove(trial)
    assert names(folder) == ["lock", "notes about trial-3.checkpoint", "trial-10.checkpoint"]


def test_size_is_what_the_disk_holds(folder: CheckpointFolder) -> None:
    """Bytes of all checkpoints, half-written ones too."""
    assert folder.size() == 350


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Before the first checkpoint."""
    folder = CheckpointFolder(tmp_path / "none")
    folder.keep(())
    assert folder.size() == 0


def test_a_longer_job_is_given_the_checkpoint_of_a_shorter_one(folder: CheckpointFolder) -> None:
    """Once, whatever the trials' numbers; another configuration or seed is given nothing."""
    folder.finish(JOB)
    assert folder.holds() == "unfinished and finished"
    assert folder.size() == 350
    folder.keep(())
    assert folder.holds() == "finished"
    assert not folder.go_on(replace(LONGER, seed=1))
    assert not folder.go_on(replace(LONGER, hyperparameters={"units": 4}))
    assert folder.go_on(LONGER)
    assert folder.file(7).read_bytes() == b"x" * 100
    assert not folder.go_on(replace(LONGER, trial=8))


def test_a_job_with_a_checkpoint_of_its_own_keeps_it(folder: CheckpointFolder) -> None:
    """A trial that was put back may be further than the one it went on from."""
    folder.file(7).write_bytes(b"further")
    folder.finish(JOB)
    assert not folder.go_on(LONGER)
    assert folder.file(7).read_bytes() == b"further"


def test_finished_checkpoints_have_a_limit(folder: CheckpointFolder) -> None:
    """What was kept first goes first; trials that are unfinished don't count."""
    small = CheckpointFolder(folder.path, max_finished_bytes=250)
    jobs = [replace(JOB, trial=trial, seed=trial) for trial in (1, 2, 10)]
    for job in jobs[:2]:
        small.finish(job)
    for i, path in enumerate(sorted(folder.path.glob("finished-*"), key=lambda p: p.stat().st_mtime_ns)):
        os.utime(path, (i, i))
    small.finish(jobs[2])
    assert [small.go_on(replace(job, trial=50 + job.trial)) for job in jobs] == [False, True, True]


def test_a_job_that_left_no_checkpoint_is_no_mistake(tmp_path: Path) -> None:
    """Its folder may have been read-only."""
    folder = CheckpointFolder(tmp_path / "none")
    folder.finish(JOB)
    assert not folder.go_on(LONGER)
