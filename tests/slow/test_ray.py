"""A sweep on three nodes of Ray, of which one is killed, and the agent of another."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from s3 import SECRET, s3_files, s3_folder, s3_server

from benchmarks.local_nodes import LocalNodes, local_nodes
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study

pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]

SWEEP = """
study = "small"
model = "net:build"
data = "images.npz"

[space]
units = { type = "int", low = 8, high = 32 }
learning_rate = { type = "float", low = 1e-3, high = 1e-2, log = true }
epochs = 20

[training]
n_val = 200

[sampler]
name = "random"

[pruner]
name = "none"

[budget]
trials = 6
"""

MODEL = """
import multiprocessing
import os

import keras

import parts


def build(hp):
    name, device = multiprocessing.current_process().name, os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    if name.startswith("trial-"):
        with open(parts.LOG, "a") as log:
            print(name.removeprefix("trial-"), device, os.getppid(), file=log)
    model = keras.Sequential([
        keras.Input((28, 28, 1)), keras.layers.Flatten(),
        keras.layers.Dense(hp.Int("units", 8, 32), activation="relu"),
        keras.layers.Dropout(parts.DROPOUT), keras.layers.Dense(10, activation="softmax"),
    ])
    model.compile(keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-2, sampling="log")),
                  "sparse_categorical_crossentropy")
    return model
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[LocalNodes]:
    """Three nodes with a CPU each, but for the second: two GPUs, as Ray counts them, and four CPUs."""
    with local_nodes(3, gpus=2) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a sweep, a model with a module beside it, and data."""
    (tmp_path / "sweep.toml").write_text(SWEEP)
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "parts.py").write_text(f"DROPOUT = 0.3\nLOG = {str(tmp_path / 'begun')!r}\n")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 6000).astype(np.uint8)
    images = rng.integers(0, 200, (6000, 28, 28), dtype=np.uint8)
    for i, label in enumerate(labels):
        # Slowly learnt: a brighter patch in the noise, elsewhere for each class.
        images[i, 2 * label : 2 * label + 4, 5:20] += rng.integers(0, 55, dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels)
    return tmp_path


def command(project: Path, storage: str, *options: str) -> list[str]:
    """Return the command line that runs the sweep."""
    program = [sys.executable, "-m", "fmnist_sweep", "run", str(project / "sweep.toml")]
    return [*program, "--storage", f"sqlite:///{project / storage}", *options]


def exporting(project: Path, storage: str, *options: str) -> list[str]:
    """Return the command line that exports the sweep's winner, into a folder named after the storage."""
    line = command(project, storage, "--repeats", "2", "--output", str(project / storage[:-3]), *options)
    line[line.index("run") : line.index("run") + 2] = ["export", "small"]
    return line


def facts_of(project: Path, storage: str) -> dict[str, Any]:
    """Return what an export's bundle says of itself, less times of day."""
    facts: dict[str, Any] = json.loads((project / storage[:-3] / "small" / "metrics.json").read_text())
    for dated in facts["test_readings"]:
        del dated["when"]
    return {**facts, "written": ""}


OFTEN = """
from fmnist_sweep.cli.main import main
from fmnist_sweep.engines.cluster.engine import ClusterEngine

ClusterEngine.__init__.__kwdefaults__["checkpoint_every_s"] = 0.2
main()
"""


def often(line: list[str]) -> list[str]:
    """Return a command line whose trials keep checkpoints all the time: none of them takes ten seconds."""
    assert line[1:3] == ["-m", "fmnist_sweep"]
    return [line[0], "-c", OFTEN, *line[3:]]


