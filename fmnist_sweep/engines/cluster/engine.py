"""Run jobs on the nodes of a cluster, and carry them on elsewhere when a node is lost."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import EngineError
from fmnist_sweep.core.events import Cancelled, EpochDone, Failed, Finished, Noted, Started, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.engines.base import KERAS_TRAINER, ClosedByWith, require_free
from fmnist_sweep.engines.cluster.agent import AgentSpec
from fmnist_sweep.engines.cluster.arrivals import Arrivals
from fmnist_sweep.engines.cluster.connection import AUTO, connect
from fmnist_sweep.engines.cluster.hosts import Cluster, Host, Hosts
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.nodes import LinkLostError, RayCluster
from fmnist_sweep.engines.cluster.parcels import Parcel, code_files, parcel_of
from fmnist_sweep.engines.cluster.uploads import mark, unmark
from fmnist_sweep.engines.local import KERAS_PRELOAD

_LOOK_S: Final = 1.0
"""How often it is looked which slots and nodes there are."""

_MAX_MOVES: Final = 5
"""How often a trial is carried on elsewhere: one that takes every node down with it is at fault itself."""

CHECKPOINT_EVERY_S: Final = 10.0
"""Seconds between two checkpoints of a trial that come up."""

TRIALS_PER_GPU: Final = 1
"""Unless the user says otherwise: two that fit a GPU one after the other need not fit it together."""


@dataclass(slots=True)
class _Trial:
    """A job that was submitted, and what was handed over of it.

    Attributes:
        job: The job.
        host: Where it runs; None while it waits for a node, and once it has ended.
        started: Whether its start was handed over.
        told: The epochs that were handed over.
        n_moves: How often it was carried on elsewhere.
        cancelled: Whether its end was asked for.
        ended: Whether its last event waits to be handed over.
    """

    job: TrialJob
    host: Host | None = None
    started: bool = False
    told: list[EpochScores] = field(default_factory=list)
    n_moves: int = 0
    cancelled: bool = False
    ended: bool = False


class ClusterEngine(ClosedByWith):
    """Trains on the nodes of a Ray cluster, each trial in a process of its own on one core of one of them.

    An agent on each node hosts the local engine. On nodes with GPUs each trial sees one of them. Data go to a
    node once, by their digest; checkpoints come up with the events, and so does what a final training hands
    over. What a lost node was training goes on elsewhere from its last checkpoint, to the same curve; the
    epochs that are trained again are not told again.

    Args:
        slots: Most jobs side by side; None, or 0, takes every GPU that the cluster has, and every CPU of the
            nodes without one.
        places: Where on this machine lies what jobs name.
        trainer: Import path of the trainer.
        preload: As in `LocalEngine`.
        time_limit_s: As in `LocalEngine`; counted anew where a job goes on elsewhere.
        address: Of the cluster; see `connection.connect`.
        checkpoint_every_s: Seconds between two checkpoints of a trial that come up: what the loss of a node
            costs at most, beside the epoch in training.
        checkpoint_storage: Folder in which nodes keep checkpoints; None brings them to this machine.
        trials_per_gpu: Trials that share a GPU; 0 leaves GPUs alone, and takes their nodes' CPUs.
        cluster: Stands in for Ray in tests.

    Raises:
        ConfigError: There is no cluster at the address.
        EngineError: The folder for checkpoints can't be written.
    """

    def __init__(
        self,
        slots: int | None = None,
        *,
        places: Places | None = None,
        trainer: str = KERAS_TRAINER,
        preload: Sequence[str] = KERAS_PRELOAD,
        time_limit_s: float | None = None,
        address: str = AUTO,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
        checkpoint_storage: SharedFolder | None = None,
        trials_per_gpu: int = TRIALS_PER_GPU,
        cluster: Cluster | None = None,
    ) -> None:
        self._places = Places() if places is None else places
        self._shared = checkpoint_storage
        self._marker = "" if checkpoint_storage is None else mark(checkpoint_storage)
        spec = AgentSpec(
            1, trainer, tuple(preload), time_limit_s, checkpoint_every_s, checkpoint_storage, self._marker
        )
        self._cluster: Cluster = RayCluster(address) if cluster is None else cluster
        self._hosts = Hosts(
            self._cluster, spec, data=self._places.data, most=slots or None, per_gpu=trials_per_gpu
        )
        self._arrivals = Arrivals(self._places)
        self._per_gpu = trials_per_gpu
        self._trials: dict[int, _Trial] = {}
        self._unplaced: deque[int] = deque()
        self._found: deque[TrialEvent] = deque()
        self._code: tuple[Parcel, list[Any]] | None = None
        self._notes: set[str] = set()
        self._look_at = 0.0
        self._waits_since: float | None = None
        self._closed = False

    @staticmethod
    def check(address: str | None) -> None:
        """Connect to a cluster; raises `ConfigError` where there is none, or no Ray."""
        connect(AUTO if address is None else address)

    # --- what the search asks ------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many jobs can run now: slots on nodes whose agents are ready."""
        return 0 if self._closed else self._hosts.n_slots

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that were submitted and whose last event was not handed over, oldest first."""
        return tuple(self._trials)

    @property
    def waits(self) -> str:
        """What is waited for and for how long, in words; empty where nothing is."""
        said = list(self._hosts.left_out)
        if self._waits_since is not None and not self._closed:
            seconds = round(time.monotonic() - self._waits_since)
            said.append(f"{self._missing()}, for {seconds} s")
        return "; ".join(said)

    def _missing(self) -> str:
        n_starting, n_unplaced = self._hosts.n_starting, len(self._unplaced)
        if self._cluster.is_away:
            return "the head of the cluster does not answer"
        if n_starting:
            return f"{n_starting} node{'s are' if n_starting > 1 else ' is'} getting ready"
        if n_unplaced:
            return f"{n_unplaced} trial{'s wait' if n_unplaced > 1 else ' waits'} for a node to go on"
        return f"the cluster has room for {self.slots} of {self._hosts.n_wanted} trials"

    def submit(self, job: TrialJob) -> None:
        """Start a job on the node that has most room.

        Raises:
            EngineError: The folder that holds the user's model is too large to travel.
        """
        require_free(self, job.trial, closed=self._closed)
        if self._code is None and self._places.code and not is_ours(job.model):
            self._code = self._packed_code()
        self._trials[job.trial] = _Trial(job)
        self._place(job.trial)

    def events(self, timeout_s: float) -> list[TrialEvent]:
        """Return the events at hand, waiting for the first of them.

        Where no node is ready yet, ``timeout_s`` is waited for one though nothing runs.
        """
        until = time.monotonic() + timeout_s
        while not self._closed:
            self._look_after()
            idle = not self._trials and self.slots > 0
            left = 0.0 if self._found or idle else max(0.0, until - time.monotonic())
            self._listen(min(left, _LOOK_S))
            if self._found or idle or time.monotonic() >= until:
                break
        found = list(self._found)
        self._found.clear()
        for event in found:
            if isinstance(event, Finished | Failed | Cancelled):
                del self._trials[event.trial]
        return found

    def cancel(self, trial: int) -> None:
        """Ask for the end of a trial's job; that it is gone is told by an event."""
        known = self._trials.get(trial)
        if known is None or known.cancelled or known.ended:
            return
        known.cancelled = True
        self._found = deque(event for event in self._found if event.trial != trial)
        if known.host is not None:
            known.host.link.cancel(trial)
        else:
            self._end(trial, Cancelled(trial))

    @override
    def close(self) -> None:
        """End every job and leave the cluster; its nodes end what runs there."""
        if self._closed:
            return
        self._closed = True
        self._trials.clear()
        self._unplaced.clear()
        self._found.clear()
        self._code = None
        self._hosts.close()
        if self._shared is not None:
            unmark(self._shared, self._marker)

    # --- nodes ---------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Look which slots there are, and place what waits."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        try:
            self._cluster.check()
            if not self._cluster.is_away:
                self._hosts.take_stock()
        except EngineError:
            # Nothing of them will come any more: they are put back at once.
            self._trials.clear()
            self._unplaced.clear()
            raise
        for _ in range(len(self._unplaced)):
            self._place(self._unplaced.popleft())
        waits = self._cluster.is_away or self._unplaced or self.slots < self._hosts.n_wanted
        self._waits_since = (self._waits_since or now) if waits else None

    def _listen(self, timeout_s: float) -> None:
        for host, told in self._hosts.listen(timeout_s):
            if isinstance(told, LinkLostError):
                for trial in sorted(host.trials):
                    self._move(trial, f"node {host.link.name} was lost ({told})")
                # Its slots may be granted elsewhere by now.
                self._look_at = 0.0
                continue
            for message in told:
                self._take(host, message)

    def _packed_code(self) -> tuple[Parcel, list[Any]]:
        """Put the user's modules, those of each folder in a folder of its own, where nodes can fetch them."""
        with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
            for i, folder in enumerate(self._places.code):
                for file in code_files(folder):
                    there = Path(work, f"{i:02}", file.relative_to(folder))
                    there.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, there)
            parcel = parcel_of(Path(work))
            return parcel, self._cluster.put(parcel)

    # --- trials --------------------------------------------------------------------------------------------

    def _place(self, trial: int) -> None:
        """Give a trial to the node that has most room, or let it wait for one."""
        known = self._trials[trial]
        found = self._hosts.room()
        if found is None:
            self._unplaced.append(trial)
            return
        host, slot = found
        host.trials[trial] = slot
        known.host = host
        processors = self._hosts.processors
        if len(processors) > 1:
            told = f"nodes have different processors ({', '.join(processors)})"
            self._note(trial, f"{told}: a curve is the same to the last digit on equal ones only")
        if slot.device is not None:
            each = "one" if self._per_gpu == 1 else str(self._per_gpu)
            self._note(trial, f"on nodes that have GPUs trials train on those, {each} on each")
        checkpoint = self._arrivals.checkpoint_of(known.job)
        host.link.submit(known.job, checkpoint, self._code, slot.device)

    def _note(self, trial: int, note: str) -> None:
        if note not in self._notes:
            self._notes.add(note)
            self._found.append(Noted(trial, note))

    def _move(self, trial: int, why: str) -> None:
        """Let a trial go on elsewhere, from the last checkpoint that came up."""
        known = self._trials[trial]
        if known.host is not None:
            known.host.trials.pop(trial, None)
        known.host = None
        known.n_moves += 1
        if known.cancelled:
            self._end(trial, Cancelled(trial))
        elif known.n_moves > _MAX_MOVES:
            times = f"the trial was lost {known.n_moves} times with what it ran on, last as {why}"
            self._end(trial, Failed(trial, times, died=True))
        else:
            self._found.append(Noted(trial, f"{why}; what it trained goes on elsewhere"))
            self._place(trial)

    def _end(self, trial: int, last: TrialEvent) -> None:
        """Let go of a trial, with its last event; it is running until that is handed over."""
        known = self._trials[trial]
        known.ended = True
        if known.host is not None:
            known.host.trials.pop(trial, None)
        known.host = None
        if trial in self._unplaced:
            self._unplaced.remove(trial)
        self._found.append(last)

    def _take(self, host: Host, message: Message) -> None:
        """Hand on what came from a trial, its checkpoint first."""
        event = message.event
        known = self._trials.get(event.trial)
        if known is None or known.host is not host:
            return
        self._found.extend(self._arrivals.keep(known.job, message))
        is_last = isinstance(event, Finished | Failed | Cancelled)
        if known.cancelled:
            if is_last:
                self._end(event.trial, Cancelled(event.trial))
        elif message.lost:
            self._move(event.trial, f"on node {host.link.name} {message.lost}")
        elif is_last:
            self._end(event.trial, self._arrivals.delivered(known.job, message))
        elif not self._is_old(known, event):
            self._found.append(event)

    def _is_old(self, known: _Trial, event: TrialEvent) -> bool:
        """Return whether an event was handed over before its trial went on elsewhere."""
        if isinstance(event, Started):
            old, known.started = known.started, True
            if old:
                trial, n = event.trial, event.n_resumed
                told = f"trial {trial} goes on after epoch {n}" if n else f"trial {trial} starts over"
                self._found.append(Noted(trial, told))
            return old
        if not isinstance(event, EpochDone):
            return False
        scores = event.scores
        if scores.epoch >= len(known.told):
            known.told.append(scores)
            return False
        before = known.told[scores.epoch]
        if (before.train, before.val) != (scores.train, scores.val):
            which = f"epoch {scores.epoch + 1} of trial {event.trial}"
            told = f"{which} came out otherwise when it was trained again on another node"
            self._note(event.trial, f"{told}: their processors differ; the first result stays")
        return True
