"""A cluster in this process: nodes whose agents are real, and that can be lost, without Ray."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.files import write_atomically
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.kept import write_kept
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.versions import versions
from fmnist_sweep.engines.cluster.agent import Agent, AgentSpec, NodeFacts
from fmnist_sweep.engines.cluster.engine import ClusterEngine
from fmnist_sweep.engines.cluster.hosts import Cluster
from fmnist_sweep.engines.cluster.nodes import Link, LinkLostError, Node
from fmnist_sweep.engines.cluster.parcels import Parcel, pieces
from fmnist_sweep.engines.cluster.slots import Slot, Wanted
from fmnist_sweep.training.testing import scripted_curve

SCRIPTED = "fmnist_sweep.training.testing:ScriptedTrainer"


class FakeLink(Link):
    """Calls an agent of this process from threads, as Ray would from its own."""

    def __init__(self, node: str, name: str, spec: AgentSpec, facts: NodeFacts | None) -> None:
        super().__init__(node, name, None)
        self.agent = Agent(spec)
        self._facts = facts
        self._threads = ThreadPoolExecutor(4)
        self.sent: list[str] = []

    def _ask(self, function: Any, *arguments: Any) -> None:
        self.call = self._threads.submit(function, *arguments)

    @override
    def ask_facts(self) -> None:
        self._ask(lambda: self._facts or self.agent.facts())

    @override
    def ask_lacking(self, parcels: Sequence[Parcel]) -> None:
        self._ask(self.agent.lacks, tuple(parcels))

    @override
    def send(self, parcel: Parcel, refs: Sequence[Any]) -> None:
        self.sent.append(parcel.key)
        self._ask(self.agent.receive, parcel, refs)

    @override
    def ask_events(self) -> None:
        self._ask(self.agent.events, 0.5)

    @override
    def submit(
        self,
        job: TrialJob,
        checkpoint: bytes | None,
        code: tuple[Parcel, Sequence[Any]] | None,
        device: str | None,
    ) -> None:
        sent = None if code is None else (code[0], lambda: code[1])
        self.agent.submit(self._turn(), job, checkpoint, sent, device)

    @override
    def cancel(self, trial: int) -> None:
        self.agent.cancel(self._turn(), trial)

    def end(self) -> None:
        """Close the agent, as its process's end would end its trials."""
        self.agent.close()
        self._threads.shutdown()


class FakeCluster(Cluster):
    """Nodes by name with their numbers of CPUs; slots lie on them in turn.

    Args:
        nodes: The nodes that there are at first.
        facts: What nodes say of themselves, where not the truth.
        gpus: Nodes that have GPUs, and how many.
    """

    def __init__(
        self,
        nodes: dict[str, int],
        *,
        facts: dict[str, NodeFacts] | None = None,
        gpus: dict[str, int] | None = None,
    ) -> None:
        self.there = dict(nodes)
        self._gpus = gpus or {}
        self.links: list[FakeLink] = []
        self.away = False
        self.lost: Exception | None = None
        self._facts = facts or {}
        self.wanted = Wanted(0)
        self._gone: set[int] = set()

    @property
    @override
    def is_away(self) -> bool:
        return self.away

    @override
    def check(self) -> None:
        if self.lost is not None:
            raise self.lost

    @override
    def nodes(self) -> dict[str, Node]:
        return {name: Node(name, n, self._gpus.get(name, 0), "H100") for name, n in self.there.items()}

    @override
    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted

    @override
    def granted(self) -> list[Slot]:
        wanted = self.wanted
        most = max(self.there.values(), default=0)
        on_cpus = {name: n for name, n in self.there.items() if name not in wanted.gpu_nodes}
        turns = [Slot(name) for i in range(most) for name, n in on_cpus.items() if i < n]
        shares = [
            Slot(name, f"{name}{i % n}")
            for name, n in self._gpus.items()
            for i in range(min(self.there.get(name, 0), n * wanted.per_gpu))
        ]
        return [*turns[: wanted.n_cpus], *shares[: wanted.n_gpus]]

    @override
    def start(self, node: str, name: str, spec: AgentSpec) -> Link:
        link = FakeLink(node, name, spec, self._facts.get(node))
        self.links.append(link)
        return link

    @override
    def put(self, parcel: Parcel) -> list[Any]:
        return list(pieces(parcel))

    @override
    def ready(self, links: Collection[Link], timeout_s: float) -> list[tuple[Link, Any]]:
        gone = [link for link in links if id(link) in self._gone]
        if gone:
            return [(link, LinkLostError("its node was switched off")) for link in gone]
        if not links:
            time.sleep(min(timeout_s, 0.05))
            return []
        calls: dict[Future[Any], Link] = {link.call: link for link in links}
        done, _ = wait(calls, timeout_s, FIRST_COMPLETED)
        return [(calls[call], self._answer(call)) for call in done]

    @staticmethod
    def _answer(call: Future[Any]) -> Any:
        try:
            return call.result()
        except Exception as error:  # noqa: BLE001 - as Ray hands on whatever an agent raises
            return LinkLostError(str(error))

    @override
    def drop(self, link: Link) -> None:
        assert isinstance(link, FakeLink)
        self.links.remove(link)
        threading.Thread(target=link.end).start()

    @override
    def close(self, links: Collection[Link]) -> None:
        for link in links:
            self.drop(link)

    # --- what a test does to it ----------------------------------------------------------------------------

    def lose_agent(self, node: str) -> None:
        """Let the agent of a node be killed."""
        self._gone |= {id(link) for link in self.links if link.node == node}

    def lose(self, node: str) -> None:
        """Switch a node off."""
        self.lose_agent(node)
        del self.there[node]


