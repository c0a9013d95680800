"""The folder of a study's checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.checkpoints import CheckpointFolder


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
