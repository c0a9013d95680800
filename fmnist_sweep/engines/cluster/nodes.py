"""Ray as the engine sees it: a connection, slots that Ray grants, and an agent on each node that has some.

Beside `connection` and `slots`, no other module knows Ray.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from fmnist_sweep.core.errors import ClusterLostError
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.engines.cluster.agent import Agent, AgentSpec, NodeFacts
from fmnist_sweep.engines.cluster.connection import (
    AUTO,
    CLIENT,
    answers,
    connect,
    disconnect,
    in_short,
)
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.parcels import Parcel, pieces
from fmnist_sweep.engines.cluster.slots import RaySlots, Slot, Wanted

_LOST_AFTER_S: Final = 20.0
"""How long the head may be away. Ray itself ends this process after a minute."""

_CLOSE_S: Final = 5.0
"""How long agents may take to remove what they wrote."""

_POLL_S: Final = 5.0
"""How long an agent lets a call wait that asks for events."""

_WATCH_S: Final = 1.0
"""How often an agent looks whether its node is one of the cluster still."""

_THREADS: Final = 4
"""Calls of an agent side by side: one waits for events, the others obey."""

_GPU_KIND: Final = "accelerator_type:"
"""Begins the name of a resource by which Ray tells what GPUs a node has."""


@dataclass(slots=True)
class Link:
    """An agent on a node, and the one call of it that is waited for.

    Attributes:
        node: The node's number in the cluster.
        name: What a message calls the node.
        actor: Ray's handle.
        call: The call that is waited for.
        n_commands: How many were given: Ray keeps no order among them.
    """

    node: str
    name: str
    actor: Any
    call: Any = None
    n_commands: int = 0

    def ask_facts(self) -> None:
        """Ask what the node is."""
        self.call = self.actor.facts.remote()

    def ask_lacking(self, parcels: Sequence[Parcel]) -> None:
        """Ask which data sets the node does not have."""
        self.call = self.actor.lacks.remote(tuple(parcels))

    def send(self, parcel: Parcel, refs: Sequence[Any]) -> None:
        """Send a data set."""
        self.call = self.actor.receive.remote(parcel, list(refs))

    def ask_events(self) -> None:
        """Ask for what comes from the trials."""
        self.call = self.actor.events.remote(_POLL_S)

    def submit(
        self,
        job: TrialJob,
        checkpoint: bytes | None,
        code: tuple[Parcel, Sequence[Any]] | None,
        device: str | None,
    ) -> None:
        """Start a job, on a GPU where one is named."""
        sent = None if code is None else (code[0], list(code[1]))
        self.actor.submit.remote(self._turn(), job, checkpoint, sent, device)

    def cancel(self, trial: int) -> None:
        """Ask for the end of a job."""
        self.actor.cancel.remote(self._turn(), trial)

    def _turn(self) -> int:
        self.n_commands += 1
        return self.n_commands - 1


@dataclass(slots=True)
class Node:
    """A live node: its name for messages, its CPUs, its GPUs, and what kind of GPU those are."""

    name: str
    n_cpus: int
    n_gpus: int = 0
    gpu: str = ""


class LinkLostError(Exception):
    """An agent is gone, or can't be reached; the text says why."""


class RayActor:
    """The agent as Ray hosts it: what is large comes as references, and is fetched piece by piece."""

    def __init__(self, spec: AgentSpec) -> None:
        self._agent = Agent(spec)
        threading.Thread(target=self._end_with_node, args=(os.getppid(),), daemon=True).start()

    def _end_with_node(self, raylet: int) -> None:
        """End once the raylet that has started this process is gone: Ray lets a busy actor live on."""
        while os.getppid() == raylet:
            time.sleep(_WATCH_S)
        self._agent.close()
        os._exit(1)

    def facts(self) -> NodeFacts:
        """As `Agent.facts`."""
        return self._agent.facts()

    def lacks(self, parcels: Sequence[Parcel]) -> list[str]:
        """As `Agent.lacks`."""
        return self._agent.lacks(parcels)

    def receive(self, parcel: Parcel, refs: Sequence[Any]) -> None:
        """As `Agent.receive`."""
        self._agent.receive(parcel, _fetched(refs))

    def submit(
        self,
        turn: int,
        job: TrialJob,
        checkpoint: bytes | None,
        code: tuple[Parcel, Sequence[Any]] | None,
        device: str | None,
    ) -> None:
        """As `Agent.submit`."""
        sent = None if code is None else (code[0], lambda: _fetched(code[1]))
        self._agent.submit(turn, job, checkpoint, sent, device)

    def cancel(self, turn: int, trial: int) -> None:
        """As `Agent.cancel`."""
        self._agent.cancel(turn, trial)

    def events(self, timeout_s: float) -> list[Message]:
        """As `Agent.events`."""
        return self._agent.events(timeout_s)

    def close(self) -> None:
        """As `Agent.close`."""
        self._agent.close()


