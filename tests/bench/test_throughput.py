from typing import Any

import pytest

from benchmarks import throughput
from benchmarks.throughput import Plan, bars, compare, summarise
from benchmarks.workload import Workload, blocks, draw

PLAN = Plan({"dense": 5}, n_blocks=2, epochs=3)


def measured(names: list[str], said: list[str] | None = None) -> dict[str, Any]:
    """Compare with made times: ours takes 1 s a trial, the others 4, and 10 s to start."""

    def run(name: str, work: Workload) -> dict[str, Any]:
        (said if said is not None else []).append(name)
        train = len(work.points) * (1.0 if name == "ours" else 4.0)
        accuracy = 0.88 if name == "ours" else 0.878
        return {
            "wall_s": train + 10,
            "train_s": train,
            "start_s": 10.0,
            "val_accuracy": [accuracy] * len(work.points),
        }

    return compare("dense", PLAN, names, run=run, say=lambda _: None)


def test_all_train_the_same_trials_in_rotating_order() -> None:
    """Every configuration once, dealt to blocks, and another contestant first in each."""
    said: list[str] = []
    told = measured(["ours", "script"], said)
    assert said == ["ours", "script", "script", "ours"]
    assert [run["n_trials"] for run in told["runs"]["script"]] == [3, 2]


def test_the_list_of_trials_is_that_of_the_sweep() -> None:
    """Equal seeds draw equal points of its space, epochs left out; blocks hold each of them once."""
    points = draw("cnn", 7)
    assert points == draw("cnn", 7) != draw("cnn", 7, seed=1)
    space = Workload("cnn", tuple(points), 3).config().sampled_space
    assert all(space.contains(point) for point in points)
    dealt = [point for block in blocks(points, 3) for point in block]
    assert sorted(map(repr, dealt)) == sorted(map(repr, points))


def test_a_workload_travels_to_another_process() -> None:
    """As JSON, and its sweep trains what it says and nothing less."""
    work = Workload("dense", tuple(draw("dense", 2)), 3, seed=5, train_size=1000)
    assert Workload.from_json(work.to_json()) == work
    config = work.config()
    assert (config.epochs, config.file.training.patience, config.file.pruner.name) == ([3], None, "none")
    assert (config.file.training.seed, config.split.train_size, config.file.budget.trials) == (5, 1000, 2)


def test_ratios_are_told_with_and_without_the_start() -> None:
    """Theirs over ours, and how far the accuracies lie apart."""
    ours, script = summarise(measured(["ours", "script"]))
    assert "ratio" not in ours
    assert script["ratio_without_start"] == {"median": 4.0, "low": 4.0, "high": 4.0, "n": 2}
    assert script["ratio"]["high"] == pytest.approx(22 / 13)
    assert script["accuracy_difference"] == pytest.approx(0.002)
    assert script["accuracy_bias"] == pytest.approx(0.002)
    assert ours["trials_an_hour"] == pytest.approx(3600 * 5 / 25)


def test_a_contestant_that_can_not_run_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bar is not measured, and says why."""
    monkeypatch.setattr(throughput, "missing", lambda name: "no Ray here" if name == "ray" else None)
    found = bars(measured(["ours", "script", "ray"]))
    assert [bar.met for bar in found] == [False, None, True]
    assert found[1].note == "no Ray here"
    assert "without start-up 4.00 x" in found[0].note
