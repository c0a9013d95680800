"""Jobs on nodes that join, leave and are lost; without Ray, with the real agents and processes."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import SCRIPTED, FakeCluster, engine_on, ready, unlike

from fmnist_sweep.core.errors import ClusterLostError, EngineError
from fmnist_sweep.core.events import Cancelled, EpochDone, Failed, Finished, Noted, Started, TrialEvent
from fmnist_sweep.core.jobs import DataRef, Scalar, TrialJob
from fmnist_sweep.core.kept import Keep, kept_scores, kept_weights
from fmnist_sweep.core.places import Places
from fmnist_sweep.engines import fork_server
from fmnist_sweep.engines.cluster import engine as cluster_engine
from fmnist_sweep.engines.cluster.agent import Agent, AgentSpec
from fmnist_sweep.engines.cluster.engine import ClusterEngine
from fmnist_sweep.engines.cluster.slots import Wanted
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.training.testing import scripted_curve

NOWHERE = DataRef("none", "0" * 64, (28, 28, 1), tuple("0123456789"), 60_000, "/nowhere")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_engine, "_LOOK_S", 0.1)


@pytest.fixture
def nodes() -> FakeCluster:
    """Two nodes with a CPU each."""
    return FakeCluster({"a": 1, "b": 1})


@pytest.fixture
def resuming(nodes: FakeCluster, tmp_path: Path) -> Iterator[ClusterEngine]:
    """An engine whose trials keep checkpoints, each of which comes up."""
    places = Places(checkpoints=tmp_path / "checkpoints")
    trainer = "clusters:ResumingTrainer"
    with ready(engine_on(nodes, trainer=trainer, places=places, checkpoint_every_s=0.0), 2) as engine:
        yield engine


def job(trial: int, *, epochs: int = 3, model: str = "none:Model", **values: Scalar) -> TrialJob:
    """Return a job that keeps a checkpoint."""
    name = f"trial-{trial}.checkpoint"
    return TrialJob(trial, model, values, epochs=epochs, seed=trial, data=NOWHERE, checkpoint=name)


def all_events(engine: ClusterEngine, *, within_s: float = 30) -> list[TrialEvent]:
    """Collect what comes until nothing runs."""
    found: list[TrialEvent] = []
    until = time.monotonic() + within_s
    while engine.running:
        assert time.monotonic() < until, f"{engine.running} still run; {engine.waits}"
        found += engine.events(0.5)
    return found


def until_epoch(engine: ClusterEngine, epoch: int) -> list[TrialEvent]:
    """Collect what comes until each running trial is as far."""
    found: list[TrialEvent] = []
    wanted = set(engine.running)
    while wanted:
        new = engine.events(5)
        found += new
        wanted -= {e.trial for e in new if isinstance(e, EpochDone) and e.scores.epoch >= epoch}
    return found


def of(events: list[TrialEvent], trial: int) -> list[TrialEvent]:
    """Return what was told of a trial, without notes."""
    return [event for event in events if event.trial == trial and not isinstance(event, Noted)]


def notes(events: list[TrialEvent]) -> str:
    """Return what was noted, a line each."""
    return "\n".join(event.note for event in events if isinstance(event, Noted))


def test_trials_of_a_lost_node_go_on_elsewhere_from_their_checkpoints(
    resuming: ClusterEngine, nodes: FakeCluster, tmp_path: Path
) -> None:
    """Each event comes once, the curve is the very one; only what came after the checkpoint is repeated."""
    jobs = [job(n, epochs=12, sleep_s=0.02, log=str(tmp_path / "log")) for n in (0, 1)]
    for one in jobs:
        resuming.submit(one)
    events = until_epoch(resuming, 3)
    nodes.lose("a")
    events += all_events(resuming)

    for one in jobs:
        started, *epochs, last = of(events, one.trial)
        assert isinstance(started, Started)
        assert [e.scores for e in epochs if isinstance(e, EpochDone)] == list(scripted_curve(one).epochs)
        assert last == Finished(one.trial)
    assert any(
        "node a was lost (its node was switched off)" in e.note for e in events if isinstance(e, Noted)
    )
    trained = (tmp_path / "log").read_text().split("\n")
    assert max(trained.count(f"{n} 0") for n in (0, 1)) == 1
    assert resuming.slots == 1


@pytest.mark.slow
def test_a_killed_agent_is_followed_by_another_one(
    resuming: ClusterEngine, nodes: FakeCluster, tmp_path: Path
) -> None:
    """Its node is used again."""
    resuming.submit(job(0, epochs=8, sleep_s=0.02, log=str(tmp_path / "log")))
    until_epoch(resuming, 1)
    for node in ("a", "b"):
        nodes.lose_agent(node)
    assert isinstance(all_events(resuming)[-1], Finished)
    ready(resuming, 2)
    assert len(nodes.links) == 2


def test_a_node_that_joins_is_used(nodes: FakeCluster) -> None:
    """Also one that joins while nothing runs; not beyond the number of slots that is asked for."""
    with engine_on(nodes, slots=3) as engine:
        ready(engine, 2)
        assert "the cluster has room for 2 of 3 trials, for " in engine.waits
        nodes.there["c"] = 2
        ready(engine, 3)
        engine._look_at = 0.0
        engine.events(0)
        assert engine.slots == 3
        assert engine.waits == ""


@pytest.mark.slow
def test_a_trial_waits_where_its_node_was_the_last(
    resuming: ClusterEngine, nodes: FakeCluster, tmp_path: Path
) -> None:
    """The display is told; it goes on once there is a node, and can be cancelled until then."""
    for n in (0, 1):
        resuming.submit(job(n, epochs=6, sleep_s=0.02, log=str(tmp_path / "log")))
    until_epoch(resuming, 0)
    nodes.lose("a")
    nodes.lose("b")
    while len(nodes.links):
        resuming.events(0.1)
    resuming.events(0.2)
    assert resuming.running == (0, 1)
    assert "2 trials wait for a node to go on, for " in resuming.waits
    resuming.cancel(0)
    assert of(resuming.events(1), 0) == [Cancelled(0)]
    nodes.there["c"] = 1
    assert isinstance(all_events(resuming)[-1], Finished)


def test_a_cancelled_trial_whose_node_is_lost_is_gone(
    resuming: ClusterEngine, nodes: FakeCluster, tmp_path: Path
) -> None:
    """It goes on nowhere."""
    resuming.submit(job(0, epochs=100, sleep_s=0.05, log=str(tmp_path / "log")))
    until_epoch(resuming, 0)
    for node in ("a", "b"):
        nodes.lose_agent(node)
    resuming.cancel(0)
    assert all_events(resuming) == [Cancelled(0)]


def test_a_cancelled_trial_goes_on_from_what_was_told(resuming: ClusterEngine, tmp_path: Path) -> None:
    """As one that pauses does, on whatever node: its last checkpoint comes up before it is gone."""
    for first in (0, 3):
        resuming.submit(job(0, epochs=8, sleep_s=0.05, log=str(tmp_path / "log")))
        until_epoch(resuming, first + 2)
        resuming.cancel(0)
        assert all_events(resuming) == [Cancelled(0)]
    trained = (tmp_path / "log").read_text().split("\n")
    assert {trained.count(f"0 {epoch}") for epoch in range(3)} == {1}


def test_a_trial_that_takes_every_node_down_fails(
    resuming: ClusterEngine, nodes: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose process died, so that the search counts it."""
    monkeypatch.setattr(cluster_engine, "_MAX_MOVES", 0)
    resuming.submit(job(0, epochs=100, sleep_s=0.05, log=str(tmp_path / "log")))
    until_epoch(resuming, 0)
    for node in ("a", "b"):
        nodes.lose_agent(node)
    last = all_events(resuming)[-1]
    assert isinstance(last, Failed)
    assert last.died
    assert "lost 1 times with what it ran on" in last.reason


