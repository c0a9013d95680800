"""The machine that trials run on."""

from __future__ import annotations

from fmnist_sweep.engines import machine


def test_workers_have_limits() -> None:
    """None, and more than four for each core, are refused with what is allowed."""
    most = machine.MAX_WORKERS_PER_CORE * machine.n_cores()
    assert machine.check_workers(1) == machine.check_workers(most) == []
    for wrong in (0, -1, most + 1):
        assert machine.check_workers(wrong) == [
            f"--workers: {wrong} can't be used; from 1 to {most} on this machine, {machine.n_cores()} is best"
        ]
