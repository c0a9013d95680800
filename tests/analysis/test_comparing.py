"""Studies side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from made_studies import add_confirmation, add_trial, empty_study, params_of, scripted_curve, stored

from fmnist_sweep.analysis.comparing import caveats, compared, differing
from fmnist_sweep.api.comparing import compare
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports.confirmed import compared_section
from fmnist_sweep.storage.attributes import READ_ONLY


@pytest.fixture
def unconfirmed() -> optuna.Study:
    """A study whose winner is its best trial."""
    study = empty_study(None, "dense")
    add_trial(study, params_of(2), scripted_curve(0.88, 0.02))
    return study


def test_a_confirmed_winner_has_an_interval_and_another_says_that_it_has_none(
    confirmed: optuna.Study, unconfirmed: optuna.Study
) -> None:
    """Confirmed means over the repeats, an unconfirmed one the sweep's number, and a warning."""
    first, second = compared([stored(confirmed), stored(unconfirmed)])
    assert (first.confirmed, first.label, first.score.mean, first.score.n) == (True, "trial 1", 0.92, 3)
    assert first.score.low < 0.92 < first.score.high
    best = unconfirmed.trials[0]
    assert (second.confirmed, second.label, second.score.mean) == (False, "trial 0", best.value)
    assert math.isnan(second.score.low)
    (line,) = caveats([first, second])
    assert line.startswith("dense is unconfirmed: its score was picked by its own validation images")
    assert line.endswith("fmnist-sweep confirm dense")
    unconfirmed.set_user_attr("data", {**unconfirmed.user_attrs["data"], "form": "call"})
    assert "by its own validation rows" in caveats(compared([stored(confirmed), stored(unconfirmed)]))[0]


def test_what_came_with_the_repository_is_not_to_be_confirmed(
    confirmed: optuna.Study, unconfirmed: optuna.Study
) -> None:
    """It is read-only: what would be refused is not advised."""
    unconfirmed.set_user_attr(READ_ONLY, "with the repository")
    (line,) = caveats(compared([stored(confirmed), stored(unconfirmed)]))
    assert line.endswith("and is optimistic.")


def test_an_unfinished_confirmation_confirms_nothing(
    confirmed: optuna.Study, unconfirmed: optuna.Study
) -> None:
    """Only whole ones have a winner."""
    add_confirmation(unconfirmed, {"default": [0.9]}, n_repeats=2)
    assert [side.confirmed for side in compared([stored(confirmed), stored(unconfirmed)])] == [True, False]


def test_only_what_differs_is_listed(confirmed: optuna.Study, unconfirmed: optuna.Study) -> None:
    """A setting that one winner does not have differs; equal ones are left out."""
    found = differing(compared([stored(confirmed), stored(unconfirmed)]))
    assert found["depth"] == [2, 3]
    assert found["units_3"][0] is None
    assert found["epochs"] == [2, unconfirmed.trials[0].user_attrs["epoch"] + 1]
    assert "batch_size" not in found


def test_other_rules_and_other_data_are_told(confirmed: optuna.Study) -> None:
    """Scores under different penalties, or on different images, are not comparable."""
    other = empty_study(None, "other", penalty=2.0)
    add_trial(other, params_of(0), scripted_curve(0.88, 0.02))
    other.set_user_attr("data_digest", "07" * 32)
    assert caveats(compared([stored(confirmed), stored(other)]))[1:] == [
        "The studies have different score rules: compare accuracies and gaps, not scores.",
        "The studies were run on different data.",
    ]


def test_other_metrics_are_told(confirmed: optuna.Study) -> None:
    """Between an error and a share of right answers there is nothing to compare."""
    other = empty_study(None, "other", metric="cross_entropy", penalty=2.0)
    add_trial(other, params_of(0), scripted_curve(0.88, 0.02))
    told = "The studies are scored by different metrics: their scores have no common scale."
    sides = [stored(confirmed), stored(other)]
    first, second = compared(sides)
    # Both tell accuracies.
    assert told not in caveats([first, second])
    assert told in caveats([first, replace(second, rule=ScoreRule("mae"))])
    figures: dict[str, go.Figure] = {}
    section = compared_section(sides, figures)
    assert section is not None
    assert (section["has_figure"], figures) == (False, {})


def test_all_that_cannot_be_compared_is_told_at_once(confirmed: optuna.Study) -> None:
    """Confirmations, studies of other tools and those without a complete trial, each by name."""
    linked = optuna.load_study(study_name="tiny-confirm", storage=confirmed._storage)
    foreign = optuna.create_study(study_name="foreign")
    with pytest.raises(ConfigError) as refused:
        compared(
            [
                stored(confirmed),
                stored(confirmed),
                stored(linked),
                stored(foreign),
                stored(empty_study(None, "empty")),
            ]
        )
    assert refused.value.problems == (
        "tiny: given twice",
        "tiny-confirm: a confirmation; give the study that it confirms, tiny",
        "foreign: not made by fmnist-sweep",
        "empty: no trial is complete yet; run the sweep first",
    )
    with pytest.raises(ConfigError, match="give the names of two studies or more"):
        compared([stored(confirmed)])


def test_a_name_that_was_given_twice_is_told_before_anything_is_read(tmp_path: Path) -> None:
    """Two studies of thousands of trials are not read for it: here there is not even a storage."""
    with pytest.raises(ConfigError, match="dense: given twice"):
        compare(["dense", "dense"], storage=f"sqlite:///{tmp_path}/none.db")