def environment(project: Path) -> dict[str, str]:
    """Return what the command is run with; data that were sent are kept in the project's own cache."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(project / "cache")}


def curves(project: Path, storage: str) -> dict[int, Any]:
    """Return the state and the scores of each epoch of each trial, all digits, without its seconds."""
    study = StoredStudy.of(load_study(open_storage(f"sqlite:///{project / storage}", create=False), "small"))
    return {
        trial.number: (
            trial.state,
            [(dict(e.train), dict(e.val)) for e in (trial.curve.epochs if trial.curve else ())],
            trial.n_retries,
        )
        for trial in study.trials
    }


class Running:
    """A sweep that runs, and what it tells."""

    def __init__(self, line: list[str], project: Path) -> None:
        self._errors = project / "errors.txt"
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                line, cwd=project, env=environment(project), stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.told: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.told.extend(map(json.loads, lines))

    def wait_for(self, event: str, n: int) -> None:
        """Wait until so many events of a kind were told."""
        self.wait_until(lambda: sum(told["event"] == event for told in list(self.told)) >= n)

    def wait_until(self, holds: Callable[[], object], *, within_s: float = 400) -> None:
        """Wait until something holds, which it must while the sweep runs."""
        until = time.monotonic() + within_s
        while not holds():
            assert self.process.poll() is None, self.error()
            assert time.monotonic() < until, self.told[-5:]
            time.sleep(0.05)

    def error(self) -> str:
        """Return what was printed as errors."""
        return self._errors.read_text()

    def end(self, *, within_s: float = 500) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(within_s)
        self._reader.join()
        return code

    def notes(self) -> str:
        """Return what was said."""
        return "\n".join(told["message"] for told in self.told if told["event"] == "note")


def agents_under(raylet: int) -> list[psutil.Process]:
    """Return the agents of a node."""
    found = []
    # It may have been killed.
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(raylet).children():
            with suppress(psutil.NoSuchProcess):
                if "RayActor" in " ".join(process.cmdline()):
                    found.append(process)
    return found


def most_at_once(told: list[dict[str, Any]]) -> int:
    """Return how many trials were training at a time, as they were told of."""
    running: set[int] = set()
    most = 0
    for one in told:
        if one["event"] == "trial_start":
            running.add(one["trial"])
        elif one["event"] == "trial_end":
            running.discard(one["trial"])
        most = max(most, len(running))
    return most


def begun_under(agent: psutil.Process, project: Path) -> dict[int, str]:
    """Return the trials that have begun on an agent's node, with the GPUs that their processes may see."""
    log = project / "begun"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    servers = {str(child.pid) for child in agent.children()}
    return {int(trial): device for trial, device, server in lines if server in servers}


def test_a_killed_node_and_a_killed_agent_change_no_curve(nodes: LocalNodes, project: Path) -> None:
    """Every stored curve is the local engine's to the last digit; nothing counts as a retry.

    What was lost goes on from the folder that the nodes share, of which nothing is left in the end. Each
    trial on the node with GPUs is given one of them, which Ray grants for as long as the run lasts.
    """
    shared = project / "shared"
    on_ray = ["--engine", "ray", "--address", nodes.address, "--checkpoint-storage", f"file://{shared}"]
    run = Running(often(command(project, "ray.db", *on_ray, "--json-events")), project)

    def agent_of(i: int) -> psutil.Process:
        run.wait_until(lambda: agents_under(nodes.raylets[i]))
        (agent,) = agents_under(nodes.raylets[i])
        return agent

    def has_checkpoint(agent: psutil.Process) -> bool:
        return any([*shared.rglob(f"trial-{n}.checkpoint")] for n in begun_under(agent, project))

    orphan = agent_of(2)
    run.wait_until(lambda: has_checkpoint(orphan))
    assert set(begun_under(orphan, project).values()) == {"-1"}
    os.kill(nodes.raylets[2], signal.SIGKILL)
    agent = agent_of(1)
    run.wait_until(lambda: len(begun_under(agent, project)) > 1 and has_checkpoint(agent))
    assert set(begun_under(agent, project).values()) == {"0", "1"}
    # TensorFlow in an agent would hold memory of every GPU.
    assert not any("tensorflow" in mapped.path for mapped in agent.memory_maps())
    agent.kill()
    assert run.end() == 0, run.told[-3:]
    assert run.error() == ""
    assert run.notes().count("was lost") >= 2, run.notes()
    assert run.notes().count(" goes on after epoch ") >= 2, run.notes()
    assert "on nodes that have GPUs trials train on those, one on each" in run.notes()
    assert most_at_once(run.told) <= 4
    look = f"import ray; ray.init({nodes.address!r}); print(ray.available_resources()['GPU'])"
    line = [sys.executable, "-c", look]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "2.0\n"

    subprocess.run(
        command(project, "local.db", "--workers", "2"), cwd=project, env=environment(project), check=True
    )
    found = curves(project, "ray.db")
    assert found == curves(project, "local.db")
    assert len(found) == 6
    # Final trainings too; what they hand over is here, and the bundles are the same.
    for storage, options in (("ray.db", on_ray), ("local.db", ["--workers", "2"])):
        line = exporting(project, storage, *options)
        subprocess.run(line, cwd=project, env=environment(project), check=True)
    assert facts_of(project, "ray.db") == facts_of(project, "local.db")
    # But for what was being written as it was killed, which the next run removes.
    assert not [path for path in shared.rglob("[!.]*") if path.is_file()]
    # Nothing of it is left, on the node that was killed either.
    assert not any(agents_under(raylet) for raylet in nodes.raylets[:2])
    assert psutil.wait_procs([orphan], timeout=30)[1] == []


