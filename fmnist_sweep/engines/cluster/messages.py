"""What comes up from the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from fmnist_sweep.core.events import TrialEvent
from fmnist_sweep.engines.cluster.parcels import Parcel


@dataclass(frozen=True, slots=True)
class Message:
    """What comes up from a trial.

    Attributes:
        event: What happened.
        checkpoint: What it had come to when the event was told, or an epoch more; None where it sends none.
        delivery: What a job that is done hands over: a folder, and its pieces; None where it hands over none.
        lost: Why the trial must go on elsewhere though it is none of its fault; empty otherwise.
        weights: Those that it keeps, with its checkpoint; None where they are as they were sent before.
    """

    event: TrialEvent
    checkpoint: bytes | None = None
    delivery: tuple[Parcel, tuple[bytes, ...]] | None = None
    lost: str = ""
    weights: bytes | None = None
