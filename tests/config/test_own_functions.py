"""Metrics of the user's own, as a sweep file names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.config.own_functions import function_problems
from fmnist_sweep.config.score_section import ScoreSection
from fmnist_sweep.core.metrics import inferred_direction, metric_of


def test_the_direction_is_asked_for_unless_the_function_s_name_is_a_metric_s() -> None:
    """A name that only ends like one tells nothing."""
    assert inferred_direction("mine:rmse") == "min"
    assert inferred_direction("mine:my_accuracy") is None
    with pytest.raises(ValueError, match=r"'mine:gain' is better is not known: set score.direction"):
        ScoreSection(metric="mine:gain")
    assert ScoreSection(metric="mine:gain", direction="max").metric == "mine:gain"
    found = metric_of("mine:gain", "max")
    assert (found.of, found.sign, found.unit.factor) == ("function", 1, 1.0)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("auc", None),
        ("mine:gain", None),
        ("sklearn.metrics:max_error", None),
        ("lost:gain", "score.metric: there is no module 'lost'"),
        ("mine:", "score.metric: 'mine:' is no import path"),
        ("mine.py:gain()", "score.metric: 'mine.py:gain()' is no import path"),
    ],
)
def test_what_can_t_be_imported_is_told_before_anything_trains(
    tmp_path: Path, metric: str, told: str | None
) -> None:
    """Nothing is imported for it."""
    (tmp_path / "mine.py").write_text("raise SystemExit")
    problems = function_problems(metric, [tmp_path])
    assert problems == [] if told is None else problems[0].startswith(told)