@pytest.mark.faults
def test_a_node_that_is_cut_off_and_comes_back_changes_no_curve(project: Path) -> None:
    """Its trials go on elsewhere, to the same curves; what it says once it wakes is not written again."""
    with local_nodes(2) as nodes:
        on_ray = ["--engine", "ray", "--address", nodes.address, "--json-events"]
        run = Running(command(project, "cut.db", "--trials", "4", *on_ray), project)
        run.wait_for("epoch", 12)
        raylet = nodes.raylets[1]
        (agent,) = agents_under(raylet)
        silent = [psutil.Process(raylet), agent]
        n_notes = sum(told["event"] == "note" for told in run.told)
        for process in silent:
            # As where its network is cut: nothing comes from it, and its trials train on.
            process.suspend()
        run.wait_for("note", 1 + n_notes)
        for process in silent:
            process.resume()
        assert run.end() == 0, run.told[-3:]
        assert run.error() == ""
        assert "it died, or was cut off" in run.notes(), run.notes()
        # Its node belongs to no cluster any more: nothing goes on there.
        assert psutil.wait_procs([agent], timeout=60)[1] == []
    epochs = [(told["trial"], told["epoch"]) for told in run.told if told["event"] == "epoch"]
    assert len(set(epochs)) == len(epochs) == 4 * 20

    line = command(project, "local.db", "--trials", "4", "--workers", "2")
    subprocess.run(line, cwd=project, env=environment(project), check=True)
    assert curves(project, "cut.db") == curves(project, "local.db")


@pytest.mark.faults
def test_ctrl_c_puts_trials_back_and_the_same_command_goes_on(nodes: LocalNodes, project: Path) -> None:
    """Within ten seconds; from the checkpoints of the end, here in a folder that the nodes share.

    Of what trials no longer need nothing is left there, and the weights that are kept come to the parent.
    """
    shared = project / "shared by #all"
    line = command(project, "stopped.db", "--engine", "ray", "--address", nodes.address, "--json-events")
    line += ["--checkpoint-storage", f"file://{shared}", "--set", "keep_models=1"]
    run = Running(line, project)
    run.wait_for("epoch", 8)
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.end(within_s=60) == 130
    assert time.monotonic() - began < 20
    assert list(shared.rglob("trial-*.checkpoint"))
    again = Running(line, project)
    assert again.end() == 0, again.told[-3:]
    resumed = [told["n_resumed"] for told in again.told if told["event"] == "trial_start"]
    assert max(resumed) > 0
    assert not [path for path in shared.rglob("*") if path.is_file()]
    assert not list((project / "stopped.db.checkpoints").rglob("*.checkpoint"))
    assert len(list((project / "stopped.db.weights").rglob("*.npz"))) == 1


