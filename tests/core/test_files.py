"""Files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import new_file, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from fmnist_sweep.core.files import new_file
with new_file(Path(sys.argv[1])) as stream:
    stream.write(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_writing(tmp_path: Path) -> None:
    """Of that file alone, and not what somebody else called so."""
    path = tmp_path / "dense.jsonl"
    left = tmp_path / ".dense.jsonl-a1b2c3d_.part"
    others = {tmp_path / ".dense.jsonl-confirm-a1b2c3d_.part", tmp_path / ".dense.jsonl-mine.part"}
    for one in (left, *others):
        one.touch()
    with new_file(path) as stream:
        stream.write(b"all of it")
    assert {*tmp_path.iterdir()} == {path, *others}
    assert path.read_bytes() == b"all of it"


def test_two_that_write_a_file_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    """What a living process writes is locked; who ends last has the name."""
    path = tmp_path / "dense.jsonl"
    with new_file(path) as first:
        with new_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
        first.write(b"first")
    assert path.read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.slow
def test_the_lock_of_a_part_ends_with_its_process(tmp_path: Path) -> None:
    """Killed by SIGKILL, it leaves a part that anybody can lock."""
    path = tmp_path / "dense.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, env=environment)
    (left,) = tmp_path.iterdir()
    with left.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with new_file(path) as stream:
        stream.write(b"all of it")
    assert [*tmp_path.iterdir()] == [path]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """A pipe here; a device, such as /dev/null, would be gone for all programs of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match=r"pipe can't be written: it is no file that could be replaced"):
        write_atomically(pipe, "text")
    assert pipe.is_fifo()