def _fetched(refs: Iterable[Any]) -> Iterator[bytes]:
    import ray  # noqa: PLC0415 - on the node, where it is loaded already

    for ref in refs:
        yield ray.get(ref)


@dataclass
class RayCluster:
    """A connection to a cluster.

    Args:
        address: As `connect` takes it.

    Raises:
        ConfigError: As `connect`.
    """

    address: str = AUTO
    _slots: RaySlots = field(init=False)
    _away_since: float | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        connect(self.address)
        import ray  # noqa: PLC0415 - loaded by now

        self._ray = ray
        self._slots = RaySlots(ray)

    def check(self) -> None:
        """Raise `ClusterLostError` once the head has been away for too long; called every second or so."""
        if self._is_there():
            self._away_since = None
            return
        now = time.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= _LOST_AFTER_S:
            raise ClusterLostError(
                f"the head of the Ray cluster at {self.address} does not answer any more; nothing is lost: "
                "once a cluster runs, the same command goes on"
            )

    @property
    def is_away(self) -> bool:
        """Whether the head did not answer when it was last looked for: nothing can be asked of it now."""
        return self._away_since is not None

    def _is_there(self) -> bool:
        if self.address.startswith(CLIENT):
            return bool(self._ray.is_initialized())
        address = self._ray.get_runtime_context().gcs_address
        return answers(address)

    def nodes(self) -> dict[str, Node]:
        """Return the live nodes by their numbers."""
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        n_at = Counter(node["NodeManagerAddress"] for node in alive)
        found = {}
        for node in alive:
            number, address = node["NodeID"], node["NodeManagerAddress"]
            # Several on one machine are told apart.
            name = address if n_at[address] == 1 else f"{address}/{number[:6]}"
            has = node["Resources"]
            kinds = [kind.removeprefix(_GPU_KIND) for kind in has if kind.startswith(_GPU_KIND)]
            found[number] = Node(name, int(has.get("CPU", 0)), int(has.get("GPU", 0)), "".join(kinds))
        return found

    def want(self, wanted: Wanted) -> None:
        """As `RaySlots.want`."""
        self._slots.want(wanted)

    def granted(self) -> list[Slot]:
        """As `RaySlots.granted`."""
        return self._slots.granted()

    def start(self, node: str, name: str, spec: AgentSpec) -> Link:
        """Start an agent on a node; it may take a while, and `ready` tells where it fails."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

        # CPUs and GPUs are the slots': the agent computes next to nothing.
        remote = self._ray.remote(num_cpus=0, max_restarts=0, max_concurrency=_THREADS)(RayActor)
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        return Link(node, name, remote.options(scheduling_strategy=there).remote(spec))

    def put(self, parcel: Parcel) -> list[Any]:
        """Put a parcel where nodes can fetch it from."""
        return [self._ray.put(piece) for piece in pieces(parcel)]

    def ready(self, links: Collection[Link], timeout_s: float) -> list[tuple[Link, Any]]:
        """Wait for the first answers, and return them with whom they are from.

        Args:
            links: Those that were asked something.
            timeout_s: Longest wait.

        Returns:
            A `LinkLostError` for those that are gone, the answer for the others.
        """
        calls = {link.call: link for link in links}
        if not calls:
            time.sleep(min(timeout_s, 0.1))
            return []
        done, _ = self._ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        if done and len(calls) > 1:
            # Those that have answered as well.
            done, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [(calls[call], self._answer(call)) for call in done]

    def _answer(self, call: Any) -> Any:
        try:
            return self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            # Of the agent itself: its trials report what is theirs as events.
            return LinkLostError(one_line(error.cause if error.cause is not None else error))
        except self._ray.exceptions.RayError as error:
            return LinkLostError(in_short(error))

    def drop(self, link: Link) -> None:
        """Make sure that an agent is gone, with all that runs there."""
        with suppress(Exception):
            self._ray.kill(link.actor, no_restart=True)

    def close(self, links: Collection[Link]) -> None:
        """End agents, give everything back, and leave the cluster if this process was not in it before."""
        if self._closed:
            return
        self._closed = True
        if not self.is_away:
            calls = [link.actor.close.remote() for link in links]
            if calls:
                self._ray.wait(calls, num_returns=len(calls), timeout=_CLOSE_S)
            for link in links:
                self.drop(link)
            self.want(Wanted(0))
        # Also from a head that is gone, which takes five seconds: left to its end, Ray would end in a crash.
        disconnect()
