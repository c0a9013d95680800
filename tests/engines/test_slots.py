"""Slots on the nodes of a cluster, with a Ray that grants what a test says."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fmnist_sweep.engines.cluster.slots import RaySlots, Slot, Wanted


class LostError(Exception):
    """A process is gone."""


class Group:
    """A placement group."""

    def __init__(self, number: str, bundle: dict[str, float], selector: list[dict[str, str]] | None) -> None:
        self.id = SimpleNamespace(hex=lambda: number)
        self.bundle = bundle
        self.selector = selector


class Ray(ModuleType):
    """Groups that were asked for, where they lie, and what their processes say of GPUs."""

    exceptions = SimpleNamespace(RayError=LostError)

    def __init__(self) -> None:
        super().__init__("ray")
        self.util = self
        self.groups: list[Group] = []
        self.places: dict[str, str] = {}
        self.gpus: dict[str, Any] = {}
        self.n_asked = 0

    def placement_group(
        self, bundles: list[dict[str, float]], bundle_label_selector: list[dict[str, str]] | None = None
    ) -> Group:
        """Ask for a group."""
        self.n_asked += 1
        group = Group(f"g{self.n_asked}", bundles[0], bundle_label_selector)
        self.groups.append(group)
        return group

    def remove_placement_group(self, group: Group) -> None:
        """Give one back."""
        self.groups.remove(group)

    def placement_group_table(self) -> dict[str, Any]:
        """Return where groups lie."""
        return {
            number: {"state": "CREATED", "bundles_to_node_id": {0: node}}
            for number, node in self.places.items()
        }

    def PlacementGroupSchedulingStrategy(self, group: Group, index: int) -> Group:  # noqa: N802 - Ray's name
        """Name the group that a process goes into."""
        assert index == 0
        return group

    def remote(self, **_: Any) -> Any:
        """Return what turns a function into one that is called in a group."""
        call = SimpleNamespace(
            options=lambda scheduling_strategy: SimpleNamespace(remote=scheduling_strategy.id.hex)
        )
        return lambda _function: call

    def wait(self, calls: list[str], timeout: float) -> tuple[list[str], list[str]]:
        """Return which calls are done."""
        assert timeout == 0
        return [call for call in calls if call in self.gpus], []

    def get(self, call: str) -> Any:
        """Return what a process said."""
        said = self.gpus[call]
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    """A Ray that grants nothing yet."""
    made = Ray()
    for name in ("ray", "ray.util", "ray.util.placement_group", "ray.util.scheduling_strategies"):
        monkeypatch.setitem(sys.modules, name, made)
    return made


def test_a_slot_with_a_gpu_is_one_once_it_is_known_which(ray: Ray) -> None:
    """It is asked for once, and again where whoever was asked is gone; a part of a GPU is none too many."""
    slots = RaySlots(ray)
    slots.want(Wanted(0, 3, per_gpu=3, gpu_nodes=frozenset("a")))
    assert [group.bundle for group in ray.groups] == [{"CPU": 1, "GPU": 0.3333}] * 3
    ray.places = {"g1": "a", "g2": "a"}
    assert slots.granted() == []
    ray.gpus = {"g1": [7], "g2": LostError()}
    assert slots.granted() == [Slot("a", "7")]
    ray.gpus["g2"] = [7]
    assert slots.granted() == [Slot("a", "7")] * 2
    # On another node it is another one.
    ray.places["g1"] = "b"
    ray.gpus["g1"] = [0]
    assert slots.granted() == [Slot("a", "7"), Slot("b", "0")]


def test_cpus_of_nodes_with_gpus_are_left_alone(ray: Ray) -> None:
    """Also of one that joins: what waits is asked for anew, and what was granted there is given back."""
    slots = RaySlots(ray)
    slots.want(Wanted(3))
    assert [group.selector for group in ray.groups] == [None] * 3
    ray.places = {"g1": "c", "g2": "a"}
    slots.want(Wanted(3, 1, gpu_nodes=frozenset("ab")))
    assert [group.id.hex() for group in ray.groups] == ["g1", "g4", "g5", "g6"]
    assert ray.groups[1].selector == [{"ray.io/node-id": "!in(a,b)"}]
    assert ray.groups[3].bundle == {"CPU": 1, "GPU": 1.0}
    assert slots.granted() == [Slot("c")]
    slots.want(Wanted(3, 1, gpu_nodes=frozenset("ab")))
    assert ray.n_asked == 6


def test_those_that_wait_are_given_up_first(ray: Ray) -> None:
    """And all in the end."""
    slots = RaySlots(ray)
    slots.want(Wanted(3))
    ray.places = {"g3": "c"}
    slots.want(Wanted(1))
    assert [group.id.hex() for group in ray.groups] == ["g3"]
    slots.want(Wanted(0))
    assert ray.groups == []
