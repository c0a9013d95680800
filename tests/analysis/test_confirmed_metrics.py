"""Confirmations of other scores than those of classes, and of data that say themselves what validates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from made_studies import StudyMaker, add_confirmation, stored

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.decision import DecisionRule
from fmnist_sweep.analysis.repeats import Candidate, Repeat
from fmnist_sweep.analysis.verdicts import headline, verdicts
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports.confirmed import confirmed_columns, confirmed_rows

ERRORS = {"trial 1": [0.21, 0.20, 0.19, 0.20], "baseline": [0.50, 0.52, 0.49, 0.51]}


def repeat(label: str, number: int, metric: str, value: float, **more: float) -> Repeat:
    scores = {f"train_{metric}": value, f"val_{metric}": value, **more}
    return Repeat(label, number, number, 100 + number, 200 + number, -value, scores, 0.0, 10, 1.0)


def confirmation(
    rule: ScoreRule, values: Mapping[str, Sequence[float]], *, drawn: bool = True, **more: float
) -> Confirmation:
    """Return a finished confirmation of these validation values."""
    return Confirmation(
        study="line",
        rule=rule,
        candidates=tuple(
            Candidate(label, None if label == "baseline" else 1, {}, 3, None) for label in values
        ),
        n_repeats=4,
        repeats=tuple(
            repeat(label, i, rule.metric, row[i], **more) for i in range(4) for label, row in values.items()
        ),
        failures=(),
        n_val=50,
        n_train=150,
        decision_rule=DecisionRule(),
        splits_are_drawn=drawn,
    )


def test_less_of_an_error_is_better() -> None:
    """The winner has the smaller one, and the difference has no unit that the metric lacks."""
    found = confirmation(ScoreRule("mae", tolerance=0.0), ERRORS)
    assert found.winner is not None
    assert found.winner.label == "trial 1"
    assert str(headline(found)).startswith("Trial 1 beats your baseline by 0.3050 of mae (95 % 0.2")


def test_a_direction_that_no_name_tells_is_the_rule_s() -> None:
    """Of a metric of the user's own."""
    rows = {"trial 1": [3.0, 3.1, 3.0, 3.2], "baseline": [2.0, 2.1, 2.0, 2.2]}
    for direction, label in (("max", "trial 1"), ("min", "baseline")):
        rule = ScoreRule("gain", tolerance=0.0, direction=direction)  # type: ignore[arg-type]
        found = confirmation(rule, rows)
        assert found.winner is not None
        assert found.winner.label == label


def test_tables_show_the_metric_of_the_score_and_a_loss() -> None:
    """A metric that not every repeat has is in no table."""
    found = confirmation(ScoreRule("mae", tolerance=0.0), ERRORS, train_loss=0.1, val_loss=0.25)
    assert confirmed_columns(found)[2:5] == ["validation mae", "loss", "gap"]
    assert confirmed_rows(found)[0][2:4] == [
        "0.2000 \N{PLUS-MINUS SIGN}0.0198",
        "0.2500 \N{PLUS-MINUS SIGN}0.0000",
    ]
    assert confirmed_columns(confirmation(ScoreRule("mae", tolerance=0.0), ERRORS))[2:4] == [
        "validation mae",
        "gap",
    ]


def test_repeats_on_one_split_tell_of_other_seeds_alone() -> None:
    """The interval has no part for other splits, and the words say why."""
    drawn, given = (confirmation(ScoreRule("mae", tolerance=0.0), ERRORS, drawn=d) for d in (True, False))
    (wide, _), (narrow, _) = drawn.standings, given.standings
    assert narrow.score.high - narrow.score.low < wide.score.high - wide.score.low
    assert not any("same rows validate" in line for line in verdicts(drawn))
    assert any("same rows validate" in line for line in verdicts(given))
    assert (drawn.afresh, given.afresh) == ("fresh seeds and splits", "fresh seeds")


@pytest.mark.parametrize(
    ("data", "split", "drawn"),
    [
        ({}, {}, True),
        ({"form": "call"}, {"kind": "random"}, True),
        ({"form": "call", "validates": True, "n_val": 300}, {}, False),
        ({"form": "call"}, {"kind": "last"}, False),
        ({}, {"kind": "first"}, False),
    ],
)
def test_a_study_tells_whether_its_splits_are_drawn(
    tiny_study: StudyMaker, data: dict[str, Any], split: dict[str, str], drawn: bool
) -> None:
    """By what its data and its settings say; of few rows a fifth validates."""
    swept: optuna.Study = tiny_study(([0.9, 0.9], [0.9, 0.9]), ([0.9, 0.9], [0.9, 0.9]))
    linked = add_confirmation(swept, {"trial 1": [0.9, 0.8], "baseline": [0.8, 0.7]}, decision={})
    linked.set_user_attr("data", {**linked.user_attrs["data"], "n_train": 1000, **data})
    config = linked.user_attrs["config"]
    linked.set_user_attr("config", {**config, **({"split": split} if split else {})})
    found = read_confirmation(stored(swept))
    assert found is not None
    assert found.splits_are_drawn is drawn
    if data:
        # Where the data say what validates, all their own rows train.
        assert (found.n_val, found.n_train) == ((300, 1000) if "n_val" in data else (200, 800))