@pytest.mark.slow
def test_a_killed_fork_server_costs_no_retry(resuming: ClusterEngine, tmp_path: Path) -> None:
    """Its trials go on in another one, and none of them fails."""
    for n in (0, 1):
        resuming.submit(job(n, epochs=10, sleep_s=0.05, log=str(tmp_path / "log")))
    events = until_epoch(resuming, 1)
    server = fork_server._pid()
    assert server is not None
    os.kill(server, signal.SIGKILL)
    events += all_events(resuming)
    assert {type(of(events, n)[-1]) for n in (0, 1)} == {Finished}
    assert "the process that starts its trials died" in notes(events)


def test_a_trial_that_kills_itself_fails(nodes: FakeCluster) -> None:
    """What becomes of it is the search's to say."""
    with ready(engine_on(nodes), 2) as engine:
        engine.submit(job(0, crash="sigkill", crash_epoch=1))
        last = all_events(engine)[-1]
    assert isinstance(last, Failed)
    assert last.died
    assert "SIGKILL" in last.reason


@pytest.mark.slow
def test_the_last_checkpoint_comes_with_the_end(nodes: FakeCluster, tmp_path: Path) -> None:
    """A longer job goes on from it, and so does what Ctrl-C put back; none comes in between, so soon."""
    places = Places(checkpoints=tmp_path / "checkpoints")
    file = tmp_path / "checkpoints" / "trial-0.checkpoint"
    with engine_on(nodes, trainer="clusters:ResumingTrainer", places=places) as engine:
        engine.submit(job(0, epochs=100, sleep_s=0.05, log=str(tmp_path / "log")))
        until_epoch(engine, 1)
        assert not file.exists()
        engine.cancel(0)
        assert all_events(engine) == [Cancelled(0)]
        assert int(file.read_text()) >= 2
        engine.submit(job(0, epochs=5, log=str(tmp_path / "log")))
        started = all_events(engine)[0]
    assert isinstance(started, Started)
    assert started.n_resumed >= 2


