"""Checkpoints in a folder that nodes share; without Ray, with the real agents and processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import FakeCluster, engine_on, ready
from typing_extensions import override

from fmnist_sweep.core.errors import ConfigError, EngineError
from fmnist_sweep.core.events import CheckpointSkipped, EpochDone, Finished, Noted, Started, TrialEvent
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.kept import Keep, kept_weights, write_kept
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.engines.cluster import engine as cluster_engine
from fmnist_sweep.engines.cluster.agent import AgentSpec
from fmnist_sweep.engines.cluster.engine import ClusterEngine
from fmnist_sweep.engines.cluster.messages import Message
from fmnist_sweep.engines.cluster.nodes import Link
from fmnist_sweep.engines.cluster.uploads import Uploads, fetched, mark, trouble_with
from fmnist_sweep.engines.opening import check_engine
from fmnist_sweep.training.testing import scripted_curve

NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")
SCORES = scripted_curve(TrialJob(3, "none:Model", {}, epochs=1, seed=0, data=NOWHERE)).epochs[0]


@pytest.fixture
def shared(tmp_path: Path) -> SharedFolder:
    """A folder with a name that has to be written with care."""
    return SharedFolder(f"file://{tmp_path}/shared by #all", "ab/my study")


def job(trial: int, folder: Path, **values: float) -> TrialJob:
    """Return a job that keeps a checkpoint; what it trains is a line in a log."""
    name = f"trial-{trial}.checkpoint"
    log = str(folder / "log")
    return TrialJob(
        trial, "none:Model", {"log": log, **values}, epochs=12, seed=trial, data=NOWHERE, checkpoint=name
    )


@pytest.fixture
def resuming(
    shared: SharedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ClusterEngine, FakeCluster]]:
    """An engine on two nodes whose trials share each checkpoint."""
    monkeypatch.setattr(cluster_engine, "_LOOK_S", 0.1)
    nodes = FakeCluster({"a": 1, "b": 1})
    where: dict[str, Any] = {"places": Places(checkpoints=tmp_path / "here"), "checkpoint_storage": shared}
    engine = engine_on(nodes, trainer="clusters:ResumingTrainer", checkpoint_every_s=0.0, **where)
    with ready(engine, 2):
        yield engine, nodes


def test_the_next_node_goes_on_from_what_the_lost_one_shared(
    resuming: tuple[ClusterEngine, FakeCluster], shared: SharedFolder, tmp_path: Path
) -> None:
    """To the very curve; nothing of it comes to this machine, and the last checkpoint is there in the end."""
    engine, nodes = resuming
    one = job(0, tmp_path, sleep_s=0.02)
    engine.submit(one)
    events: list[TrialEvent] = []
    while not any(isinstance(e, EpochDone) and e.scores.epoch == 4 for e in events):
        events += engine.events(5)
    host = engine._trials[0].host
    assert host is not None
    nodes.lose(host.link.node)
    until = time.monotonic() + 30
    while engine.running and time.monotonic() < until:
        events += engine.events(1)
    assert [e.scores for e in events if isinstance(e, EpochDone)] == list(scripted_curve(one).epochs)
    assert events[-1] == Finished(0)
    (went_on,) = [e.note for e in events if isinstance(e, Noted) and "trial 0" in e.note]
    assert int(went_on.removeprefix("trial 0 goes on after epoch ")) >= 4
    trained = (tmp_path / "log").read_text().split("\n")
    assert trained.count("0 0") == 1
    assert shared.read("trial-0.checkpoint") == b"12"
    assert not (tmp_path / "here").exists()
    engine.close()
    assert list(shared.sizes()) == ["trial-0.checkpoint"]


def test_what_was_begun_without_the_folder_goes_on(
    resuming: tuple[ClusterEngine, FakeCluster], tmp_path: Path
) -> None:
    """From the checkpoint on this machine."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "trial-0.checkpoint").write_text("7")
    engine, _ = resuming
    engine.submit(job(0, tmp_path))
    events: list[TrialEvent] = []
    while engine.running:
        events += engine.events(5)
    assert isinstance(events[0], Started)
    assert events[0].n_resumed == 7


