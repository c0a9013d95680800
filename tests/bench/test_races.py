"""Races in virtual time, on tables written by hand."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_table import EPOCHS, made_table
from threadpoolctl import threadpool_limits

from benchmarks.workload import fixed_config
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.search import tpe

pytest.importorskip("sklearn", reason="the surrogate needs the extra bench")
from benchmarks import many_workers, methods, race, score_race, whole_sweeps
from benchmarks.instrumented import _GIVING, _TIMED
from benchmarks.problems import Problem
from benchmarks.race import Proposal, Race, race_peer, require_same_problem

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def problem() -> Problem:
    """The dense problem of a made table."""
    # On one core: so small matrices keep the others busy with waiting for each other.
    with threadpool_limits(1):
        return Problem(made_table("dense"))


@pytest.mark.slow
def test_a_configuration_has_one_curve_for_a_seed(problem: Problem) -> None:
    """Equal arguments, equal curves; another seed moves it by no more than the table is rugged."""
    point = problem.space.sample(np.random.default_rng(1))
    first = problem.curve(point, 0)
    again = Problem(made_table("dense")).curve(point, 0)
    assert first == again
    other = problem.curve(point, 1)
    assert other != first
    assert abs(other.epochs[-1].val["accuracy"] - first.epochs[-1].val["accuracy"]) < 0.02
    assert all(scores.seconds == pytest.approx(1.0, rel=0.01) for scores in first.epochs)


def test_the_surrogate_ranks_configurations_that_it_was_not_shown(problem: Problem) -> None:
    """Else races on it would say nothing of real searches."""
    assert problem.fidelity()["spearman"] > 0.9


def test_one_in_ten_random_configurations_reaches_the_target(problem: Problem) -> None:
    """On points and noise other than those that set it."""
    rng = np.random.default_rng(5)
    scores = problem.best_scores([problem.space.sample(rng) for _ in range(400)], 5)
    assert np.mean(scores >= problem.target) == pytest.approx(0.1, abs=0.05)


class Scripted:
    """A peer that proposes given points and stops after given epochs."""

    n_workers = 1

    def __init__(
        self, points: list[dict[str, Scalar]], *, stop_after: int = EPOCHS, n_resumed: int = 0
    ) -> None:
        self._points = points
        self._stop_after = stop_after
        self._n_resumed = n_resumed
        self.told: list[tuple[Any, ...]] = []

    def propose(self, trial: int) -> Proposal | None:
        """Return the next point."""
        if trial >= len(self._points):
            return None
        return Proposal(self._points[trial], EPOCHS, self._n_resumed)

    def epoch(self, trial: int, epoch: int, score: float) -> bool:  # noqa: ARG002
        """Keep it."""
        self.told.append((trial, epoch))
        return epoch + 1 >= self._stop_after

    def end(self, trial: int, *, stopped: bool) -> None:
        """Keep it."""
        self.told.append((trial, stopped))


@pytest.fixture
def good_and_bad(problem: Problem) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    """The best and the worst of some random points."""
    rng = np.random.default_rng(2)
    points = [problem.space.sample(rng) for _ in range(60)]
    scores = problem.best_scores(points, 0)
    assert scores.max() >= problem.target
    return points[int(scores.argmax())], points[int(scores.argmin())]


def test_the_clock_stops_at_the_epoch_that_reaches_the_score(
    problem: Problem, good_and_bad: tuple[dict[str, Scalar], dict[str, Scalar]]
) -> None:
    """Not at its trial's end, and what was stopped before has cost its own epochs alone."""
    good, bad = good_and_bad
    first = int(np.argmax(problem.rule.scores(problem.curve(good, 0)) >= problem.target))

    def seconds(point: dict[str, Scalar], n: int) -> float:
        return problem.start_s + float(problem.curve(point, 0).values("seconds")[:n].sum())

    told = race_peer("scripted", problem, Scripted([bad, good]), 0)
    assert told.reached_s == pytest.approx(seconds(bad, EPOCHS) + seconds(good, first + 1))
    assert (told.n_trials, told.n_epochs) == (2, EPOCHS + first + 1)
    slow = race_peer("scripted", problem, Scripted([bad, good]), 0, slowness=3.0)
    assert slow.reached_s == pytest.approx(3 * (told.reached_s or 0.0))


def test_what_a_peer_stops_ends_there(
    problem: Problem, good_and_bad: tuple[dict[str, Scalar], dict[str, Scalar]]
) -> None:
    """It is told the end, and its next trial starts at that moment; without one the race is over."""
    peer = Scripted([good_and_bad[1]], stop_after=2)
    told = race_peer("scripted", problem, peer, 0)
    assert peer.told == [(0, 0), (0, 1), (0, True)]
    assert (told.reached_s, told.n_epochs) == (None, 2)


def test_what_a_peer_goes_on_from_takes_no_time(
    problem: Problem, good_and_bad: tuple[dict[str, Scalar], dict[str, Scalar]]
) -> None:
    """As KerasTuner's Hyperband goes on from the weights of its last round."""
    told = race_peer("scripted", problem, Scripted([good_and_bad[1]], n_resumed=EPOCHS - 1), 0)
    assert told.n_epochs == 1
    assert told.seconds == pytest.approx(problem.start_s + 1.0, rel=0.01)


def test_races_on_different_problems_are_not_compared() -> None:
    """Nor on different seeds."""

    def made(problem: str, *seeds: int) -> list[Race]:
        return [Race("m", problem, seed, 1.0, 1.0, 1, 1) for seed in seeds]

    require_same_problem({"a": made("p", 0, 1), "b": made("p", 1, 0)})
    with pytest.raises(ValueError, match="different problems"):
        require_same_problem({"a": made("p", 0), "b": made("q", 0)})
    with pytest.raises(ValueError, match="different seeds"):
        require_same_problem({"a": made("p", 0), "b": made("p", 1)})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["ours", "random", "optuna"])