@pytest.mark.slow
def test_a_result_that_comes_out_otherwise_elsewhere_is_told(nodes: FakeCluster) -> None:
    """What was told first stays."""
    with ready(engine_on(nodes), 2) as engine:
        one = job(0, epochs=6, sleep_s=0.03)
        engine.submit(one)
        until_epoch(engine, 1)
        # As if the first node had computed otherwise.
        engine._trials[0].told[0] = scripted_curve(job(1)).epochs[0]
        for node in ("a", "b"):
            nodes.lose_agent(node)
        told = notes(all_events(engine))
    assert "epoch 1 of trial 0 came out otherwise" in told


def test_a_node_with_other_versions_is_left_out() -> None:
    """It is told which; where there is no other node, the run ends with it."""
    odd = FakeCluster({"a": 1, "b": 1}, facts={"b": unlike(tensorflow="1.0")})
    with engine_on(odd) as engine:
        while "left out" not in engine.waits:
            engine.events(0.2)
        assert "node b is left out: tensorflow 1.0 there, " in engine.waits
        assert engine.slots == 1
        engine._look_at = 0.0
        engine.events(0)
        assert "has room for" not in engine.waits
    alone = FakeCluster({"b": 1}, facts={"b": unlike(keras="1.0")})
    with pytest.raises(EngineError, match=r"no node of the cluster can be used:\nnode b is left out"):
        engine_on(alone)


