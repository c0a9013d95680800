"""Which trials a table shows, in which order."""

from __future__ import annotations

import re
from typing import Any

import optuna
import pytest
from made_studies import stored

from fmnist_sweep.analysis.choosing import chosen_trials
from fmnist_sweep.core.errors import SweepError


@pytest.fixture
def study() -> Any:
    """Four trials that another tool told: one failed, one without a depth."""
    made = optuna.create_study(study_name="four", direction="maximize")
    for value, depth in ((0.5, 1), (0.9, 3), (None, 2), (0.7, None)):
        params: dict[str, Any] = {"state": 1} if depth is None else {"depth": depth, "state": 1}
        drawn_from: dict[str, Any] = {name: optuna.distributions.IntDistribution(1, 3) for name in params}
        failed = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        made.add_trial(
            optuna.trial.create_trial(value=value, params=params, distributions=drawn_from, state=failed)
        )
    return stored(made)


def numbers(study: Any, **options: Any) -> list[int]:
    """The numbers of the chosen trials."""
    return chosen_trials(study, **options)["number"].tolist()


def test_scores_are_sorted_best_first_and_all_else_rises(study: Any) -> None:
    """A minus reverses either; what has no value comes last."""
    assert numbers(study, sort="score") == [1, 3, 0, 2]
    assert numbers(study, sort="-score") == [0, 3, 1, 2]
    assert numbers(study, sort="depth") == [0, 2, 1, 3]
    assert numbers(study, sort="-depth", top=2) == [1, 2]


def test_an_expression_chooses_by_any_column(study: Any) -> None:
    """A hyperparameter without its prefix, unless a column of the trial has its name."""
    assert numbers(study, where="depth > 1 and state == 'COMPLETE'") == [1]
    assert numbers(study, where="params_state == 1 and score < 0.8") == [0, 3]
    assert numbers(study, where="score > 2") == []


def test_columns_are_kept_in_the_order_that_is_asked_for(study: Any) -> None:
    """By either name."""
    frame = chosen_trials(study, columns=["params_depth", "number"], sort="score", top=1)
    assert frame.to_dict("records") == [{"params_depth": 3, "number": 1}]
    assert list(chosen_trials(study, columns=["depth"])) == ["params_depth"]


def test_all_that_is_wrong_is_told_at_once(study: Any) -> None:
    """With the columns that there are."""
    with pytest.raises(SweepError) as caught:
        chosen_trials(study, where="scor > 1", sort="-dept", columns=["number", "gop"])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("--where 'scor > 1' can't be evaluated: ")
    assert lines[1].startswith("--sort: no column 'dept'; did you mean 'depth'? (columns: number, state, ")
    assert lines[2].startswith("--columns: no column 'gop'; did you mean 'gap'? ")


@pytest.mark.parametrize("where", ["9**9**9 > gap", "(9**9)**9 > gap", "gap ** 11 > 0", "2 ** depth > 1"])
def test_a_power_without_an_end_is_not_worked_out(study: Any, where: str) -> None:
    """Python would: it has more digits than there is memory for."""
    with pytest.raises(SweepError, match="takes a power that may be endless"):
        chosen_trials(study, where=where)


def test_a_small_power_is_worked_out(study: Any) -> None:
    """A square, say."""
    assert numbers(study, where="depth ** 2 > 1") == numbers(study, where="depth > 1")


@pytest.mark.parametrize("where", ["1", "True", "gap", "number", "score.mean()"])
def test_an_expression_that_is_no_condition_is_told(study: Any, where: str) -> None:
    """Numbers would be taken for those of rows, and chose any."""
    with pytest.raises(SweepError, match=f"--where '{re.escape(where)}' is no condition, such as gap"):
        chosen_trials(study, where=where)


@pytest.mark.parametrize("sort", ["", "-"])
def test_no_column_is_no_column(study: Any, sort: str) -> None:
    """As an empty variable of a script gives it."""
    with pytest.raises(SweepError, match="--sort: no column ''"):
        chosen_trials(study, sort=sort)
