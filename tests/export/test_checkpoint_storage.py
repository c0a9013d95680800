"""Final trainings whose checkpoints lie in a folder that nodes share; without Ray."""

from __future__ import annotations

from pathlib import Path

from clusters import FakeCluster, engine_on
from made_exports import DATA, Exports
from typing_extensions import override

from fmnist_sweep.core.events import Started, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.export.finals import shared_part, train_finals


class Beginnings(Observer):
    """Keeps after how many epochs each training went on."""

    def __init__(self) -> None:
        self.n_resumed: dict[int, int] = {}

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        if isinstance(event, Started):
            self.n_resumed[job.seed] = event.n_resumed


def test_final_trainings_go_on_from_the_shared_folder(exports: Exports, tmp_path: Path) -> None:
    """Each choice has a folder of its own there; nothing is left in it once all are trained."""
    final = exports.plan().final
    study = SharedFolder(f"file://{tmp_path}/shared", "ab/dense")
    part = shared_part(study, final.folder)
    assert part is not None
    assert str(part) == f"file://{tmp_path}/shared/ab/dense/{final.key}"
    # Of an export that was killed, and of one of more trainings.
    part.write("trial-1.checkpoint", b"2")
    part.write("trial-7.checkpoint", b"2")
    seen = Beginnings()
    places = Places(checkpoints=final.folder, deliveries=final.folder)
    trainer = "clusters:ResumingTrainer"
    nodes = FakeCluster({"a": 1})
    with engine_on(nodes, trainer=trainer, places=places, checkpoint_storage=part) as engine:
        train_finals(final, DATA, engine, shared=study, observer=seen)
    assert list(seen.n_resumed.values()) == [0, 2, 0]
    assert all(delivery.is_trained for delivery in final.deliveries)
    assert not [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
    assert not list(final.folder.glob("*.checkpoint"))
