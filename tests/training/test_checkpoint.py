"""Checkpoint files: whole or passed over."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob, job_identity
from fmnist_sweep.training.checkpoint import Array, Checkpoint, CheckpointFile

NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")
JOB = TrialJob(7, "none:Model", {"units": 3, "dropout": 0.5}, epochs=3, seed=5, data=NOWHERE)
CURVE = LearningCurve.from_scores(train=[0.1, 1 / 3], val=[0.1, 0.25]).epochs
ARRAYS: tuple[Array, ...] = (
    np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    np.array(41, dtype=np.int64),
    np.array([1, 2**32 - 1], dtype=np.uint32),
    np.zeros((0, 4), dtype=np.float16),
)

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from fmnist_sweep.training.checkpoint import Checkpoint, CheckpointFile
file = CheckpointFile(Path(sys.argv[1]), "one")
saved = [file.save(Checkpoint((), (np.zeros(10),)))]
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
saved.append(file.save(Checkpoint((), (np.ones(10_000),))))
print(saved, file.load([np.zeros(10)]) is not None)
"""


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    """A checkpoint in a folder that does not exist yet."""
    return CheckpointFile(tmp_path / "folder" / "trial-7.checkpoint", "one")


def test_what_was_saved_is_loaded_bit_for_bit(file: CheckpointFile) -> None:
    """Every array with its type and shape, the curve with its times."""
    epochs = tuple(replace(scores, seconds=0.1 + 0.2) for scores in CURVE)
    assert file.save(Checkpoint(epochs, ARRAYS)) is None
    found = file.load(ARRAYS)
    assert found is not None
    assert found.epochs == epochs
    for ours, before in zip(found.arrays, ARRAYS, strict=True):
        assert (ours.dtype, ours.shape) == (before.dtype, before.shape)
        assert ours.tobytes() == before.tobytes()


def test_the_last_one_counts(file: CheckpointFile, tmp_path: Path) -> None:
    """A later save replaces the file and leaves no other behind."""
    file.save(Checkpoint(CURVE[:1], ARRAYS))
    file.save(Checkpoint(CURVE, ARRAYS))
    found = file.load(ARRAYS)
    assert found is not None
    assert len(found.epochs) == 2
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["trial-7.checkpoint"]


def test_metrics_and_running_means_come_back_by_their_names(file: CheckpointFile) -> None:
    """Whatever was measured."""
    epochs = (EpochScores(0, {"mae": 1 / 3}, {"mae": 0.5}, 0.1 + 0.2, {"mae": 0.4}),)
    file.save(Checkpoint(epochs, ARRAYS))
    found = file.load(ARRAYS)
    assert found is not None
    assert found.epochs == epochs


def as_first_written(rows: list[list[float | None]]) -> bytes:
    """The file of one array, as it was when a checkpoint listed scores without their names."""
    header = json.dumps({"identity": "one", "epochs": rows, "arrays": [["uint8", [2]]]}).encode()
    whole = b"fmnist-sweep checkpoint 1\n" + len(header).to_bytes(8, "little") + header + b"\x03\x05"
    return whole + hashlib.sha256(whole).digest()


def test_a_checkpoint_of_the_first_form_is_gone_on_from(tmp_path: Path) -> None:
    """A trial that was killed before an update loses nothing, with running means and without."""
    path = tmp_path / "checkpoint"
    path.write_bytes(
        as_first_written([[0, 0.5, 1.0, 0.25, 2.0, 3.5, None], [1, 0.6, 0.9, 0.3, 1.9, 3.6, 0.55]])
    )
    found = CheckpointFile(path, "one").load([np.zeros(2, np.uint8)])
    assert found is not None
    assert found.arrays[0].tolist() == [3, 5]
    assert found.epochs == (
        EpochScores.of_classes(0, 0.5, 1.0, 0.25, 2.0, 3.5),
        replace(EpochScores.of_classes(1, 0.6, 0.9, 0.3, 1.9, 3.6), running={"accuracy": 0.55}),
    )


