from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import MetricNotRecordedError
from fmnist_sweep.core.score import ScoreRule, generalization_gap

accuracies = st.floats(0, 1).map(lambda a: round(a, 6))
cross_entropies = st.floats(0, 16).map(lambda c: round(c, 6))
metrics: st.SearchStrategy[str] = st.sampled_from(["accuracy", "cross_entropy"])
amounts = st.floats(0, 10).map(lambda x: round(x, 6))
curves = st.lists(
    st.tuples(accuracies, cross_entropies, accuracies, cross_entropies), min_size=1, max_size=8
).map(
    lambda rows: LearningCurve(tuple(EpochScores.of_classes(epoch, *row) for epoch, row in enumerate(rows)))
)
rules = st.builds(ScoreRule, metric=metrics, penalty=amounts, tolerance=amounts)


@given(curves, metrics, st.floats(-1, 1))
def test_a_constant_added_to_both_curves_leaves_the_gap(curve: LearningCurve, metric: str, c: float) -> None:
    """The gap depends on the difference of the two scores alone."""
    shifted = LearningCurve(
        tuple(
            replace(s, train={metric: s.train[metric] + c}, val={metric: s.val[metric] + c})
            for s in curve.epochs
        )
    )
    before, after = (generalization_gap(x, metric=metric) for x in (curve, shifted))
    np.testing.assert_allclose(after, before, atol=1e-12)


@given(curves, amounts)
def test_penalty_zero_is_the_plain_validation_score(curve: LearningCurve, tolerance: float) -> None:
    """Without a penalty the gap plays no part: accuracy as it is, cross-entropy with its sign turned."""
    accuracy = ScoreRule(penalty=0, tolerance=tolerance)
    cross_entropy = ScoreRule(metric="cross_entropy", penalty=0, tolerance=tolerance)
    assert accuracy.scores(curve).tolist() == curve.values("val_accuracy").tolist()
    assert cross_entropy.scores(curve).tolist() == (-curve.values("val_cross_entropy")).tolist()


@given(curves, rules)
def test_the_score_is_at_most_the_plain_validation_score(curve: LearningCurve, rule: ScoreRule) -> None:
    """The penalty only takes away."""
    assert (rule.scores(curve) <= replace(rule, penalty=0).scores(curve)).all()


@given(curves, rules, amounts)
def test_a_higher_penalty_never_raises_a_score(curve: LearningCurve, rule: ScoreRule, more: float) -> None:
    """The score falls, or stays, as the penalty grows."""
    assert (replace(rule, penalty=rule.penalty + more).scores(curve) <= rule.scores(curve)).all()


@given(accuracies, accuracies, accuracies)
def test_equal_train_and_validation_scores_win_nothing_by_themselves(a: float, b: float, gap: float) -> None:
    """A model without a gap loses to every one whose validation accuracy is higher by more than its loss."""
    rule = ScoreRule(penalty=1.0)
    without_gap = EpochScores.of_classes(0, a, 1 - a, a, 1 - a)
    with_gap = EpochScores.of_classes(0, b + gap, 1 - b, b, 1 - b)
    lost = max(0.0, gap - rule.tolerance)
    assume(abs(b - lost - a) > 1e-9)
    assert (rule.score(with_gap) > rule.score(without_gap)) == (b - lost > a)


@given(accuracies, accuracies, rules)
def test_a_negative_gap_earns_nothing(val: float, train: float, rule: ScoreRule) -> None:
    """Training scores below the validation scores are worth as much as equal ones."""
    low, high = sorted((val, train))
    better_on_val = EpochScores.of_classes(0, low, high, high, low)
    equal = EpochScores.of_classes(0, high, low, high, low)
    assert rule.score(better_on_val) == rule.score(equal)


@pytest.mark.parametrize(("gap", "lost"), [(0.0, 0.0), (0.25, 0.0), (0.375, 0.25), (0.5, 0.5)])
def test_the_gap_costs_only_what_passes_the_tolerance(gap: float, lost: float) -> None:
    """At the tolerance itself nothing is lost; beyond it the penalty for each unit is."""
    # Eighths are exact in binary, so the edge can be hit.
    rule = ScoreRule(penalty=2.0, tolerance=0.25)
    assert rule.score(EpochScores.of_classes(0, 0.5 + gap, 0.0, 0.5, 0.0)) == 0.5 - lost
    cross_entropy = ScoreRule(metric="cross_entropy", penalty=2.0, tolerance=0.25)
    assert cross_entropy.score(EpochScores.of_classes(0, 0.0, 0.5, 0.0, 0.5 + gap)) == -(0.5 + gap) - lost


def test_gap_of_cross_entropy_is_validation_minus_train() -> None:
    """A positive gap is overfitting under either metric."""
    curve = LearningCurve.from_scores(
        train=[0.9], val=[0.8], train_cross_entropy=[0.25], val_cross_entropy=[0.75]
    )
    assert generalization_gap(curve, metric="cross_entropy").tolist() == [0.5]
    assert generalization_gap(curve).round(6).tolist() == [0.1]


