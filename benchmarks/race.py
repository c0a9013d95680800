"""Races to a score in virtual time: one method, one problem, one seed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import optuna

from benchmarks.problems import Problem
from benchmarks.virtual import VirtualEngine
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.events import EpochDone, Finished
from fmnist_sweep.core.jobs import DataRef, Scalar, TrialJob
from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.progress import Progress
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.lease.ownership import ownership

DATA: Final = DataRef("fashion-mnist", "0" * 64, (28, 28, 1), tuple("abcdefghij"), 60_000, "/nowhere")
LIMIT_TRIALS: Final = 100
"""A race ends unreached after the seconds of so many whole trials, shared among its workers."""


@dataclass(frozen=True)
class Race:
    """How one race went.

    Attributes:
        method: Its name.
        problem: The problem's digest.
        seed: Of the method and of the problem's noise.
        reached_s: Virtual seconds until an epoch's score reached the target; None where none did.
        seconds: Virtual seconds when the race ended.
        n_trials: Trials started.
        n_epochs: Epochs trained.
        bests: Seconds and score of each epoch that was better than any before.
    """

    method: str
    problem: str
    seed: int
    reached_s: float | None
    seconds: float
    n_trials: int
    n_epochs: int
    bests: tuple[tuple[float, float], ...] = ()

    def time_to(self, score: float) -> float | None:
        """Return the virtual seconds until an epoch reached a score; None where none did."""
        return next((seconds for seconds, best in self.bests if best >= score), None)

    def best_by(self, seconds: float) -> float:
        """Return the best score of the epochs that ended by then; minus infinity before the first."""
        return max((best for moment, best in self.bests if moment <= seconds), default=-math.inf)


@dataclass(frozen=True)
class Proposal:
    """What a method wants trained.

    Attributes:
        point: A complete set of hyperparameters.
        epochs: Up to how many epochs.
        n_resumed: How many of them it has trained before and goes on from.
    """

    point: Mapping[str, Scalar]
    epochs: int
    n_resumed: int = 0


class Peer(Protocol):
    """A search that is not ours, driven by `race_peer`."""

    n_workers: int

    def propose(self, trial: int) -> Proposal | None:
        """Return what the next trial trains; None where the search has ended or waits for a result."""
        ...

    def epoch(self, trial: int, epoch: int, score: float) -> bool:
        """Take note of an epoch, from 0, and return whether the trial is to be stopped."""
        ...

    def end(self, trial: int, *, stopped: bool) -> None:
        """Take note of a trial's end."""
        ...


class _Finish:
    """Watches the epochs of a race."""

    def __init__(self, problem: Problem, at_least_s: float) -> None:
        self._problem = problem
        self._at_least_s = at_least_s
        self.reached = threading.Event()
        self.reached_s: float | None = None
        self.bests: list[tuple[float, float]] = []
        self.engine: VirtualEngine | None = None

    def __call__(self, scores: EpochScores) -> None:
        """Stop the clock where the target is reached, and the race unless it is to last longer."""
        if self.engine is None:
            return
        score, now = float(self._problem.rule.score(scores)), self.engine.now
        if not self.bests or score > self.bests[-1][1]:
            self.bests.append((now, score))
        if score >= self._problem.target and self.reached_s is None:
            self.reached_s = now
        if self.reached_s is not None and now >= self._at_least_s:
            self.reached.set()

    def race(self, name: str, seed: int, engine: VirtualEngine, n_trials: int) -> Race:
        """Return how the race went."""
        return Race(
            name,
            self._problem.digest,
            seed,
            self.reached_s,
            engine.now,
            n_trials,
            engine.n_epochs,
            tuple(self.bests),
        )


def _start(
    problem: Problem, seed: int, n_workers: int, slowness: float, at_least_s: float
) -> tuple[VirtualEngine, _Finish]:
    finish = _Finish(problem, at_least_s)
    engine = VirtualEngine(
        problem.of_job(seed), n_workers, start_s=problem.start_s, slowness=slowness, watch=finish
    )
    finish.engine = engine
    return engine, finish