def test_slots_on_a_node_that_is_left_out_do_not_count() -> None:
    """Others are asked for in their place: two trials side by side are two."""
    odd = FakeCluster({"a": 2, "b": 2}, facts={"a": unlike(tensorflow="1.0")})
    with ready(engine_on(odd, slots=2), 2) as engine:
        assert {link.node for link in odd.links} == {"b"}
        assert engine.slots == 2


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent with one slot."""
    agent = Agent(AgentSpec(1, SCRIPTED, ()))
    yield agent
    agent.close()


def test_commands_are_obeyed_in_their_order(agent: Agent) -> None:
    """Calls of an agent overtake each other: a job whose end is asked for ends, whichever came first."""
    agent.cancel(1, 0)
    agent.submit(0, job(0, epochs=1000, sleep_s=0.05), None, None)
    last = [message.event for message in agent.events(10)][-1]
    while not isinstance(last, Cancelled):
        last = [message.event for message in agent.events(10)][-1]


def test_an_agent_that_breaks_says_so(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for its trials lets them go on elsewhere."""

    def broken(_engine: LocalEngine, _timeout_s: float) -> list[TrialEvent]:
        raise OSError("the disk is broken")

    monkeypatch.setattr(LocalEngine, "events", broken)
    agent.submit(0, job(0), None, None)
    with pytest.raises(OSError, match="the disk is broken"):
        agent.events(10)


def test_different_processors_are_told_of() -> None:
    """Curves of both are no equal ones."""
    mixed = FakeCluster({"a": 1, "b": 1}, facts={"a": unlike(cpu="old"), "b": unlike(cpu="new")})
    with ready(engine_on(mixed), 2) as engine:
        engine.submit(job(0))
        told = notes(all_events(engine))
    same = "a curve is the same to the last digit on equal ones only"
    assert told == f"nodes have different processors (new, old): {same}"


GPUS = {"g": 2}
ON_DEVICES = "clusters:DeviceTrainer"


def seen(events: list[TrialEvent]) -> list[str]:
    """Return what trials of `DeviceTrainer` saw."""
    return sorted(event.reason for event in events if isinstance(event, Failed))


def test_each_trial_trains_on_a_gpu_of_its_own() -> None:
    """As many as there are GPUs, and on the CPUs of nodes that have none; what curves are of is told."""
    mixed = FakeCluster({"a": 1, "g": 8}, gpus=GPUS, facts={"a": unlike(cpu="fast"), "g": unlike(cpu="fast")})
    with ready(engine_on(mixed, trainer=ON_DEVICES), 3) as engine:
        assert engine.slots == 3
        assert mixed.wanted == Wanted(1, 2, gpu_nodes=frozenset("g"))
        for n in range(3):
            engine.submit(job(n))
        events = all_events(engine)
        # What was given back is given again.
        engine.submit(job(3))
        assert seen(all_events(engine))[0] in {"sees g0", "sees g1"}
    assert seen(events) == ["sees -1", "sees g0", "sees g1"]
    assert "nodes have different processors (GPU H100, fast)" in notes(events)
    assert "on nodes that have GPUs trials train on those, one on each" in notes(events)


def test_trials_share_gpus_where_the_user_says_so() -> None:
    """So many on each, and first one on each; with 0 they train on CPUs, and see no GPU."""
    with ready(
        engine_on(FakeCluster({"g": 8}, gpus=GPUS), trials_per_gpu=2, trainer=ON_DEVICES), 4
    ) as engine:
        for n in range(2):
            engine.submit(job(n))
        assert {slot.device for host in engine._hosts._hosts for slot in host.trials.values()} == {"g0", "g1"}
        for n in range(2, 4):
            engine.submit(job(n))
        assert seen(all_events(engine)) == ["sees g0", "sees g0", "sees g1", "sees g1"]
    with ready(
        engine_on(FakeCluster({"g": 3}, gpus=GPUS), trials_per_gpu=0, trainer=ON_DEVICES), 3
    ) as engine:
        engine.submit(job(0))
        events = all_events(engine)
    assert seen(events) == ["sees -1"]
    assert notes(events) == ""


