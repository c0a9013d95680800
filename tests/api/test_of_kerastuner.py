"""Arguments of KerasTuner's tuners that a search here has no use for."""

from __future__ import annotations

import pytest

import fmnist_sweep as fs


def test_defaults_ask_for_nothing() -> None:
    """A program that spells them out is searched unchanged."""
    fs.Tuner("module:build", executions_per_trial=1, hyperparameters=None, max_retries_per_trial=0)


def test_all_that_can_t_be_done_is_told_at_once() -> None:
    """With what to do in its place."""
    with pytest.raises(fs.SweepError) as raised:
        fs.Tuner("module:build", executions_per_trial=3, metrics=["mae"], tune_new_entries=True, factor=True)
    text = str(raised.value)
    assert "3 problems" in text
    assert "executions_per_trial=3 of KerasTuner's tuners is not known here" in text
    assert "tuner.confirm(repeats=...)" in text
    assert "metrics=['mae']" in text
    assert "tune_new_entries" not in text
    assert "factor=True" in text


def test_a_name_that_nobody_knows_is_an_error_of_python_s() -> None:
    """A slip of the pen."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_trails'"):
        fs.Tuner("module:build", max_trails=3)
