"""The check of the lease: what came from the engine is written only as long as the study is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from fmnist_sweep.core.events import EpochDone, TrialEvent
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.training.testing import ScriptedTrainer


def test_a_check_that_passes_changes_nothing(
    sweep: Callable[..., tuple[Stop, optuna.Study]], make_config: Callable[..., Any], workers: Any
) -> None:
    """It is asked before each batch of events is handled."""
    asked: list[None] = []
    stop, study = sweep(make_config(), engine=workers(ScriptedTrainer()), check=lambda: asked.append(None))
    assert stop is Stop.TRIALS
    assert len(study.trials) == 5
    assert len(asked) >= 4


def test_nothing_that_came_is_written_once_the_check_fails(
    sweep: Callable[..., tuple[Stop, optuna.Study]],
    make_config: Callable[..., Any],
    workers: Any,
    memory: Any,
) -> None:
    """The search ends with the check's error; its jobs are cancelled and no trial has an epoch."""

    def taken() -> None:
        raise LookupError("taken over")

    inner = workers(ScriptedTrainer())
    with pytest.raises(LookupError, match="taken over"):
        sweep(make_config(), engine=inner, check=taken)
    assert (inner.running, sorted(inner.cancelled)) == ((), [0, 1])
    (name,) = optuna.get_all_study_names(memory)
    trials = optuna.load_study(study_name=name, storage=memory).trials
    assert [trial.intermediate_values for trial in trials] == [{}, {}]


def test_what_came_while_the_study_was_lost_is_not_written(
    sweep: Callable[..., tuple[Stop, optuna.Study]],
    make_config: Callable[..., Any],
    workers: Any,
    memory: Any,
) -> None:
    """An engine may wait long for its events: what counts is whose the study is once they are there."""
    lost: list[TrialEvent] = []
    inner = workers(ScriptedTrainer())
    events = inner.events

    def lose(timeout_s: float) -> list[TrialEvent]:
        found: list[TrialEvent] = events(timeout_s)
        # Taken over before the second epochs came.
        lost.extend(event for event in found if isinstance(event, EpochDone) and event.scores.epoch == 1)
        return found

    def check() -> None:
        if lost:
            raise LookupError("taken over")

    inner.events = lose
    with pytest.raises(LookupError, match="taken over"):
        sweep(make_config(), engine=inner, check=check)
    assert len(lost) == 2
    (name,) = optuna.get_all_study_names(memory)
    trials = optuna.load_study(study_name=name, storage=memory).trials
    assert [list(trial.intermediate_values) for trial in trials] == [[0], [0]]
