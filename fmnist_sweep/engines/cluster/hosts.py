"""The nodes that train: which slots they have, their agents on the way to being ready, and those left out."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.versions import versions
from fmnist_sweep.engines.cluster.agent import AgentSpec, NodeFacts
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.nodes import Link, LinkLostError, Node
from fmnist_sweep.engines.cluster.parcels import Parcel, parcel_of
from fmnist_sweep.engines.cluster.slots import Slot, Wanted

_RESTED_S: Final = 10.0
"""How long a node whose agent was lost for the second time is left alone; longer each time."""

_MAX_STARTS: Final = 3
"""How often in a row an agent is started that does not get ready."""

_NO_MATTER: Final = frozenset({"optuna"})
"""Packages whose versions may differ between machines: what trains does not use them."""


class Cluster(Protocol):
    """What is asked of a cluster; see `RayCluster`."""

    @property
    def is_away(self) -> bool:
        """Whether nothing can be asked just now."""

    def check(self) -> None:
        """Raise `ClusterLostError` where the cluster is gone for good."""

    def nodes(self) -> dict[str, Node]:
        """Return the live nodes by their numbers."""

    def want(self, wanted: Wanted) -> None:
        """Ask for so many slots in all."""

    def granted(self) -> list[Slot]:
        """Return the slots that were granted."""

    def start(self, node: str, name: str, spec: AgentSpec) -> Link:
        """Start an agent."""

    def put(self, parcel: Parcel) -> list[Any]:
        """Put a parcel where nodes can fetch it from."""

    def ready(self, links: Collection[Link], timeout_s: float) -> list[tuple[Link, Any]]:
        """Wait for answers."""

    def drop(self, link: Link) -> None:
        """End an agent."""

    def close(self, links: Collection[Link]) -> None:
        """End the agents, and give everything back."""


@dataclass(slots=True, eq=False)
class Host:
    """A node with its agent.

    Attributes:
        link: The agent.
        state: What it was asked last: ``"facts"``, ``"lacks"``, ``"data"``; ``"events"`` once it is ready.
        gpu: What its trials train on; empty where that is the processor.
        cpu: The node's processor, once it is known.
        trials: What trains there, each in its slot.
        missing: Data sets that it has yet to get.
    """

    link: Link
    gpu: str = ""
    state: str = "facts"
    cpu: str = ""
    trials: dict[int, Slot] = field(default_factory=dict)
    missing: deque[str] = field(default_factory=deque)

    @property
    def is_ready(self) -> bool:
        """Whether it takes jobs."""
        return self.state == "events"


class Hosts:
    """The nodes that Ray has granted slots on, each with an agent.

    Args:
        cluster: Grants the slots.
        spec: How agents are set up; ``slots`` is each node's own number of CPUs.
        data: Folders of data sets on this machine, by their digests.
        most: Slots to ask for, those with GPUs first; None asks for all that there are.
        per_gpu: Slots that share a GPU; 0 makes every CPU a slot, and none with a GPU.

    Attributes:
        n_wanted: Slots that are asked for on nodes that can be used.
    """

    def __init__(
        self, cluster: Cluster, spec: AgentSpec, *, data: Mapping[str, str], most: int | None, per_gpu: int
    ) -> None:
        self._cluster = cluster
        self._spec = spec
        self._data = data
        self._most = most
        self._hosts: list[Host] = []
        self._per_gpu = per_gpu
        # What was granted, by node: looked at with each trial that is placed, on however many nodes.
        self._granted: dict[str, Counter[Slot]] = {}
        self.n_wanted = 0
        # Of nodes, by number: how often their agents were lost, and how often in a row before they were
        # ready; until when they are left alone.
        self._n_lost: Counter[str] = Counter()
        self._n_not_ready: Counter[str] = Counter()
        self._rest_until: dict[str, float] = {}
        self._left_out: dict[str, tuple[str, str]] = {}
        self._parcels: dict[str, Parcel] | None = None
        self._refs: dict[str, list[Any]] = {}

    @property
    def n_slots(self) -> int:
        """Slots on nodes that are ready."""
        return sum(self._granted_at(host).total() for host in self._hosts if host.is_ready)

    @property
    def n_starting(self) -> int:
        """Nodes that are not ready yet."""
        return sum(not host.is_ready for host in self._hosts)

    @property
    def processors(self) -> list[str]:
        """The different processors and GPUs that trials train on."""
        return sorted({host.gpu or host.cpu for host in self._hosts if host.cpu})

    @property
    def left_out(self) -> list[str]:
        """Nodes that can't be used, and why, a line each."""
        return [f"node {name} is left out: {why}" for name, why in self._left_out.values()]

    def room(self) -> tuple[Host, Slot] | None:
        """Return a free slot and its node: one with a GPU first, where most is free; None where none is."""
        free = [(host, Counter(self._free(host))) for host in self._hosts if host.is_ready]
        slots = [(host, slot, n, counts.total()) for host, counts in free for slot, n in counts.items()]
        # Of slots that share a GPU, one on the GPU that has most room.
        best = max(slots, key=lambda found: (found[1].device is not None, found[3], found[2]), default=None)
        return None if best is None else best[:2]

    def _free(self, host: Host) -> Counter[Slot]:
        # Less than none, where what was granted was taken back, counts as none.
        return self._granted_at(host) - Counter(host.trials.values())

    def _granted_at(self, host: Host) -> Counter[Slot]:
        return self._granted.get(host.link.node, Counter())

    def take_stock(self) -> None:
        """Look which slots there are now, and start agents where there are new ones.

        Raises:
            EngineError: No node that has slots can be used.
        """
        now = time.monotonic()
        nodes = self._cluster.nodes()
        usable = {number: node for number, node in nodes.items() if number not in self._left_out}
        self._cluster.want(self._wanted(nodes, usable))
        self._granted = {}
        for slot, n in Counter(self._cluster.granted()).items():
            self._granted.setdefault(slot.node, Counter())[slot] = n
        hosted = {host.link.node for host in self._hosts}
        for number in self._granted.keys() - hosted - self._left_out.keys():
            if number in nodes and now >= self._rest_until.get(number, 0.0):
                self._start(number, nodes[number])
        if self._granted and not any(node.n_cpus for node in usable.values()):
            raise EngineError("\n".join(["no node of the cluster can be used:", *self.left_out]))

    def _wanted(self, nodes: Mapping[str, Node], usable: Mapping[str, Node]) -> Wanted:
        """Return the slots to ask for: those with GPUs, and CPUs of nodes without any."""
        gpu_nodes = frozenset(number for number, node in nodes.items() if self._trains_on_gpus(node))
        n_gpus = sum(
            min(node.n_cpus, node.n_gpus * self._per_gpu)
            for number, node in usable.items()
            if number in gpu_nodes
        )
        n_cpus = sum(node.n_cpus for number, node in usable.items() if number not in gpu_nodes)
        if self._most is not None:
            # Trials may be training on the CPUs that there were before a node with GPUs joined.
            had = self._n_granted(usable, on_gpus=False)
            n_gpus = min(n_gpus, max(0, self._most - had))
            n_cpus = self._most - n_gpus
        self.n_wanted = n_gpus + n_cpus
        # What is granted where nothing can train is kept: given back, it would be granted there again.
        n_cpus += self._n_granted(self._left_out, on_gpus=False)
        n_gpus += self._n_granted(self._left_out, on_gpus=True)
        return Wanted(n_cpus, n_gpus, max(1, self._per_gpu), gpu_nodes)

    def _n_granted(self, nodes: Collection[str], *, on_gpus: bool) -> int:
        """Return how many slots were granted on some nodes: those with a GPU, or those without."""
        slots = (self._granted[number] for number in nodes if number in self._granted)
        return sum(n for found in slots for slot, n in found.items() if (slot.device is not None) == on_gpus)

    def _trains_on_gpus(self, node: Node) -> bool:
        return self._per_gpu > 0 and node.n_gpus > 0

    def _start(self, number: str, node: Node) -> None:
        link = self._cluster.start(number, node.name, replace(self._spec, slots=max(1, node.n_cpus)))
        host = Host(link, f"GPU {node.gpu}".rstrip() if self._trains_on_gpus(node) else "")
        host.link.ask_facts()
        self._hosts.append(host)

    def listen(self, timeout_s: float) -> list[tuple[Host, list[Message] | LinkLostError]]:
        """Wait for what nodes have to say, and return what comes from trials.

        Args:
            timeout_s: Longest wait.

        Returns:
            With each node its messages; or the error, of one that is gone and that no job may be given to.
        """
        by_link = {id(host.link): host for host in self._hosts}
        found: list[tuple[Host, list[Message] | LinkLostError]] = []
        for link, answer in self._cluster.ready([host.link for host in self._hosts], timeout_s):
            host = by_link[id(link)]
            if isinstance(answer, LinkLostError):
                self._lose(host, str(answer))
                found.append((host, answer))
            elif host.is_ready:
                link.ask_events()
                found.append((host, answer))
            else:
                self._prepare(host, answer)
        return found

    def _prepare(self, host: Host, answer: Any) -> None:
        """Take a node a step further on its way to being ready."""
        if host.state == "facts":
            facts: NodeFacts = answer
            host.cpu = facts.cpu
            why = _unlike(facts.versions, versions()) or facts.trouble
            if why:
                self._left_out[host.link.node] = (host.link.name, why)
                self._remove(host)
                return
            host.state = "lacks"
            host.link.ask_lacking(list(self._parcels_here().values()))
            return
        if host.state == "lacks":
            host.missing.extend(answer)
            host.state = "data"
        if not host.missing:
            host.state = "events"
            del self._n_not_ready[host.link.node]
            host.link.ask_events()
            return
        parcel = self._parcels_here()[host.missing.popleft()]
        if parcel.key not in self._refs:
            self._refs[parcel.key] = self._cluster.put(parcel)
        host.link.send(parcel, self._refs[parcel.key])

    def _parcels_here(self) -> dict[str, Parcel]:
        if self._parcels is None:
            there = {key: Path(folder) for key, folder in self._data.items() if Path(folder).is_dir()}
            self._parcels = {key: parcel_of(folder, key=key) for key, folder in there.items()}
        return self._parcels

    def _lose(self, host: Host, why: str) -> None:
        number = host.link.node
        self._remove(host)
        self._n_lost[number] += 1
        n = self._n_lost[number]
        self._rest_until[number] = time.monotonic() + _RESTED_S * (2 ** min(n - 1, 6) - 1)
        if not host.is_ready:
            self._n_not_ready[number] += 1
            if self._n_not_ready[number] >= _MAX_STARTS:
                self._left_out[number] = (host.link.name, why)

    def _remove(self, host: Host) -> None:
        self._cluster.drop(host.link)
        self._hosts.remove(host)

    def close(self) -> None:
        """End all agents and leave the cluster."""
        links = [host.link for host in self._hosts]
        self._hosts.clear()
        self._refs.clear()
        self._cluster.close(links)


def _unlike(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return in words which versions differ that decide results; empty where none does."""
    differing = [
        f"{name} {there.get(name, 'missing')} there, {version} here"
        for name, version in here.items()
        if name not in _NO_MATTER and there.get(name) != version
    ]
    return ", ".join(differing)