def test_equal_seeds_race_alike(problem: Problem, name: str, seed: int) -> None:
    """A method, a problem and a seed decide a race."""
    entries: dict[str, Callable[[], race.Entry]] = {
        "ours": lambda: methods.ours("ours"),
        "random": lambda: methods.peer("random", methods.RandomSearch),
        "optuna": lambda: methods.peer("optuna", methods.OptunaDefaults),
    }
    first, second = (entries[name]()(problem, seed) for _ in range(2))
    assert first == second
    assert first.reached_s is not None


def test_ours_races_with_the_settings_of_the_sweep_file(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own sampler, pruner and patience, but for the seed, and without the default configuration."""
    seen: list[Any] = []
    monkeypatch.setattr(methods, "race_ours", lambda *given: seen.append(given))
    methods.ours("ours")(problem, 3)
    ((name, _, config, seed),) = seen
    file = fixed_config("dense").file
    assert (name, seed, config.file.sampler.seed, config.file.sampler.enqueue_default) == (
        "ours",
        3,
        3,
        False,
    )
    assert config.file.pruner == file.pruner
    assert config.file.sampler.name == file.sampler.name
    assert config.file.training.patience == 5


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_the_reports_own_runs_are_points_of_the_model(model: str) -> None:
    """Each number of epochs is a run of its own, up to those of the table."""
    problem = Problem(made_table(model, 30))
    runs = methods.hand_runs(problem)
    assert len(runs) == (16 if model == "dense" else 8)
    assert {run.epochs for run in runs} <= {5, EPOCHS}
    for run in runs:
        assert set(run.point) >= set(problem.space.fill(lambda name, _, run=run: run.point[name]))  # type: ignore[misc]
        assert len(problem.curve(dict(run.point), 0)) == EPOCHS


def test_a_method_that_mostly_does_not_arrive_has_a_lower_bound() -> None:
    """Its median is not made up: the ratio is that of the time it was given."""
    ours = [Race("ours", "p", s, 10.0, 10.0, 2, 9) for s in range(3)]
    slow = [Race("slow", "p", s, 30.0 if s == 0 else None, 80.0, 9, 99) for s in range(3)]
    row = score_race.row("slow", slow, ours)
    assert (row["median_s"], row["ratio"], row["at_least"], row["reached"]) == (None, 8.0, True, 1)
    assert row["quartiles_s"] == [30.0, None]
    assert score_race.row("ours", ours, ours)["ratio"] == 1.0


def test_a_peers_own_speed_is_that_of_a_core() -> None:
    """Ours trains two side by side: a peer alone at half the pace is as fast on an epoch."""
    rows: list[dict[str, Any]] = [
        {"name": "ours"},
        *({"name": n, "ratio": 0, "ratio_without_start": {"median": 2.0}} for n in ("optuna", "ray")),
    ]
    assert score_race.slowness_from(rows) == {"optuna": 1.0, "ray asha": 2.0}


def test_bars_say_how_they_were_measured() -> None:
    """A peer's own speed counts where it is known; what could not race is not measured."""
    base = {
        "quartiles_s": [1.0, 2.0],
        "reached": 10,
        "n": 10,
        "n_trials": 1.0,
        "n_epochs": 1.0,
        "at_least": False,
    }
    told = {
        "model": "dense",
        "skipped": {"ray asha": "no Ray here"},
        "rows": [
            {**base, "name": n, "ratio": r} for n, r in (("ours", 1.0), ("optuna", 2.0), ("hand grid", 11.0))
        ],
        "rows_at_own_speed": [{**base, "name": "optuna", "ratio": 3.5}],
    }
    found = {bar.what.split("over ")[1]: bar for bar in score_race.bars(told)}
    assert found["Optuna with its defaults"].met is True
    assert "with equal epoch times 2.0 x" in found["Optuna with its defaults"].note
    assert found["the report's hand grid"].met is True
    assert found["Ray Tune with ASHA"].met is None
    assert found["Ray Tune with ASHA"].note == "no Ray here"


def test_the_stopwatch_knows_the_trainers_parts() -> None:
    """What it times is looked up in the trainer by these names."""
    source = (ROOT / "fmnist_sweep" / "training" / "trainer.py").read_text("utf-8")
    known = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            known.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.name for alias in node.names}
    assert {*_TIMED, *_GIVING} <= known


def test_a_whole_sweep_ends_with_its_trials(problem: Problem) -> None:
    """Its pruner saves epochs, and its time is that of two workers."""
    whole = whole_sweeps.sweep(problem, {"name": "none"}, 0)
    pruned = whole_sweeps.sweep(problem, methods.PRUNERS["successive halving"], 0)
    assert pruned[2] < whole[2] <= whole_sweeps.N_TRIALS * EPOCHS
    assert whole[2] / 2 < whole[1] < whole[2] / 2 + whole_sweeps.N_TRIALS
    assert whole[0] >= pruned[0] > 0


def test_draws_at_once_are_raced_against_the_same_trials(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside so few that each is made for itself both ways find the same; beside more they don't."""

    def found(*, at_once: bool) -> tuple[float, float]:
        told = many_workers.race(problem, 6, 4, 0, at_once=at_once)
        return told["best"], told["last"]

    each = found(at_once=False)
    assert found(at_once=True) == each
    monkeypatch.setattr(tpe, "RUNNING_PER_DRAW", 3)
    assert found(at_once=True) != each