def race_limit_s(
    problem: Problem, n_workers: int, slowness: float = 1.0, *, limit_trials: int = LIMIT_TRIALS
) -> float:
    """Return the virtual seconds after which a race ends unreached; the arguments are those of a race."""
    return limit_trials * problem.trial_seconds * slowness / n_workers


def race_ours(
    name: str,
    problem: Problem,
    config: SweepConfig,
    seed: int,
    *,
    n_workers: int = 2,
    at_least_s: float = 0.0,
    limit_trials: int = LIMIT_TRIALS,
) -> Race:
    """Run the real search loop in virtual time until the target is reached.

    Args:
        name: Of the method.
        problem: The problem.
        config: The sweep, with sampler, pruner and patience; the race ends with its budget of trials as well.
        seed: Of the problem's noise; the sampler's stands in the config.
        n_workers: Trials side by side.
        at_least_s: Virtual seconds that it goes on for also where the target is reached before.
        limit_trials: As `LIMIT_TRIALS`.
    """
    engine, finish = _start(problem, seed, n_workers, 1.0, at_least_s)
    limit = race_limit_s(problem, n_workers, limit_trials=limit_trials)

    def observe(_: Progress) -> None:
        if engine.now >= limit:
            finish.reached.set()

    study = open_study(config, DATA, optuna.storages.InMemoryStorage())
    with ownership(study):
        Search.of(config, DATA, study, engine, observer=ProgressObserver(observe)).run(finish.reached)
    n_trials = len(study.get_trials(deepcopy=False))
    return finish.race(name, seed, engine, n_trials)


def race_peer(
    name: str,
    problem: Problem,
    peer: Peer,
    seed: int,
    *,
    slowness: float = 1.0,
    at_least_s: float = 0.0,
    limit_trials: int = LIMIT_TRIALS,
) -> Race:
    """Drive a peer in virtual time until the target is reached.

    Args:
        name: Of the method.
        problem: The problem.
        peer: The method; it is told the penalised scores, as if its user had made them its objective.
        seed: Of the problem's noise.
        slowness: How much longer its epochs take than the table's.
        at_least_s: As for `race_ours`.
        limit_trials: As `LIMIT_TRIALS`.
    """
    engine, finish = _start(problem, seed, peer.n_workers, slowness, at_least_s)
    limit = race_limit_s(problem, peer.n_workers, slowness, limit_trials=limit_trials)
    n_trials, ended = 0, False
    while not finish.reached.is_set() and engine.now < limit:
        while not ended and len(engine.running) < peer.n_workers:
            proposal = peer.propose(n_trials)
            if proposal is None:
                ended = not engine.running
                break
            job = TrialJob(n_trials, problem.name, proposal.point, proposal.epochs, 0, DATA)
            engine.submit(job, n_resumed=proposal.n_resumed)
            n_trials += 1
        if not engine.running:
            break
        _pass_on(engine, peer, problem)
    return finish.race(name, seed, engine, n_trials)


def _pass_on(engine: VirtualEngine, peer: Peer, problem: Problem) -> None:
    stopped = set[int]()
    for event in engine.events(0):
        if event.trial in stopped:
            continue
        if isinstance(event, EpochDone):
            if peer.epoch(event.trial, event.scores.epoch, problem.rule.score(event.scores)):
                stopped.add(event.trial)
                engine.cancel(event.trial)
                peer.end(event.trial, stopped=True)
        elif isinstance(event, Finished):
            peer.end(event.trial, stopped=False)


def require_same_problem(races: Mapping[str, list[Race]]) -> None:
    """Raise `ValueError` where races can't be compared: other problems, or other seeds."""
    problems = {race.problem for some in races.values() for race in some}
    if len(problems) > 1:
        raise ValueError(f"races on {len(problems)} different problems can't be compared")
    seeds = {name: sorted(race.seed for race in some) for name, some in races.items()}
    if len({tuple(some) for some in seeds.values()}) > 1:
        raise ValueError(f"methods raced on different seeds can't be compared: {seeds}")


Entry = Callable[[Problem, int], Race]
"""A method: races on a problem with a seed."""

Sections = dict[str, dict[str, Any]]
