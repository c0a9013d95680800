"""Sweeps that score what a fit returns."""

from __future__ import annotations

from typing import Any

import pytest

from fmnist_sweep.config.schema import SweepFile
from fmnist_sweep.config.score_section import ScoreSection
from fmnist_sweep.config.scored import returned_problems, tie_problems, with_score
from fmnist_sweep.core.metrics import metric_of
from fmnist_sweep.models import catalog


def sweep(**settings: Any) -> SweepFile:
    """Return the settings of a sweep with an own model."""
    return SweepFile.model_validate(
        {"study": "s", "model": "mine:Net", "score": {"metric": "returned"}, **settings}
    )


def test_the_direction_is_as_keras_tuner_has_it() -> None:
    """Less is better unless the name of a value says otherwise, or the file does."""
    signs = [metric_of(name).sign for name in ("returned", "returned.val_accuracy", "returned.mae")]
    assert signs == [-1, 1, -1]
    assert metric_of("returned", "max").sign == 1
    with pytest.raises(ValueError, match=r"set score\.direction"):
        ScoreSection(metric="returned.gain")


def test_what_is_left_out_follows_from_it() -> None:
    """The value is there at the end: the last epoch stands for it, and nothing can be pruned."""
    file = with_score(sweep(), ["mae", "loss"])
    assert (file.score.epoch_rule, file.pruner.name, file.score.tolerance) == ("last", "none", 0.0)
    other = with_score(sweep(score={"metric": "mae"}), ["mae", "loss"])
    assert (other.score.epoch_rule, other.pruner.name) == ("best", "median")


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({}, 0.25),
        ({"metric": "val_acc"}, 0.25),
        ({"within_se": 1.0}, 1.0),
        ({"within_se": 0}, 0.0),
        ({"penalty": 0.5}, 0.0),
        ({"penalty": 0.5, "within_se": 0.5}, 0.5),
        ({"epoch_rule": "last"}, 0.0),
        ({"metric": "cross_entropy"}, 0.0),
        ({"metric": "mae"}, 0.0),
    ],
)
def test_an_accuracy_without_a_penalty_is_chosen_by_the_loss_within_its_noise(
    score: dict[str, Any], expected: float
) -> None:
    """Whatever else is asked for is a wish of its own."""
    assert ScoreSection(**score).errors_of_tie == expected


def test_a_metric_without_a_standard_error_can_not_be_chosen_within_it() -> None:
    """Also one that follows from the model."""
    (line,) = tie_problems(sweep(score={"metric": "mae", "within_se": 0.25}))
    assert line.startswith("score.within_se: acts where the score is an accuracy; of 'mae' no standard error")
    assert tie_problems(with_score(sweep(score={"within_se": 0.25}), ["mae", "loss"])) == [line]
    assert tie_problems(sweep(score={"metric": "accuracy", "within_se": 0.25})) == []


def test_what_can_t_act_is_refused_all_at_once() -> None:
    """And a model of ours returns nothing."""
    assert returned_problems(sweep(), None) == []
    wrong = sweep(
        score={"metric": "returned", "epoch_rule": "best", "penalty": 1.0},
        pruner={"name": "median"},
        training={"patience": 3},
    )
    found = [problem.partition(":")[0] for problem in returned_problems(wrong, None)]
    assert found == ["score.epoch_rule", "score.penalty", "pruner.name", "training.patience"]
    (told,) = returned_problems(sweep(model="dense"), catalog.MODELS["dense"])
    assert "is what a fit of your own returns" in told