def test_what_knows_the_first_form_alone_passes_ours_over(content: bytes) -> None:
    """It looks at the first line; the identity of a job is the same in both forms."""
    assert content.startswith(b"fmnist-sweep checkpoint 2\n")


def test_nothing_stored_is_no_news(file: CheckpointFile, caplog: pytest.LogCaptureFixture) -> None:
    """A job that starts for the first time loads nothing and logs nothing."""
    assert file.load(ARRAYS) is None
    assert caplog.records == []


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole checkpoint's bytes."""
    path = tmp_path_factory.mktemp("content") / "checkpoint"
    CheckpointFile(path, "one").save(Checkpoint(CURVE, ARRAYS))
    return path.read_bytes()


@given(data=st.data())
def test_any_damage_is_noticed(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut off anywhere, or with any bit flipped, a checkpoint is passed over without an error."""
    path = tmp_path_factory.mktemp("damaged") / "checkpoint"
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(content[:at])
    else:
        flipped = content[at] ^ (1 << data.draw(st.integers(0, 7)))
        path.write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
    assert CheckpointFile(path, "one").load(ARRAYS) is None


@pytest.mark.parametrize(
    ("identity", "like", "why"),
    [
        ("two", ARRAYS, "another job or other software wrote it"),
        ("one", ARRAYS[:-1], "the model has other variables"),
        ("one", (ARRAYS[0].astype(np.float64), *ARRAYS[1:]), "the model has other variables"),
        ("one", (ARRAYS[0].T, *ARRAYS[1:]), "the model has other variables"),
    ],
)
def test_what_another_wrote_is_passed_over(
    *,
    file: CheckpointFile,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    identity: str,
    like: Any,
    why: str,
) -> None:
    """Another job's, another version's or another model's state is never loaded, and the log says so."""
    file.save(Checkpoint(CURVE, ARRAYS))
    with caplog.at_level(logging.WARNING):
        assert CheckpointFile(tmp_path / "folder" / "trial-7.checkpoint", identity).load(like) is None
    assert why in caplog.text


def test_what_can_not_be_read_is_passed_over(file: CheckpointFile, tmp_path: Path) -> None:
    """Something else in the file's place is no reason to fail."""
    (tmp_path / "folder" / "trial-7.checkpoint").mkdir(parents=True)
    assert file.load(ARRAYS) is None
    assert file.save(Checkpoint(CURVE, ARRAYS)) == "Is a directory"


def test_a_full_disk_costs_the_checkpoint_alone(tmp_path: Path) -> None:
    """No error, no half file: a reason, and the checkpoint before it stays."""
    path = tmp_path / "checkpoint"
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert done.stdout == "[None, 'File too large'] True\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, model="none:Other"),
        replace(JOB, hyperparameters={"units": 4, "dropout": 0.5}),
        replace(JOB, seed=6),
        replace(JOB, data=replace(NOWHERE, digest="1" * 64)),
        replace(JOB, split=SplitSpec(seed=1)),
        replace(JOB, n_probe=5),
        replace(JOB, batch_size=64),
        replace(JOB, running_metrics=True),
        replace(JOB, exact_steps=True),
        replace(JOB, model_source="12ab"),
    ],
)
def test_what_decides_an_epoch_decides_the_identity(other: TrialJob) -> None:
    """A checkpoint is for one job, on one set of libraries."""
    assert job_identity(JOB, software=["a 1"]) != job_identity(other, software=["a 1"])
    assert job_identity(JOB, software=["a 1"]) != job_identity(JOB, software=["a 2"])


def test_where_things_are_does_not_matter() -> None:
    """The trial's number, the folder of the data, that of the checkpoint, and how many epochs follow."""
    elsewhere = replace(NOWHERE, directory="/elsewhere")
    moved = replace(JOB, trial=8, checkpoint="/elsewhere", data=elsewhere, epochs=4)
    assert job_identity(JOB, software=[]) == job_identity(moved, software=[])