def test_unknown_metric_is_named_with_what_is_recorded() -> None:
    """Asking for a metric that no curve holds lists the ones that it holds."""
    curve = LearningCurve.from_scores(train=[0.9], val=[0.8])
    with pytest.raises(MetricNotRecordedError, match="'train_loss' is not recorded; recorded are train_acc"):
        generalization_gap(curve, metric="loss")


@pytest.mark.parametrize(
    ("allowed", "epoch"),
    [
        (None, 1),  # the first of the two best
        ([0, 3], 3),
        ([3, 2, 0], 2),  # in whatever order they are given
        ([0, 9], 0),  # those beyond the end are passed over
        ([8, 9], 4),  # none is left: the last epoch
    ],
)
def test_best_rule_takes_the_first_best_allowed_epoch(
    curve: Callable[..., LearningCurve], allowed: list[int] | None, epoch: int
) -> None:
    """The scored epoch is the earliest of the best ones that the space allows."""
    given_curve = curve(0.5, 0.8, 0.8, 0.7, 0.6)
    assert ScoreRule().scored_epoch(given_curve, allowed=allowed) == epoch


@given(curves, rules, st.sets(st.integers(0, 9)))
def test_best_rule_is_beaten_by_no_allowed_epoch(
    curve: LearningCurve, rule: ScoreRule, allowed: set[int]
) -> None:
    """No allowed epoch has a higher score than the scored one, and no earlier one as high a score."""
    epoch = rule.scored_epoch(curve, allowed=allowed)
    scores = rule.scores(curve)
    reached = [e for e in sorted(allowed) if e < len(curve)]
    assert epoch in (reached or [len(curve) - 1])
    assert all(scores[e] <= scores[epoch] for e in reached)
    assert all(scores[e] < scores[epoch] for e in reached if e < epoch)


@given(curves, rules)
def test_last_rule_takes_the_last_epoch(curve: LearningCurve, rule: ScoreRule) -> None:
    """Under the rule "last" neither scores nor allowed epochs matter."""
    last = replace(rule, epoch_rule="last")
    assert last.scored_epoch(curve, allowed=[0]) == len(curve) - 1


@pytest.mark.parametrize("epoch_rule", ["best", "last"])
def test_an_empty_curve_has_no_scored_epoch(epoch_rule: str) -> None:
    """A curve without epochs is refused under both rules."""
    with pytest.raises(ValueError, match="empty learning curve"):
        ScoreRule(epoch_rule=epoch_rule).scored_epoch(LearningCurve(()))  # type: ignore[arg-type]


@given(curves, rules, accuracies)
def test_the_floor_parts_the_epochs(curve: LearningCurve, rule: ScoreRule, floor: float) -> None:
    """Every epoch below the floor scores under every epoch that reaches it, whatever its gap."""
    with_floor = replace(rule, min_val_accuracy=floor)
    scores, val = with_floor.scores(curve), curve.values("val_accuracy")
    below, above = scores[val < floor], scores[val >= floor]
    assert above.tolist() == rule.scores(curve)[val >= floor].tolist()
    if len(below) and len(above):
        assert below.max() < above.min()
    falls_short = (floor - val)[val < floor]
    assert (np.argsort(-below, kind="stable") == np.argsort(falls_short, kind="stable")).all()


def test_the_worst_epoch_above_the_floor_beats_the_best_below() -> None:
    """The floor holds at its hardest: largest possible loss and gap above it, no gap just below it."""
    worst = -math.log(1e-7)
    above = EpochScores.of_classes(0, 1.0, 0.0, 0.8, worst)
    below = EpochScores.of_classes(0, 0.799999, 0.0, 0.799999, 0.0)
    for metric in ("accuracy", "cross_entropy"):
        rule = ScoreRule(metric=metric, penalty=100.0, tolerance=0.0, min_val_accuracy=0.8)
        assert rule.score(below) < rule.score(above), metric


@given(curves, rules)
def test_a_single_epoch_scores_as_it_does_in_its_curve(curve: LearningCurve, rule: ScoreRule) -> None:
    """What the pruner is told epoch by epoch is what the finished curve gives."""
    assert [rule.score(s) for s in curve.epochs] == rule.scores(curve).tolist()


def test_rules_are_values() -> None:
    """Equal rules are equal, can be hashed and pickled, and can't be changed."""
    rule = ScoreRule(penalty=2.0)
    assert {rule, ScoreRule(penalty=2.0)} == {rule}
    assert pickle.loads(pickle.dumps(rule)) == rule  # noqa: S301 - our own bytes
    with pytest.raises(AttributeError):
        rule.penalty = 0.0  # type: ignore[misc]
