"""A sweep on three nodes of this machine, one of which is killed in the middle: ``make cluster-demo``.

It starts a head and two more Ray nodes, each with one CPU, runs the command that anybody would type, kills
the last node once trials train on it, shows that the sweep goes on to its end, and stops the nodes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.local_nodes import LocalNodes, local_nodes

_N_NODES = 3
_EPOCHS_BEFORE = 4
"""Epochs of all trials together before a node is killed."""


def main() -> int:
    """Run the demonstration, and return the exit code of the sweep."""
    print(f"Starting a head and {_N_NODES - 1} more nodes on this machine ...", flush=True)
    with local_nodes(_N_NODES) as nodes, tempfile.TemporaryDirectory() as folder:
        print(f"They answer at {nodes.address}.", flush=True)
        code = _sweep(nodes, Path(folder, "studies.db"))
        print("Stopping the nodes ...", flush=True)
    print("Done." if code == 0 else f"The sweep ended with exit code {code}.")
    return code


def _sweep(nodes: LocalNodes, storage: Path) -> int:
    options = ["run", "dense", "--study", "demo", "--trials", "6", "--storage", f"sqlite:///{storage}"]
    small = ["--set", "space.epochs=4", "--set", "training.train_size=10000"]
    cluster = ["--engine", "ray", "--address", nodes.address]
    print(f"$ fmnist-sweep {' '.join([*options, *small, *cluster])}", flush=True)
    command = [sys.executable, "-m", "fmnist_sweep", *options, *small, *cluster, "--json-events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        _tell(map(json.loads, process.stdout or ()), nodes.raylets[-1])
    return process.returncode


def _tell(events: Iterable[dict[str, Any]], victim: int) -> None:
    n_epochs, killed = 0, False
    for event in events:
        kind = event["event"]
        if kind == "note":
            print(event["message"], flush=True)
        elif kind == "trial_end":
            score = "" if event["score"] is None else f", score {event['score']:.4f}"
            print(
                f"trial {event['trial']}: {event['state'].lower()}{score} {event['reason'] or ''}", flush=True
            )
        elif kind == "error":
            print(event["message"], flush=True)
        elif kind == "end":
            print(f"{event['n_complete']} complete, {event['n_pruned']} pruned, {event['n_failed']} failed.")
        n_epochs += kind == "epoch"
        if n_epochs >= _EPOCHS_BEFORE and not killed:
            killed = True
            print("Now a node is killed (SIGKILL).", flush=True)
            os.kill(victim, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
