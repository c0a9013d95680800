"""The machine that numbers were measured on, in words."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from fmnist_sweep.runner import n_cores

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