def test_a_node_that_sees_another_folder_is_left_out(shared: SharedFolder, tmp_path: Path) -> None:
    """As where a folder of the same name is no shared one there."""
    marker = mark(shared)
    assert trouble_with(shared, marker) == ""
    told = trouble_with(replace(shared, inside="other"), marker)
    assert told.endswith("can't be used there: it is another folder there, and not shared")
    # That of a run that was killed is removed by the next.
    shared.write(".try-0", b"")
    shared.write("trial-0.checkpoint", b"1")
    marker = mark(shared)
    assert set(shared.sizes()) == {marker, "trial-0.checkpoint"}
    (tmp_path / "file").touch()
    closed = SharedFolder(f"file://{tmp_path}/file")
    assert "can't be used there: " in trouble_with(closed, marker)
    with pytest.raises(EngineError, match="can't be written"):
        mark(closed)
    with pytest.raises(
        EngineError, match=r"no node of the cluster can be used:\nnode a is left out: checkpoint"
    ):
        engine_on(_Apart({"a": 1}), checkpoint_storage=shared)


class _Apart(FakeCluster):
    """Its nodes see another folder."""

    @override
    def start(self, node: str, name: str, spec: AgentSpec) -> Link:
        return super().start(node, name, replace(spec, marker="not there"))


def test_a_folder_that_can_t_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    """As an address that is none."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"engine.checkpoint_storage: file://.* can't be used from here: "):
        check_engine("ray", None, f"file://{tmp_path}/file/inside")
    with pytest.raises(ConfigError, match=r"engine.checkpoint_storage: 'x://y' is no address"):
        check_engine("ray", None, "x://y")
    with pytest.raises(ConfigError, match=r"'local' keeps checkpoints beside the studies"):
        check_engine("local", None, f"file://{tmp_path}")


def test_the_weights_that_a_trial_keeps_go_along(shared: SharedFolder, tmp_path: Path) -> None:
    """They are of an epoch that is not trained again; the last message waits until all is written."""
    one = replace(job(3, tmp_path), keep=Keep("trial-3.npz"))
    told: list[Message] = []
    uploads = Uploads(shared, told.append)
    write_kept(tmp_path / "first.npz", [np.array([5])], SCORES)
    weights = (tmp_path / "first.npz").read_bytes()
    uploads.send(one, Message(EpochDone(3, SCORES), b"5", weights=weights), is_last=False)
    uploads.send(one, Message(EpochDone(3, SCORES)), is_last=False)
    uploads.send(one, Message(Finished(3), b"6"), is_last=True)
    uploads._threads.shutdown()
    assert [message.checkpoint for message in told] == [None] * 3
    assert told[0].weights == weights
    assert told[-1].event == Finished(3)
    file = tmp_path / "node" / "trial-3.npz"
    assert fetched(shared, one, file) == b"6"
    assert kept_weights(file)[0].tolist() == [5]
    assert fetched(shared, replace(one, checkpoint="trial-4.checkpoint"), file) is None


def test_a_checkpoint_that_can_t_be_shared_costs_no_trial(tmp_path: Path) -> None:
    """It is told, and its end too."""
    (tmp_path / "file").touch()
    told: list[Message] = []
    uploads = Uploads(SharedFolder(f"file://{tmp_path}/file/inside"), told.append)
    uploads.send(job(3, tmp_path), Message(Finished(3), b"6"), is_last=True)
    uploads._threads.shutdown()
    skipped, last = (message.event for message in told)
    assert isinstance(skipped, CheckpointSkipped)
    assert "Not a directory" in skipped.reason
    assert last == Finished(3)
