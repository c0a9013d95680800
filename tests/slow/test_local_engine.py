"""Real models in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SWEEP = """
import json, sys
from fmnist_sweep.core.places import Places
from fmnist_sweep.data import open_data
from fmnist_sweep.engines.local import LocalEngine
from fmnist_sweep.core.events import EpochDone, Failed, Finished
from fmnist_sweep.core.jobs import SplitSpec, TrialJob

def job(trial, model):
    split = SplitSpec(n_val=500, train_size=2000)
    model, values = f"fmnist_sweep.models:{model}", {"dropout": 0.2}
    return TrialJob(trial, model, values, epochs=2, seed=1, data=data, split=split, n_probe=500)

data = open_data()
jobs = [job(trial, "ConvModel" if trial % 2 else "DenseModel") for trial in range(8)]
curves, peaks, failed = {}, {}, []
with LocalEngine(2, places=Places.of(data)) as engine:
    while jobs or engine.running:
        while jobs and len(engine.running) < engine.slots:
            engine.submit(jobs.pop(0))
        for event in engine.events(60):
            if isinstance(event, EpochDone):
                scores = event.scores
                curves.setdefault(event.trial, []).append(
                    [scores.train["accuracy"], scores.train["cross_entropy"],
                     scores.val["accuracy"], scores.val["cross_entropy"]])
                peaks[event.trial] = event.peak_memory_mb
            elif isinstance(event, Failed):
                failed.append([event.reason, event.detail])
heavy = [name for name in ("tensorflow", "keras", "keras_tuner") if name in sys.modules]
print(json.dumps({"curves": curves, "peaks": peaks, "failed": failed, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Eight trials in a fresh parent: dense and convolutional by turns, each kind the same job again."""
    done = subprocess.run(
        [sys.executable, "-c", SWEEP], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["failed"] == []
    return result


@pytest.mark.parametrize("kind", [0, 1])
def test_same_job_same_curve_in_any_process(outcome: dict[str, Any], kind: int) -> None:
    """Every run of a job gives the same curve to the last digit, whichever process it runs in."""
    first, *others = (outcome["curves"][str(trial)] for trial in range(kind, 8, 2))
    assert len(first) == 2
    assert len(others) == 3
    assert all(other == first for other in others)


@pytest.mark.parametrize("kind", [0, 1])
def test_memory_does_not_grow_with_the_trial(outcome: dict[str, Any], kind: int) -> None:
    """A later trial's process needs no more memory than the first one's."""
    first, *others = (outcome["peaks"][str(trial)] for trial in range(kind, 8, 2))
    assert max(others) < 1.05 * first


def test_the_parent_loads_no_tensorflow(outcome: dict[str, Any]) -> None:
    """Only the children know Keras, and nothing that TensorFlow prints at its start reaches the terminal."""
    assert outcome["heavy"] == []