def engine_on(cluster: FakeCluster, *, slots: int = 0, **options: Any) -> ClusterEngine:
    """Return an engine on a cluster, for the scripted trainer unless another is named, once it has a slot."""
    options = {"trainer": SCRIPTED, "preload": (), **options}
    engine = ClusterEngine(slots, cluster=cluster, **options)
    return ready(engine, n=1)


def ready(engine: ClusterEngine, n: int) -> ClusterEngine:
    """Wait until an engine has so many slots."""
    until = time.monotonic() + 20
    while engine.slots < n and time.monotonic() < until:
        engine.events(0.2)
    assert engine.slots >= n, engine.waits
    return engine


def unlike(**other: str) -> NodeFacts:
    """Return the facts of a node with other versions, or another ``cpu``."""
    cpu = other.pop("cpu", "fast")
    return replace(NodeFacts("there", cpu, versions()), versions={**versions(), **other})


class ResumingTrainer:
    """The scripted trainer with checkpoints; what it trains is a line in the file that ``log`` names, if any.

    It hands over a folder where it is asked to.
    """

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield the scripted curve, going on from the checkpoint."""
        file = job.checkpoint_file
        done = int(file.read_text()) if file is not None and file.exists() else 0
        curve = scripted_curve(job)
        yield Started(job.trial, n_parameters=job.n_parameters or 1000, n_resumed=done)
        yield from curve.epochs[:done]
        for scores in curve.epochs[done:]:
            time.sleep(float(job.hyperparameters.get("sleep_s", 0.0)))
            if "log" in job.hyperparameters:
                with Path(str(job.hyperparameters["log"])).open("a") as log:
                    log.write(f"{job.trial} {scores.epoch}\n")
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, str(scores.epoch + 1))
            yield scores
        if job.delivery_folder is not None:
            job.delivery_folder.mkdir(parents=True)
            (job.delivery_folder / "model.keras").write_text(str(job.seed))


class DeliveringTrainer:
    """The scripted trainer, which hands over a file with the job's seed in it."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield the scripted curve, then write the file."""
        yield Started(job.trial, n_parameters=1000)
        yield from scripted_curve(job).epochs
        folder = job.delivery_folder
        assert folder is not None
        (folder / "inside").mkdir(parents=True)
        (folder / "inside" / "model.keras").write_text(str(job.seed))


class DeviceTrainer:
    """Fails with the accelerators that its process may see."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Raise a `TrialError` whose reason is ``CUDA_VISIBLE_DEVICES``."""
        raise TrialError(f"sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        yield Started(job.trial, 0)


class KeepingTrainer:
    """The scripted trainer, which keeps its number of epochs for weights."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Yield the scripted curve, and keep what the job is to."""
        curve = scripted_curve(job)
        yield Started(job.trial, n_parameters=1000)
        for scores in curve.epochs:
            file = job.weights_file
            if job.keep is not None and file is not None and job.keep.wants(curve.epochs[: scores.epoch + 1]):
                assert write_kept(file, [np.array([scores.epoch + 1])], scores) is None
            yield scores


class PlacesTrainer:
    """Fails with what it finds where its job's data and modules lie."""

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Raise a `TrialError` whose reason lists the files."""
        folders = [*job.places.code, *map(Path, job.places.data.values())]
        files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*.*"))]
        found = [f"{file.relative_to(folder).as_posix()}={file.read_text()}" for folder, file in files]
        raise TrialError(" ".join(found))
        yield Started(job.trial, 0)
