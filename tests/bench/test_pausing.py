"""Methods that pause trials, on recorded curves written by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the problems need the extra bench")
from made_table import EPOCHS, made_table

from benchmarks import pausing_race
from benchmarks.pausing import Promotion
from benchmarks.pausing_page import better
from benchmarks.performance import render
from benchmarks.problems import Recorded
from benchmarks.race import Race, race_peer

N_TRIALS = 9


@pytest.fixture(scope="module")
def problem() -> Recorded:
    """Some made configurations, none but themselves."""
    return Recorded(made_table("dense", 20), quantile=0.99)


def raced(problem: Recorded, peer: Promotion) -> Race:
    return race_peer("it", problem, peer, 0, at_least_s=math.inf)


def listed(problem: Recorded, seed: int = 0) -> dict[str, Any]:
    return {"sampler": {"name": "points", "points": problem.points(seed)}, "n_trials": N_TRIALS}


def test_recorded_configurations_come_in_an_order_of_the_seeds(problem: Recorded) -> None:
    """All of them, once each, with the curves that were recorded."""
    first, other = problem.points(0), problem.points(1)
    assert first == problem.points(0)
    assert first != other
    assert sorted(map(json.dumps, first)) == sorted(map(json.dumps, other))
    assert problem.curve(problem.table.rows[7].point, 3) == problem.table.rows[7].curve


def test_promotion_trains_the_best_to_the_end_and_no_epoch_twice(problem: Recorded) -> None:
    """The others wait at the rung: they cost two epochs each."""
    peer = Promotion(problem, 0, first=2, **listed(problem))
    told = raced(problem, peer)
    trained = {len(begun.scores) for begun in peer._begun}
    assert trained == {2, EPOCHS}
    assert told.n_epochs == sum(len(begun.scores) for begun in peer._begun) < N_TRIALS * EPOCHS
    best = max(peer._begun, key=lambda begun: max(begun.scores[:2]))
    assert len(best.scores) == EPOCHS
    assert sum(begun.state == "paused" for begun in peer._begun) >= N_TRIALS // 3


def test_a_paused_trial_goes_on_after_others_have_begun(problem: Recorded) -> None:
    """Or nothing would have been paused: it takes more starts than there are configurations."""
    assert raced(problem, Promotion(problem, 0, first=2, **listed(problem))).n_trials > N_TRIALS


def test_a_race_tells_when_a_score_was_reached_and_the_best_until_then() -> None:
    """From the epochs that were better than any before."""
    race = Race("it", "", 0, None, 9.0, 1, 3, ((1.0, 0.5), (4.0, 0.8)))
    assert [race.time_to(score) for score in (0.4, 0.8, 0.9)] == [1.0, 4.0, None]
    assert [race.best_by(seconds) for seconds in (0.5, 3.0, 9.0)] == [-math.inf, 0.5, 0.8]


def line(name: str, seed: int, seconds: float | None, score: float) -> dict[str, Any]:
    return {
        "model": "dense",
        "name": name,
        "seed": seed,
        "easy_s": seconds,
        "hard_s": seconds,
        "score": score,
        "seconds": 1.0,
        "epochs": 2,
    }


def test_a_rule_is_better_that_is_faster_and_loses_nothing() -> None:
    """On every model, over the seeds that all have raced."""
    slow, fast = pausing_race.OURS, "random / median"
    lines = [line(slow, seed, 10.0, 0.9) for seed in range(4)]
    lines += [line(fast, seed, 5.0, 0.8996) for seed in range(3)]
    rows = pausing_race.summarise(lines, 20.0)
    assert [row["n"] for row in rows] == [3, 3]
    assert rows[1]["easy_faster"] == 2.0
    assert better([rows]) == [fast]
    worse = pausing_race.summarise([*lines[:3], *(line(fast, seed, 5.0, 0.899) for seed in range(3))], 20.0)
    assert better([rows, worse]) == []


def test_where_only_one_arrives_how_much_faster_it_is_has_a_lower_bound() -> None:
    """The other one had until the end of the race."""
    slow, fast = pausing_race.OURS, "random / median"
    lines = [line(slow, seed, None, 0.9) for seed in range(2)]
    lines += [line(fast, seed, 5.0, 0.9) for seed in range(2)]
    first, second = pausing_race.summarise(lines, 20.0)
    assert (first["hard_faster"], first["hard_at_least"]) == (None, False)
    assert (second["hard_faster"], second["hard_at_least"]) == (4.0, True)


def test_races_are_kept_and_shown(problem: Recorded, tmp_path: Path) -> None:
    """What stands in the file is not raced again."""
    keep, said = tmp_path / "races.jsonl", list[str]()
    names = pausing_race.entries(recorded=True)
    kept = [{**line(name, seed, 3.0, 0.8), "model": problem.name} for name in names for seed in range(2)]
    keep.write_text("".join(f"{json.dumps(one)}\n" for one in kept), "utf-8")
    lines = pausing_race.measure(problem, range(2), keep, say=said.append)
    assert (lines, len(said)) == (kept, 1)
    told = {"model": "dense", "recorded": True, "limit_trials": 40, "n_configurations": 20}
    told |= {"easy": 0.8, "hard": 0.9, "rows": pausing_race.summarise(lines, 20.0)}
    page = render({**_bare(), "pausing": [told]})
    assert "| random / promotion by 3 from 1 epoch | 3 s, 1.00 x (2) |" in page


def _bare() -> dict[str, Any]:
    machine = {"cpu": "", "n_cores": 2, "memory_gb": 1.0, "system": "", "python": ""}
    return {"date": "", "quick": False, "machine": machine, "versions": {}, "skipped": {}, "bars": []}