def test_a_number_of_workers_takes_gpus_first() -> None:
    """What it leaves over is asked for as CPUs; trials on CPUs go on there where a node with GPUs joins."""
    mixed = FakeCluster({"a": 4, "g": 8}, gpus=GPUS)
    with ready(engine_on(mixed, slots=3), 3):
        assert (mixed.wanted.n_cpus, mixed.wanted.n_gpus) == (1, 2)
    grows = FakeCluster({"a": 2}, gpus=GPUS)
    with ready(engine_on(grows, slots=3), 2) as engine:
        grows.there["g"] = 8
        ready(engine, 3)
        assert (grows.wanted.n_cpus, grows.wanted.n_gpus) == (2, 1)


def test_a_lost_head_ends_the_run(nodes: FakeCluster) -> None:
    """Nothing runs any more that could be waited for."""
    with ready(engine_on(nodes), 2) as engine:
        engine.submit(job(0, epochs=100, sleep_s=0.05))
        nodes.lost = ClusterLostError("gone")
        with pytest.raises(ClusterLostError):
            all_events(engine)
        assert engine.running == ()


@pytest.mark.slow
def test_while_the_head_is_away_trainings_go_on(nodes: FakeCluster) -> None:
    """It is told, and nothing is asked of it."""
    with ready(engine_on(nodes), 2) as engine:
        engine.submit(job(0, epochs=30, sleep_s=0.05))
        nodes.away = True
        engine._look_at = 0.0
        assert engine.events(5)
        assert "the head of the cluster does not answer, for " in engine.waits
        nodes.away = False
        assert isinstance(all_events(engine)[-1], Finished)


def test_modules_and_data_travel(nodes: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of all folders in their order, and data from the cache of the node once they are there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("first", "second", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "first" / "net.py").write_text("1")
    (tmp_path / "second" / "net.py").write_text("2")
    (tmp_path / "second" / "weights.bin").write_text("no code")
    (tmp_path / "data" / "x.txt").write_text("3")
    places = Places({NOWHERE.digest: str(tmp_path / "data")}, code=(tmp_path / "first", tmp_path / "second"))
    with ready(engine_on(nodes, trainer="clusters:PlacesTrainer", places=places), 2) as engine:
        engine.submit(job(0, model="net:build"))
        (last,) = all_events(engine)
    assert isinstance(last, Failed)
    assert last.reason == "net.py=1 net.py=2 x.txt=3"


def test_what_a_final_training_hands_over_comes_up(nodes: FakeCluster, tmp_path: Path) -> None:
    """Whole, before its end is told; what can't be kept fails it."""
    places = Places(deliveries=tmp_path / "kept")
    with ready(engine_on(nodes, trainer="clusters:DeliveringTrainer", places=places), 2) as engine:
        engine.submit(replace(job(3), deliver_to="seed-3"))
        assert all_events(engine)[-1] == Finished(3)
        assert (tmp_path / "kept" / "seed-3" / "inside" / "model.keras").read_text() == "3"
        (tmp_path / "kept" / "file").write_text("in the way")
        engine.submit(replace(job(4), deliver_to="file/seed-4"))
        last = all_events(engine)[-1]
        assert isinstance(last, Failed)
        assert last.reason.startswith("what it hands over can't be kept: ")
        assert not list(
            Path(tempfile.gettempdir()).glob(f"fmnist-sweep-node-{os.getpid()}-*/deliveries/seed-3")
        )


def test_the_weights_that_a_trial_keeps_come_up(nodes: FakeCluster, tmp_path: Path) -> None:
    """Before its end is told; nothing of them stays on the node."""
    places = Places(weights=tmp_path / "weights")
    with ready(engine_on(nodes, trainer="clusters:KeepingTrainer", places=places), 2) as engine:
        one = replace(job(3), keep=Keep("trial-3.npz"))
        engine.submit(one)
        assert all_events(engine)[-1] == Finished(3)
        file = tmp_path / "weights" / "trial-3.npz"
        assert kept_scores(file).val == scripted_curve(one).epochs[2].val
        assert kept_weights(file)[0].tolist() == [3]
        assert not list(Path(tempfile.gettempdir()).glob(f"fmnist-sweep-node-{os.getpid()}-*/weights/*"))
