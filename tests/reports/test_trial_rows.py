"""The table of all trials, as the page sorts and filters it."""

from __future__ import annotations

import optuna
from made_studies import StudyMaker, add_trial, empty_study, params_of, scripted_curve, stored
from optuna.trial import TrialState

from fmnist_sweep.reports.trial_rows import trial_rows


def test_each_trial_has_a_row_with_what_is_shown_and_what_sorts_it(tiny_study: StudyMaker) -> None:
    """Numbers are in the unit that is shown, epochs count from 1."""
    table = trial_rows(stored(tiny_study(([0.78, 0.90], [0.76, 0.85]))))
    assert table is not None
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert row["trial"] == [0, "0"]
    assert row["state"] == "complete"
    assert row["validation accuracy"] == [85.0, "85.00 %"]
    assert row["gap"] == [5.0, "5.00 points"]
    assert (row["epoch"], row["epochs"]) == ([2, "2"], [2, "2"])


def test_hyperparameters_that_vary_are_columns_and_the_others_are_named_once() -> None:
    """A small rate keeps its digits, a text is a text, and what a trial lacks is missing."""
    study = empty_study(None)
    for rate, layer in ((1e-7, "a"), (3e-2, "b")):
        values = {"learning_rate": rate, "layer": layer, "depth": 2, **({"only": 1} if layer == "b" else {})}
        add_trial(study, params_of(0), scripted_curve(0.88, 0.02), hyperparameters=values)
    table = trial_rows(stored(study))
    assert table is not None
    assert table["columns"][10:] == ["learning_rate", "layer", "only"]
    assert [row[10:] for row in table["rows"]] == [
        [[1e-7, "1e-07"], "a", None],
        [[0.03, "0.03"], "b", [1, "1"]],
    ]
    assert table["same"] == "depth 2"


def test_what_did_not_complete_has_no_score(study: optuna.Study) -> None:
    """A pruned trial's last report is never ranked with scores; one that failed has no numbers."""
    table = trial_rows(stored(study))
    assert table is not None
    scores = {row[1]: row[2] for row in table["rows"]}
    assert scores["complete"] is not None
    assert scores["pruned"] is scores["fail"] is None
    add_trial(study, params_of(1), None, state=TrialState.FAIL, fail_reason="it broke")
    assert trial_rows(stored(empty_study(None))) is None
