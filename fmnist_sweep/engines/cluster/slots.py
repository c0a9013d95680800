"""Slots that Ray grants: a CPU, or a GPU or a part of one with a CPU beside it.

A slot is a placement group of one bundle: Ray grants it where there is room, also on nodes that join later,
and grants it elsewhere once its node is gone. What is granted is given back with the connection, however this
process ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_NODE_LABEL: Final = "ray.io/node-id"
"""Ray gives each node this label, with its number."""

_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Slot:
    """Room for one trial.

    Attributes:
        node: The number of its node.
        device: The GPU that Ray has granted with it, by its ``CUDA_VISIBLE_DEVICES`` name; None for a CPU.
    """

    node: str
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The slots that are asked for.

    Attributes:
        n_cpus: Those that are a CPU.
        n_gpus: Those that have a GPU, or a part of one.
        per_gpu: How many of those share a GPU.
        gpu_nodes: Nodes whose CPUs are left alone: trials there train on GPUs.
    """

    n_cpus: int
    n_gpus: int = 0
    per_gpu: int = 1
    gpu_nodes: frozenset[str] = frozenset()


class RaySlots:
    """The slots that this process asks a cluster for.

    Args:
        ray: The module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._cpus: list[Any] = []
        self._gpus: list[Any] = []
        self._avoided: frozenset[str] = frozenset()
        self._share = 1.0
        # By group and node: the call that tells the GPU, and what it told.
        self._calls: dict[tuple[str, str], Any] = {}
        self._devices: dict[tuple[str, str], str] = {}

    def want(self, wanted: Wanted) -> None:
        """Ask for slots; where there are too many, those that wait are given up first."""
        from ray.util.placement_group import placement_group  # noqa: PLC0415 - loaded by now

        avoided = wanted.gpu_nodes
        if avoided or self._avoided or len(self._cpus) > wanted.n_cpus or len(self._gpus) > wanted.n_gpus:
            self._give_up(wanted)
        self._avoided = avoided
        # As finely as Ray divides a GPU, and never more of it than there is.
        self._share = _PARTS // wanted.per_gpu / _PARTS
        elsewhere = [{_NODE_LABEL: f"!in({','.join(sorted(avoided))})"}] if avoided else None
        while len(self._cpus) < wanted.n_cpus:
            self._cpus.append(placement_group([{"CPU": 1}], bundle_label_selector=elsewhere))
        while len(self._gpus) < wanted.n_gpus:
            self._gpus.append(placement_group([{"CPU": 1, "GPU": self._share}]))

    def _give_up(self, wanted: Wanted) -> None:
        """Give back what is too much, and CPUs that lie, or may come to lie, where they are left alone."""
        places, avoided = self._places(), wanted.gpu_nodes
        # What waits was asked for before those nodes were known, if they are others now.
        waits = avoided == self._avoided
        fits = [g for g in self._cpus if _node(g, places) not in avoided and (waits or _node(g, places))]
        for groups, usable, n in ((self._cpus, fits, wanted.n_cpus), (self._gpus, self._gpus, wanted.n_gpus)):
            # Those that wait come last, and are given back first.
            kept = sorted(usable, key=lambda group: not _node(group, places))[:n]
            numbers = set(map(_number, kept))
            for group in groups:
                if _number(group) not in numbers:
                    self._ray.util.remove_placement_group(group)
            groups[:] = kept

    def granted(self) -> list[Slot]:
        """Return the slots that Ray has granted; one with a GPU once it is known which."""
        places = self._places()
        slots = [Slot(places[number]) for number in map(_number, self._cpus) if number in places]
        asked = {}
        for group in self._gpus:
            node = places.get(_number(group))
            if node is not None:
                asked[_number(group), node] = group
        for known in (self._calls, self._devices):
            for key in known.keys() - asked.keys():
                del known[key]
        for key, group in asked.items():
            if key not in self._devices and key not in self._calls:
                self._calls[key] = self._ask_device(group)
        self._devices.update(self._told())
        return [*slots, *(Slot(node, device) for (_, node), device in self._devices.items())]

    def _ask_device(self, group: Any) -> Any:
        """Ask a process inside a group which GPU it was granted, which is the group's for good."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: PLC0415

        ray = self._ray
        # Not one of this package's functions: whether that is installed there, the agent finds out.
        ask = ray.remote(num_cpus=0, num_gpus=self._share, max_retries=0)(lambda: ray.get_gpu_ids())  # noqa: PLW0108
        return ask.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, 0)).remote()

    def _told(self) -> Iterator[tuple[tuple[str, str], str]]:
        for key, call in list(self._calls.items()):
            if self._ray.wait([call], timeout=0)[0]:
                del self._calls[key]
                try:
                    (device,) = self._ray.get(call)
                except self._ray.exceptions.RayError:
                    # Its process was killed, or its node is gone: it is asked again if not.
                    continue
                yield key, str(device)

    def _places(self) -> dict[str, str]:
        from ray.util.placement_group import placement_group_table  # noqa: PLC0415 - loaded by now

        ours = set(map(_number, [*self._cpus, *self._gpus]))
        table: Mapping[str, Any] = placement_group_table()
        return {
            number: facts["bundles_to_node_id"][0]
            for number, facts in table.items()
            if number in ours and facts["state"] == "CREATED"
        }


def _node(group: Any, places: Mapping[str, str]) -> str:
    return places.get(_number(group), "")


def _number(group: Any) -> str:
    number: str = group.id.hex()
    return number
