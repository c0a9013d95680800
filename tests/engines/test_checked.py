from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from fmnist_sweep.core.progress import Stop
from fmnist_sweep.engines.checked import CheckedEngine
from fmnist_sweep.training.testing import ScriptedTrainer


def test_a_search_behind_a_check_is_the_same(
    sweep: Callable[..., tuple[Stop, optuna.Study]], make_config: Callable[..., Any], workers: Any
) -> None:
    """What passes changes nothing, and is asked before each batch of events."""
    asked: list[None] = []
    engine = CheckedEngine(workers(ScriptedTrainer()), lambda: asked.append(None))
    stop, study = sweep(make_config(), engine=engine)
    assert stop is Stop.TRIALS
    assert len(study.trials) == 5
    assert len(asked) >= 4
    assert (engine.n_workers, engine.running) == (2, ())
    engine.close()


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
        sweep(make_config(), engine=CheckedEngine(inner, taken))
    assert (inner.running, sorted(inner.cancelled)) == ((), [0, 1])
    (name,) = optuna.get_all_study_names(memory)
    trials = optuna.load_study(study_name=name, storage=memory).trials
    assert [trial.intermediate_values for trial in trials] == [{}, {}]
