"""Ray nodes on this machine, each with its own raylet, for a demonstration and for tests.

As a program it starts them, prints a line of JSON with their address and their processes, and stops them
once its standard input is closed: ``python -m benchmarks.local_nodes --nodes 3``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_QUICKLY: Final = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}
"""A node that is killed is missed after some seconds, and not after Ray's fifteen."""


@dataclass(frozen=True)
class LocalNodes:
    """Nodes that run.

    Attributes:
        address: Of the head.
        head: The process that keeps the cluster together.
        raylets: The processes of all nodes, the head's first.
    """

    address: str
    head: int
    raylets: list[int]


@contextmanager
def local_nodes(n: int, *, cpus: int = 1, gpus: int = 0) -> Iterator[LocalNodes]:
    """Start nodes in processes of their own, and stop them in the end.

    Args:
        n: How many, the head among them.
        cpus: Of each, as Ray counts them.
        gpus: Of the second, as Ray counts them; it then has twice as many CPUs as GPUs. There need be none.
    """
    # Ray lets its workers wait for all else that a machine does: beside other work they would starve.
    env = {**os.environ, "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "benchmarks.local_nodes", "--nodes", str(n)]
    command += ["--cpus", str(cpus), "--gpus", str(gpus)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        command, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes to the nodes")
        try:
            line = next((line for line in process.stdout if line.startswith("{")), None)
            if line is None:
                raise RuntimeError("the nodes did not start")
            yield LocalNodes(**json.loads(line))
        finally:
            process.stdin.close()
            process.wait()


def main() -> None:
    """Start nodes, and stop them once nobody needs them."""
    parser = argparse.ArgumentParser(description="Start Ray nodes on this machine.")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0)
    asked = parser.parse_args()
    from ray.cluster_utils import Cluster

    kind = {"num_cpus": asked.cpus, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**kind, "_system_config": _QUICKLY})
    nodes = [cluster.head_node]
    for i in range(1, asked.nodes):
        with_gpus = {"num_cpus": 2 * asked.gpus, "num_gpus": asked.gpus} if i == 1 and asked.gpus else {}
        nodes.append(cluster.add_node(**{**kind, **with_gpus}))
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    head = cluster.head_node.all_processes["gcs_server"][0].process.pid
    print(json.dumps({"address": cluster.address, "head": head, "raylets": raylets}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