@pytest.mark.faults
def test_a_killed_parent_leaves_nothing_running(nodes: LocalNodes, project: Path) -> None:
    """Its agents end, and all their trials."""
    line = command(project, "killed.db", "--engine", "ray", "--address", nodes.address, "--json-events")
    run = Running(line, project)
    run.wait_for("epoch", 3)
    (agent,) = [agent for raylet in nodes.raylets[:2] for agent in agents_under(raylet)][:1]
    family = [agent, *agent.children(recursive=True)]
    run.process.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    run.end()


@pytest.mark.faults
def test_a_killed_export_goes_on_from_an_object_store(nodes: LocalNodes, project: Path) -> None:
    """To the local engine's bundle, though an agent is killed as well; the test set is read once."""
    with np.load(project / "images.npz") as kept:
        x, y = kept["x_train"], kept["y_train"]
    np.savez(project / "images.npz", x_train=x[600:], y_train=y[600:], x_test=x[:600], y_test=y[:600])
    where: dict[str, Any] = {"cwd": project, "env": environment(project)}
    long = [f"--set=space.{one}" for one in ("units=32", "learning_rate=0.01", "epochs=60")]
    subprocess.run(
        command(project, "local.db", "--trials", "1", "--workers", "1", *long), **where, check=True
    )
    shutil.copy(project / "local.db", project / "ray.db")
    subprocess.run(exporting(project, "local.db", "--workers", "2"), **where, check=True)

    def wait_for(holds: Callable[[], object], process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + 400
        while not holds():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)

    def agents() -> list[psutil.Process]:
        return [agent for raylet in nodes.raylets for agent in agents_under(raylet)]

    def checkpoints(host: str) -> dict[int, str]:
        found = ((re.search(r"/trial-(\d+)\.checkpoint$", name), digest) for name, digest in s3_files(host))
        return {int(trial[1]): digest for trial, digest in found if trial}

    def writes(host: str, agent: psutil.Process) -> bool:
        """Return whether a training on an agent's node has gone on from its checkpoint."""
        now = checkpoints(host)
        return any(
            before.get(n) not in (None, now.get(n, before.get(n))) for n in begun_under(agent, project)
        )

    with s3_server() as host:
        on_ray = ["--engine", "ray", "--address", nodes.address]
        line = often(exporting(project, "ray.db", *on_ray, "--checkpoint-storage", s3_folder(host, "x")))
        with subprocess.Popen(line, **where, text=True) as first:
            wait_for(lambda: checkpoints(host), first)
            family = [one for agent in agents() for one in (agent, *agent.children(recursive=True))]
            first.kill()
        assert psutil.wait_procs(family, timeout=60)[1] == []
        assert not (project / "ray").exists()
        (project / "begun").unlink()
        before = checkpoints(host)
        told: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(line, **where, **told, text=True) as second:
            wait_for(lambda: any(writes(host, agent) for agent in agents()), second)
            next(agent for agent in agents() if writes(host, agent)).kill()
            said, _ = second.communicate(timeout=400)
        assert second.returncode == 0, said
        assert "goes on after epoch" in said
        assert SECRET not in said
        assert s3_files(host) == set()
    assert facts_of(project, "ray.db") == facts_of(project, "local.db")
    study = load_study(open_storage(f"sqlite:///{project / 'ray.db'}", create=False), "small")
    assert [reading["complete"] for reading in StoredStudy.of(study).readings] == [True]
    assert agents() == []


@pytest.mark.faults
def test_a_lost_head_ends_the_run_with_one_line(project: Path) -> None:
    """Exit code 1; the trials are put back, and another cluster goes on with them."""
    with local_nodes(2) as nodes:
        on_ray = ["--engine", "ray", "--address", nodes.address, "--json-events"]
        run = Running(command(project, "lost.db", *on_ray, "--set", "space.epochs=500"), project)
        run.wait_for("epoch", 6)
        os.kill(nodes.head, signal.SIGKILL)
        assert run.end(within_s=90) == 1, run.told[-3:]
    (error,) = [told for told in run.told if told["event"] == "error"]
    assert "does not answer any more; nothing is lost" in error["message"]
    assert run.error().count("\n") <= 1, run.error()
    assert {state for state, _, _ in curves(project, "lost.db").values()} <= {"COMPLETE", "WAITING"}
