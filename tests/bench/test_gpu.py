"""Trials side by side on devices, counted without any."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.throughput import QUICK
from benchmarks.workload import Workload


def scripted(name: str, work: Workload) -> dict[str, Any]:
    """Take twice as long with half the workers."""
    assert name == "ours"
    return {"wall_s": 60 * len(work.points) / work.n_workers}


def test_each_number_of_trials_a_device_trains_the_same_blocks() -> None:
    """As many workers as all devices take; a line tells how many times as fast it is."""
    runs = gpu.compare("dense", QUICK, ["0", "1"], run=scripted)
    assert list(runs) == [1, 2, 4]
    assert all([one["n_trials"] for one in found] == [2, 2] for found in runs.values())
    one, two, four = (line.split() for line in gpu.lines("dense", runs))
    assert one[:4] == ["dense", "1", "120", "1"]
    assert two[:4] == ["dense", "2", "240", "2"]
    assert four[:4] == ["dense", "4", "480", "4"]


def test_a_machine_without_a_device_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is trained."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    assert "no device" in capsys.readouterr().err
