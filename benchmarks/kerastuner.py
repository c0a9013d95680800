"""KerasTuner's own oracles, driven as its tuners drive them, in virtual time."""

from __future__ import annotations

import tempfile
from typing import Any, Final

import keras_tuner
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle

from benchmarks.problems import Problem
from benchmarks.race import Proposal
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.models.hyperparameters import ask

_OBJECTIVE: Final = "score"
_MAX_TRIALS: Final = 1000
_ITERATIONS: Final = 50


class _Tuner:
    """One worker that asks an oracle for trials, as `keras_tuner.Tuner.search` does."""

    n_workers = 1

    def __init__(self, problem: Problem, oracle: Any) -> None:
        self._problem = problem
        self._folder = tempfile.TemporaryDirectory()
        self._oracle = oracle
        self._oracle._set_project_dir(self._folder.name, "race")  # noqa: SLF001 - a tuner sets it
        self._oracle.verbose = 0
        self._trials: dict[int, Any] = {}

    def propose(self, trial: int) -> Proposal | None:
        """Ask the oracle."""
        asked = self._oracle.create_trial("tuner")
        if asked.status != "RUNNING":
            return None
        self._trials[trial] = asked
        values = asked.hyperparameters.values
        point: dict[str, Scalar] = self._problem.space.fill(lambda name, _: values[name])
        epochs = values.get("tuner/epochs", self._problem.epochs)
        return Proposal(point, epochs, values.get("tuner/initial_epoch", 0))

    def epoch(self, trial: int, epoch: int, score: float) -> bool:
        """Report the epoch."""
        self._oracle.update_trial(self._trials[trial].trial_id, {_OBJECTIVE: score}, step=epoch)
        return False

    def end(self, trial: int, *, stopped: bool) -> None:  # noqa: ARG002 - these stop nothing
        """Tell the oracle."""
        asked = self._trials.pop(trial)
        asked.status = "COMPLETED"
        self._oracle.end_trial(asked)


def _options(problem: Problem, seed: int) -> dict[str, Any]:
    hyperparameters = keras_tuner.HyperParameters()
    defaults = {}
    for name in problem.space:
        parameter, default = problem.space[name], problem.defaults[name]
        # A sweep may have narrowed the model's space past its default.
        defaults[name] = default if parameter.contains(default) else parameter.ends()[0]
    ask(hyperparameters, problem.space, defaults)
    return {
        "objective": keras_tuner.Objective(_OBJECTIVE, "max"),
        "hyperparameters": hyperparameters,
        # Its oracles take a seed of 0 for none.
        "seed": seed + 1,
    }


def hyperband(problem: Problem, seed: int) -> _Tuner:
    """Return KerasTuner's Hyperband: as many epochs as a whole trial, factor 3, again and again."""
    options = _options(problem, seed)
    return _Tuner(
        problem, HyperbandOracle(max_epochs=problem.epochs, hyperband_iterations=_ITERATIONS, **options)
    )


def bayesian(problem: Problem, seed: int) -> _Tuner:
    """Return KerasTuner's BayesianOptimization: every trial trains all epochs."""
    return _Tuner(problem, BayesianOptimizationOracle(max_trials=_MAX_TRIALS, **_options(problem, seed)))
