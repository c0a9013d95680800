"""Which trial and epoch are chosen among those that validation can't tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.evidence.curves import CURVES, draw_file, read_draw
from benchmarks.evidence.rules import within
from fmnist_sweep.core.choosing import Scored, near_best, standard_error
from fmnist_sweep.core.score import ScoreRule

N_VAL = 900
RULE = ScoreRule(within_se=1.0)


def scored(number: int, val: Sequence[float], loss: Sequence[float]) -> Scored:
    columns = {
        "train_accuracy": list(val),
        "val_accuracy": list(val),
        "val_cross_entropy": list(loss),
        "seconds": [1.0] * len(val),
    }
    best = max(val)
    return Scored(number, best, best, columns)


def chosen(
    *trials: Scored, rule: ScoreRule = RULE, n_val: int = N_VAL, allowed: list[int] | None = None
) -> list[tuple[int, int]]:
    return list(near_best(trials, rule, n_val=n_val, allowed=allowed).items())


def test_the_smallest_loss_within_the_noise_of_the_best_is_chosen() -> None:
    """A standard error of 0.9 over 900 examples is 0.01; what lies lower is none of the choice's business."""
    trials = (
        scored(0, [0.85, 0.90], [0.10, 0.50]),
        scored(1, [0.891, 0.895], [0.30, 0.45]),
        scored(2, [0.889], [0.01]),
    )
    assert chosen(*trials) == [(1, 0), (0, 1)]
    assert chosen(*trials, rule=ScoreRule(within_se=0.1)) == [(0, 1)]


def test_an_epoch_that_the_space_does_not_allow_is_not_chosen() -> None:
    """Nor any but the last one where the last one is what is scored."""
    trial = scored(0, [0.899, 0.90, 0.898], [0.1, 0.5, 0.4])
    assert chosen(trial) == [(0, 0)]
    assert chosen(trial, allowed=[1, 2]) == [(0, 2)]
    last = Scored(0, 0.898, 0.898, trial.columns)
    assert chosen(last, rule=ScoreRule(within_se=1.0, epoch_rule="last")) == [(0, 2)]


def test_equal_losses_go_to_the_better_score_and_then_to_the_earlier_trial() -> None:
    """As in the study that the rule comes from."""
    trials = (scored(3, [0.90], [0.3]), scored(1, [0.899], [0.3]), scored(2, [0.90], [0.3]))
    assert [number for number, _ in chosen(*trials)] == [2, 3, 1]


@pytest.mark.parametrize(
    ("rule", "n_val", "loss"),
    [
        (ScoreRule(), N_VAL, "val_loss"),
        (RULE, 0, "val_loss"),
        (ScoreRule("mae", within_se=1.0), N_VAL, "val_loss"),
        (RULE, N_VAL, "val_other"),
    ],
)
def test_without_errors_or_a_loss_there_is_no_choice(rule: ScoreRule, n_val: int, loss: str) -> None:
    """Where the rule asks for none, the size or the error is not known, or no loss is stored."""
    columns = {name: [0.5, 0.4] for name in ("val_accuracy", "train_accuracy", "val_mae", "train_mae", loss)}
    assert near_best([Scored(0, 0.5, 0.5, columns)], rule, n_val=n_val, allowed=None) == {}


def test_a_loss_by_keras_serves_as_well() -> None:
    """A model of one's own has its loss, without any penalty on weights."""
    columns = {
        "val_accuracy": [0.9, 0.9],
        "train_accuracy": [0.9] * 2,
        "val_loss": [0.5, 0.4],
        "seconds": [1.0] * 2,
    }
    assert near_best([Scored(7, 0.9, 0.9, columns)], RULE, n_val=N_VAL, allowed=None) == {7: 1}


def test_only_shares_of_right_answers_have_a_standard_error() -> None:
    """One of a balanced accuracy, an AUC or an error does not follow from its value."""
    assert standard_error("sparse_categorical_accuracy", 0.5, 100) == pytest.approx(0.05)
    assert standard_error("kind_accuracy_1", 0.5, 100) == pytest.approx(0.05)
    assert [standard_error(name, 0.5, 100) for name in ("balanced_accuracy", "auc", "mae")] == [None] * 3


_SHARES = st.integers(0, 20).map(lambda n: n / 20)
_CURVES = st.lists(
    st.lists(st.tuples(_SHARES, st.floats(0, 5)), min_size=1, max_size=5), min_size=1, max_size=6
)


@given(_CURVES, st.floats(0.01, 5))
def test_the_choice_is_near_the_best_and_has_the_smallest_loss_there(
    curves: list[list[tuple[float, float]]], within_se: float
) -> None:
    """Whatever the curves: no epoch of any trial is near enough, and has a smaller loss."""
    trials = [
        scored(i, [val for val, _ in curve], [loss for _, loss in curve]) for i, curve in enumerate(curves)
    ]
    best = max(val for curve in curves for val, _ in curve)
    lowest = best - within_se * math.sqrt(best * (1 - best) / N_VAL) - 1e-9
    near = [
        (loss, i, e) for i, curve in enumerate(curves) for e, (val, loss) in enumerate(curve) if val >= lowest
    ]
    number, epoch = chosen(*trials, rule=ScoreRule(within_se=within_se))[0]
    val, loss = curves[number][epoch]
    assert val >= lowest
    assert loss == min(near)[0]


def test_the_choice_is_that_of_the_study_that_it_comes_from() -> None:
    """On recorded sweeps: benchmarks/evidence replays the rule by another way of reckoning."""
    draw = read_draw(draw_file(CURVES, "digits", 0))
    val, loss = draw.measured["val_accuracy"], draw.measured["val_cross_entropy"]
    rng = np.random.default_rng(0)
    sweeps = np.array([np.sort(rng.choice(len(val), 30, replace=False)) for _ in range(20)])
    rule = ScoreRule(within_se=0.25)
    expected = zip(*within(draw, sweeps, 0.25, loss), strict=True)
    for sweep, want in zip(sweeps, expected, strict=True):
        trials = [scored(int(i), val[i].tolist(), loss[i].tolist()) for i in sweep]
        assert chosen(*trials, rule=rule, n_val=draw.header["n_val"])[0] == tuple(int(x) for x in want)
