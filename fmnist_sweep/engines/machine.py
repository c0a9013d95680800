"""The machine that trials run on: its cores, how many workers it takes, its devices, and it in words."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

_CPU_INFO: Final = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    told = platform.processor() or platform.machine()
    for line in _CPU_INFO.read_text("utf-8").splitlines() if _CPU_INFO.exists() else ():
        if line.startswith("model name"):
            told = line.partition(":")[2].strip()
            break
    return {
        "cpu": told,
        "n_cores": n_cores(),
        "memory_gb": psutil.virtual_memory().total / 2**30,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def described(facts: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Return a machine and the versions that ran on it in a sentence each, in whatever order those come."""
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"Machine: {facts['cpu']}, {facts['n_cores']} cores, {facts['memory_gb']:.0f} GB, {facts['system']}, "
        f"Python {facts['python']}. Versions: {libraries}."
    )


MAX_WORKERS_PER_CORE: Final = 4


def n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(n_workers: int) -> list[str]:
    """Return what is wrong with a number of workers; one for each core is the default."""
    most = MAX_WORKERS_PER_CORE * n_cores()
    if 1 <= n_workers <= most:
        return []
    return [f"--workers: {n_workers} can't be used; from 1 to {most} on this machine, {n_cores()} is best"]


NO_DEVICE: Final = "-1"
"""The ``CUDA_VISIBLE_DEVICES`` of a process that is to see no accelerator."""


def find_devices() -> tuple[str, ...]:
    """Return the accelerators that this process may use, without loading what would occupy them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip())
    return tuple(str(i) for i in range(len(list(Path("/dev").glob("nvidia[0-9]*")))))
