"""Halving that promotes in a few lines of its own, which the search's is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from benchmarks.methods import own_config
from benchmarks.problems import Problem
from benchmarks.race import Proposal
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.search import samplers
from fmnist_sweep.search.size_limit import feasible_sampler


@dataclass
class Begun:
    """A configuration that was trained for some epochs.

    Attributes:
        point: Its complete set of hyperparameters.
        params: What Optuna knows of it.
        distributions: What that was drawn from.
        scores: Of its epochs so far.
        state: ``"running"``, ``"paused"`` or ``"ended"``.
        rung: Halving: how many rungs it was let past.
    """

    point: Mapping[str, Scalar]
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    scores: list[float] = field(default_factory=list)
    state: str = "running"
    rung: int = 0

    @property
    def best(self) -> float:
        """Score of its best epoch so far."""
        return max(self.scores)


class Promotion:
    """Asynchronous successive halving as published: a trial that reaches a rung waits until it is promoted.

    At each rung a trial stops; of those that reached it, the best one in ``factor`` go on to the next, which
    is ``factor`` times as many epochs away. Ray's ASHA and Optuna's pruner decide once, as a trial arrives.
    Configurations are drawn as our search does; a paused one is, to the sampler, one that was pruned.

    Args:
        problem: The problem.
        seed: Of the sampler.
        factor: Of halving.
        first: Epochs until the first rung.
        sampler: As in ``[sampler]``; None takes the sweep file's.
        n_trials: Configurations that are begun at the most.
        n_workers: Trials side by side.

    References:
        Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        *,
        factor: int = 3,
        first: int = 1,
        sampler: Mapping[str, Any] | None = None,
        n_trials: int | None = None,
        n_workers: int = 2,
    ) -> None:
        self.n_workers = n_workers
        self._problem = problem
        self._config = own_config(problem, seed, sampler=sampler)
        self._n_trials = n_trials
        self._begun: list[Begun] = []
        self._running: dict[int, Begun] = {}
        self._factor = factor
        self._rungs: list[int] = []
        while first < problem.epochs:
            self._rungs.append(first)
            first *= factor

    def propose(self, trial: int) -> Proposal | None:
        """Return the paused configuration that is to go on, or a new one."""
        begun = self._next()
        if begun is None:
            if not self._may_begin:
                return None
            begun = self._draw()
            self._begun.append(begun)
        self._go_on(begun)
        self._running[trial] = begun
        return Proposal(begun.point, self._problem.epochs, len(begun.scores))

    def epoch(self, trial: int, epoch: int, score: float) -> bool:
        """Take note of an epoch, and return whether the trial is to be paused, or is out of patience."""
        begun = self._running[trial]
        if epoch < len(begun.scores):
            return False
        begun.scores.append(score)
        if len(begun.scores) == self._problem.epochs:
            return False
        patience = self._config.file.training.patience
        if patience is not None and epoch - int(np.argmax(begun.scores)) >= patience:
            begun.state = "ended"
            return True
        if not self._is_due(begun):
            return False
        begun.state = "paused"
        # Where it is the one to go on, it does so at once.
        if self._next() is begun:
            self._go_on(begun)
        return begun.state == "paused"

    def end(self, trial: int, *, stopped: bool) -> None:
        """Take note of a trial's end; one that was stopped is paused or ended by then."""
        begun = self._running.pop(trial)
        if not stopped:
            begun.state = "ended"

    @property
    def _may_begin(self) -> bool:
        return self._n_trials is None or len(self._begun) < self._n_trials

    def _go_on(self, begun: Begun) -> None:
        begun.state = "running"
        begun.rung += bool(begun.scores)

    def _is_due(self, begun: Begun) -> bool:
        """Return whether a trial is to be looked at after this epoch."""
        return begun.rung < len(self._rungs) and len(begun.scores) == self._rungs[begun.rung]

    def _next(self) -> Begun | None:
        """Return the paused configuration that goes on; None begins a new one."""
        for rung in reversed(range(len(self._rungs))):
            epochs = self._rungs[rung]
            reached = [one for one in self._begun if len(one.scores) >= epochs]
            reached.sort(key=lambda one: -max(one.scores[:epochs]))
            for one in reached[: len(reached) // self._factor]:
                if one.state == "paused" and one.rung == rung:
                    return one
        return None

    def _draw(self) -> Begun:
        study = optuna.create_study(direction="maximize")
        study.add_trials([_as_optuna(begun) for begun in self._begun])
        study.sampler = feasible_sampler(self._config, trial=len(self._begun))
        asked = study.ask()
        return Begun(samplers.draw(asked, self._problem.space), asked.params, asked.distributions)


def _as_optuna(begun: Begun) -> optuna.trial.FrozenTrial:
    ended = begun.state == "ended"
    running = begun.state == "running" or not begun.scores
    state = TrialState.COMPLETE if ended else TrialState.RUNNING if running else TrialState.PRUNED
    return create_trial(
        state=state,
        value=begun.best if ended else None,
        params=begun.params,
        distributions=begun.distributions,
        intermediate_values=dict(enumerate(begun.scores)),
    )
