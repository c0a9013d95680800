"""Claims judged on made-up results whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from made_paper import TINY, add_test, made_curve
from made_studies import stored

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import TrialJob
from original_study.claims import CLAIMS
from original_study.dense_claims import BASE, BEST, RELU, SLOW
from original_study.effects import Claim, Judged, judge, of, takes_train_accuracy
from original_study.experiments import Experiment
from original_study.results import Results, read_results
from original_study.verdict import Verdict

Runner = Callable[..., optuna.Study]
Wanted = dict[str, Experiment]
HOLDS, FAILS, UNMEASURED = Verdict.HOLDS, Verdict.FAILS, Verdict.UNMEASURED


def claim(number: int) -> Claim:
    return next(c for c in CLAIMS if c.number == number)


@pytest.fixture
def judged(wanted: Wanted, run: Runner, memory: Any) -> Callable[..., Judged]:
    """Judge one claim: ``judged(number, curve, *experiments)``."""

    def judge_one(number: int, curve: Callable[[TrialJob], LearningCurve], *names: str) -> Judged:
        studies = {wanted[n].study_name: stored(run(wanted[n], memory, curve)) for n in names}
        return judge([claim(number)], read_results(studies, prefix=TINY.prefix))[0]

    return judge_one


def by_rate(slow_gap: float, fast_gap: float) -> Callable[[TrialJob], LearningCurve]:
    return lambda job: made_curve(
        job, gap=slow_gap if job.hyperparameters["learning_rate"] == 1e-5 else fast_gap
    )


@pytest.mark.parametrize(
    ("slow", "fast", "verdict"),
    [(0.005, 0.03, HOLDS), (0.02, 0.022, FAILS), (0.03, 0.01, FAILS)],
)
def test_a_difference_of_gaps_is_judged_pair_by_pair(
    judged: Callable[..., Judged], slow: float, fast: float, verdict: Verdict
) -> None:
    """What every seed shows alike is sure, however much the seeds themselves differ."""
    found = judged(1, by_rate(slow, fast), "dense-rate-and-l2")
    assert found.verdict is verdict
    (part,) = found.parts
    assert part.effect is not None
    assert part.effect.n == 3
    assert part.effect.mean == pytest.approx((fast - slow) * 15 / 17, abs=1e-5)


def test_epochs_are_read_off_one_run(judged: Callable[..., Judged]) -> None:
    """After 13, 15 and 17 epochs the made curve has these gaps."""
    found = judged(2, by_rate(0.01, 0.17), "dense-rate-and-l2")
    first, second, _ = (part.effect for part in found.parts)
    assert first is not None
    assert second is not None
    assert (first.mean, second.mean) == pytest.approx((0.02, 0.02), abs=1e-5)


def test_a_running_mean_that_changes_an_answer_is_shown(judged: Callable[..., Judged]) -> None:
    """Each claim that takes a training accuracy is judged with both; the two may differ."""

    def curve(job: TrialJob) -> LearningCurve:
        made = by_rate(0.005, 0.03)(job)
        rows = (replace(s, running={"accuracy": s.val["accuracy"] - 0.001}) for s in made.epochs)
        return LearningCurve(tuple(rows))

    found = judged(1, curve, "dense-rate-and-l2")
    assert (found.verdict, found.running_verdict) == (HOLDS, FAILS)
    assert found.parts[0].running is not None
    assert found.parts[0].running.mean == pytest.approx(0, abs=1e-9)


def test_a_claim_without_a_gap_has_one_verdict(judged: Callable[..., Judged]) -> None:
    """Where no training accuracy counts, there is nothing to measure in two ways."""
    found = judged(4, made_curve, "dense-depth", "dense-width")
    assert found.running_verdict is None
    assert found.verdict is FAILS
    assert not any(takes_train_accuracy(part.part) for part in found.parts)


def test_seconds_are_compared_as_a_ratio(judged: Callable[..., Judged]) -> None:
    """The made epochs without pooling take six times as long."""
    found = judged(12, made_curve, "cnn-pooling")
    assert found.parts[0].effect is not None
    assert found.parts[0].effect.mean == pytest.approx(1.791759, abs=1e-5)
    assert found.verdict is HOLDS


def test_nothing_is_said_of_what_was_not_run() -> None:
    """Without a study no claim is measured, and no effect is made up."""
    for found in judge(CLAIMS, Results({})):
        assert found.verdict is UNMEASURED
        assert all(part.effect is None for part in found.parts)


def test_every_claim_is_judged(results: Results) -> None:
    """With all studies there every part has an effect over all seeds, and each claim its number in order."""
    found = judge(CLAIMS, results)
    assert [one.claim.number for one in found] == list(range(1, 16))
    sizes = {part.effect.n if part.effect is not None else 0 for one in found for part in one.parts}
    assert sizes == {3}
    assert found[6].parts[-1].verdict is HOLDS


@pytest.mark.parametrize(("shirts", "verdict"), [(100, HOLDS), (20, FAILS)])
def test_the_most_confused_pair_is_counted_in_both_directions(
    wanted: Wanted, run: Runner, memory: Any, shirts: int, verdict: Verdict
) -> None:
    """Two hundred shirts and pullovers lead sixty T-shirts; forty don't."""
    study = run(wanted["dense-final"], memory)
    add_test(study, shirts=shirts)
    (found,) = judge([claim(8)], read_results({study.study_name: stored(study)}, prefix=TINY.prefix))
    assert found.verdict is verdict


def test_the_best_is_the_best_of_each_seed(results: Results) -> None:
    """No configuration is above it in any seed."""
    best = of(BEST, "val_accuracy").by_seed(results)
    for one in (BASE, SLOW, RELU):
        values = of(one, "val_accuracy").by_seed(results)
        assert all(best[seed] >= value for seed, value in values.items())


def test_reshuffled_repeats_have_wider_intervals(results: Results) -> None:
    """Splits that share images are corrected for; seeds on one split need no correction."""
    assert of(BASE, "gap").sizes(results) == (5000, 55_000)
    assert of(claim(15).parts[0].effect.terms[0][1].run, "gap").sizes(results) == (0, 1)
